from __future__ import annotations

from dataclasses import replace

import pytest

from app.bench.scoring import score
from app.bench.values import Scores, WordErrors, pooled
from app.core.types import Segment, TranscriptView, Turn, Word
from tests.bench.meetings import DURATION_S, TWO_SPEAKERS, turns_only

VIEW = TranscriptView(
    duration=30 * 16_000,
    language="en",
    segments=(
        Segment("s1", 4, 0, 64_000, tuple(Word(text, at * 16_000, (at + 1) * 16_000, 1.0) for at, text in enumerate(
            ["Alpha,", "Bravo", "Charlie", "Delta."]))),
        Segment("s2", 9, 48_000, 112_000, tuple(Word(text, (3 + at) * 16_000, (4 + at) * 16_000, 1.0) for at, text in
            enumerate(["Echo", "Foxtrot", "Golf", "Hotel!"]))),
        Segment("s3", 4, 160_000, 192_000, (
            Word("Delta", 160_000, 176_000, 1.0), Word("Charlie", 176_000, 192_000, 1.0))),
    ),
    turns=(Turn(0, 64_000, 4), Turn(48_000, 112_000, 9), Turn(160_000, 192_000, 4)),
)  # fmt: skip


def test_a_transcript_is_scored_with_whispers_normalizer():
    found = score(TWO_SPEAKERS, VIEW, DURATION_S)
    assert found.meetings == 1
    assert found.words is not None
    assert found.diarization is not None
    assert found.words.cp == found.words.tcp == WordErrors(10)
    assert found.words.regions.overlapped.length == 2
    assert found.diarization.strict.errors_s == pytest.approx(0.0)
    assert found.diarization.counts.right == 1


def test_the_diarization_scored_is_that_of_the_turns_not_of_the_words():
    found = score(TWO_SPEAKERS, replace(VIEW, turns=()), DURATION_S)
    assert found.diarization is not None
    assert found.diarization.strict.missed_s == pytest.approx(10.0)
    assert found.words is not None
    assert found.words.cp.errors == 0


def test_without_words_only_the_turns_are_scored():
    for reference, hypothesis in ((turns_only(("A", 0.0, 1.0)), VIEW), (TWO_SPEAKERS, turns_only(("A", 0.0, 1.0)))):
        found = score(reference, hypothesis, DURATION_S)
        assert found.words is None
        assert found.diarization is not None


def test_pooled_scores_are_sums():
    one, none = score(TWO_SPEAKERS, VIEW, DURATION_S), score(TWO_SPEAKERS, replace(VIEW, segments=()), DURATION_S)
    total = pooled([one, none], Scores())
    assert total.meetings == 2
    assert total.words is not None
    assert total.words.cp == WordErrors(20, deletions=10)
    assert total.words.cp.rate == 0.5
    assert total.words.hallucinated.duration_s == 2 * DURATION_S
