from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from app.bench.diarization import score_diarization
from app.bench.speech import Speech
from app.bench.values import DiarizationErrors, JaccardErrors, SpeakerCounts
from tests.bench.meetings import DURATION_S, meetings, renamed, turns_only

REFERENCE = turns_only(("A", 0.0, 10.0), ("B", 8.0, 20.0))


def close(errors: DiarizationErrors, **expected: float) -> bool:
    wanted = DiarizationErrors(**expected)
    return all(
        getattr(errors, name) == pytest.approx(getattr(wanted, name), abs=1e-6)
        for name in ("total_s", "missed_s", "false_alarm_s", "confusion_s")
    )


def test_a_perfect_answer_under_other_names():
    found = score_diarization(REFERENCE, renamed(REFERENCE, {"A": "B", "B": "A"}), DURATION_S)
    assert close(found.strict, total_s=22.0)
    assert found.jaccard == JaccardErrors(2, 0.0)
    assert found.counts == SpeakerCounts(1, 1)


def test_overlapped_speech_is_scored():
    found = score_diarization(REFERENCE, turns_only(("A", 0.0, 10.0), ("B", 10.0, 20.0)), DURATION_S)
    assert close(found.strict, total_s=22.0, missed_s=2.0)


def test_the_collar_leaves_a_quarter_second_on_each_side_of_every_reference_boundary():
    hypothesis = turns_only(("A", 0.0, 10.2), ("B", 8.3, 20.0))
    found = score_diarization(REFERENCE, hypothesis, DURATION_S)
    assert close(found.strict, total_s=22.0, missed_s=0.3, false_alarm_s=0.0, confusion_s=0.0) is False
    assert close(found.strict, total_s=22.0, missed_s=0.3, false_alarm_s=0.2)
    # 0.25 s are left out of A at 0 and 10, of B at 8 and 20, and of the other one at 8 (0.5 s) and 10 (0.5 s).
    assert close(found.collar, total_s=22.0 - 2.0, missed_s=0.05)


def test_confusion_false_alarm_and_counts():
    hypothesis = turns_only(("x", 0.0, 8.0), ("y", 8.0, 9.0), ("z", 9.0, 22.0))
    found = score_diarization(turns_only(("A", 0.0, 9.0), ("B", 9.0, 20.0)), hypothesis, DURATION_S)
    assert close(found.strict, total_s=20.0, confusion_s=1.0, false_alarm_s=2.0)
    assert found.counts == SpeakerCounts(1, 0, too_many=1)
    assert found.jaccard.errors == pytest.approx(1 / 9 + 2 / 13)


def test_a_missing_speaker():
    found = score_diarization(REFERENCE, turns_only(("A", 0.0, 10.0)), DURATION_S)
    assert close(found.strict, total_s=22.0, missed_s=12.0)
    assert found.jaccard == JaccardErrors(2, 1.0)
    assert found.counts == SpeakerCounts(1, 0, too_few=1)


def test_an_empty_answer_and_an_empty_reference():
    nothing = Speech(())
    assert close(score_diarization(REFERENCE, nothing, DURATION_S).strict, total_s=22.0, missed_s=22.0)
    found = score_diarization(nothing, REFERENCE, DURATION_S)
    assert close(found.strict, false_alarm_s=22.0)
    assert found.strict.rate is None
    assert found.jaccard.rate is None
    assert score_diarization(nothing, nothing, DURATION_S).counts == SpeakerCounts(1, 1)


def test_a_speaker_who_overlaps_itself_speaks_once():
    found = score_diarization(turns_only(("A", 0.0, 6.0), ("A", 4.0, 10.0)), turns_only(("A", 0.0, 10.0)), DURATION_S)
    assert close(found.strict, total_s=10.0)


def test_speech_after_the_end_counts():
    found = score_diarization(turns_only(("A", 0.0, 1.0)), turns_only(("A", 0.0, 3.0)), 2.0)
    assert close(found.strict, total_s=1.0, false_alarm_s=2.0)


@settings(max_examples=30, deadline=None)
@given(meetings(max_speakers=2), meetings(max_speakers=2))
def test_agreement_with_counting_tenths_of_seconds(reference, hypothesis):
    found = score_diarization(reference, hypothesis, DURATION_S).strict
    right, written = _tenths(reference), _tenths(hypothesis)
    assert found.total_s == pytest.approx(right.sum() / 10, abs=1e-3)
    agreed = max((right & written[order]).sum() for order in ([0, 1], [1, 0]))
    least = np.minimum(right.sum(axis=0), written.sum(axis=0))
    assert found.missed_s == pytest.approx((right.sum(axis=0) - least).sum() / 10, abs=1e-3)
    assert found.false_alarm_s == pytest.approx((written.sum(axis=0) - least).sum() / 10, abs=1e-3)
    assert found.confusion_s == pytest.approx((least.sum() - agreed) / 10, abs=1e-3)


def _tenths(speech: Speech) -> np.ndarray:
    """(2 speakers, tenths of seconds) bool."""
    grid = np.zeros((2, 400), dtype=bool)
    for turn in speech.turns:
        grid[int(turn.speaker[-1]), round(turn.start_s * 10) : round(turn.end_s * 10)] = True
    return grid
