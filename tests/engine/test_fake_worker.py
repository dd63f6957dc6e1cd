"""The fake models hear exactly what a script says: the base of every test above them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.times import to_samples
from app.core.types import DecodeRequest, DecodeTurn, Flag
from tests.engine.fake_worker import NUM_VOICES, SPEC, VOCABULARY, FakeWorker, Line, meeting, window_of


def _turns(script: list[Line]) -> tuple[DecodeTurn, ...]:
    """Speaker numbers are not voice numbers: speaker = 7 - voice."""
    turns = [DecodeTurn(to_samples(line.start_s), to_samples(line.end_s), 7 - line.voice) for line in script]
    return tuple(sorted(turns, key=lambda turn: (turn.start, turn.speaker)))


@settings(max_examples=30)
@given(st.permutations(range(NUM_VOICES)), st.data())
def test_overlapped_voices_are_written_apart(voices: list[int], data: st.DataObject) -> None:
    text = st.lists(st.sampled_from(VOCABULARY), min_size=2, max_size=4).map(" ".join)
    script = [Line(0.5 + 0.7 * i, voices[i], data.draw(text)) for i in range(3)]
    samples = meeting(script, 4.5)
    (decoded,) = FakeWorker().decode_batch([DecodeRequest(0, 0, samples, _turns(script))])
    for line, answer in zip(script, decoded.turns, strict=True):
        assert " ".join(word.text for word in answer.words) == line.text
        assert abs(answer.words[0].start - answer.turn.start) < 400
        assert abs(answer.words[-1].end - answer.turn.end) < 400


def test_local_speakers_are_numbered_by_who_speaks_first() -> None:
    script = [Line(0.5, 6, "alpha bravo charlie"), Line(1.0, 2, "hotel hotel hotel"), Line(3.0, 4, "golf golf")]
    (local,) = FakeWorker().diarize_batch([window_of(meeting(script, 5.0))])
    for column, line in enumerate(script):
        active = np.flatnonzero(local.activity[:, column] >= 0.5) * SPEC.grid.step + SPEC.grid.offset
        assert abs(active[0] - to_samples(line.start_s)) < 800
        assert abs(active[-1] - to_samples(line.end_s)) < 800
    # Speech alone: 6 from 0.5 to 1.0 s, 2 from 1.6 to 2.1 s, 4 from 3.0 to 3.7 s.
    assert [(run.local_speaker, int(np.argmax(run.voice))) for run in local.runs] == [(0, 6), (1, 2), (2, 4)]
    for run, (start_s, end_s) in zip(local.runs, [(0.5, 1.0), (1.6, 2.1), (3.0, 3.7)], strict=True):
        assert abs(run.start - to_samples(start_s)) < 1200
        assert abs(run.end - to_samples(end_s)) < 1200
        assert np.isclose(np.linalg.norm(run.voice), 1)


def test_a_run_belongs_to_the_window_that_owns_its_middle() -> None:
    whole = window_of(meeting([Line(1.0, 0, "alpha bravo charlie"), Line(3.0, 1, "hotel golf")], 5.0))
    parts = [replace(whole, own_end=32_000), replace(whole, own_start=32_000)]
    early, late = FakeWorker().diarize_batch(parts)
    assert [int(np.argmax(run.voice)) for run in early.runs] == [0]
    assert [int(np.argmax(run.voice)) for run in late.runs] == [1]
    assert np.array_equal(early.activity, late.activity)


def test_silence_has_nobody_and_a_turn_in_it_no_speech() -> None:
    silence = np.zeros(SPEC.window_samples, np.float32)
    (local,) = FakeWorker().diarize_batch([window_of(silence)])
    assert not local.activity.any()
    assert local.runs == ()
    (decoded,) = FakeWorker().decode_batch([DecodeRequest(0, 0, silence, (DecodeTurn(0, 16_000, 0),))])
    assert decoded.turns[0].flags == {Flag.NO_SPEECH}
    assert decoded.language is None


def test_a_line_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        meeting([Line(0.9, 0, "alpha")], 1.0)
