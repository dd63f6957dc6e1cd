from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.bench.speech import SpeechMap, SpokenTurn, Utterance, merged, of_utterances, of_view
from app.core.types import Segment, TranscriptView, Turn, Word
from tests.bench.meetings import DURATION_S, meetings, turns_only

moments = st.integers(-20, 400).map(lambda tenths: tenths / 10 + 0.05)


def test_a_view_becomes_speech_in_seconds_with_word_times():
    words = (Word("Hello", 16_000, 24_000, 0.9), Word("there you", 24_000, 40_000, 0.8))
    view = TranscriptView(
        duration=160_000,
        language="en",
        segments=(Segment("s1", 1, 16_000, 40_000, words),),
        turns=(Turn(32_000, 48_000, 1), Turn(0, 16_000, 0), Turn(5, 5, 0)),
        names={0: "Anna", 1: "Anna"},
    )
    speech = of_view(view)
    assert speech.turns == (SpokenTurn(0.0, 1.0, "0"), SpokenTurn(2.0, 3.0, "1"))
    assert speech.utterances == (Utterance("1", 1.0, 2.5, "Hello there you", ((1.0, 1.5), (1.5, 2.5), (1.5, 2.5))),)
    assert speech.speakers == {"0", "1"}
    assert speech.end_s == 3.0


def test_utterances_without_length_have_no_turn():
    speech = of_utterances([Utterance("A", 2.0, 2.0, "alpha"), Utterance("A", 1.0, 2.0, "bravo")])
    assert speech.turns == (SpokenTurn(1.0, 2.0, "A"),)
    assert len(speech.utterances or ()) == 2


def test_word_times_must_fit_the_words():
    with pytest.raises(ValueError, match="1 word times for 2 words"):
        Utterance("A", 0.0, 1.0, "alpha bravo", ((0.0, 1.0),))


def test_merged_spans_do_not_touch():
    assert merged([(3.0, 4.0), (0.0, 1.0), (1.0, 2.0), (3.5, 3.6), (9.0, 9.0)]) == [(0.0, 2.0), (3.0, 4.0)]


def test_speakers_are_counted_over_half_open_spans_and_never_twice():
    speech = SpeechMap.of(turns_only(("A", 1.0, 3.0), ("A", 2.0, 4.0), ("B", 3.0, 5.0)).turns)
    assert [speech.speakers_at(at) for at in (0.9, 1.0, 2.5, 3.0, 3.9, 4.0, 5.0)] == [0, 1, 1, 2, 2, 1, 0]


def test_speech_is_sought_on_both_sides():
    speech = SpeechMap.of(turns_only(("A", 1.0, 3.0), ("B", 10.0, 11.0)).turns)
    assert [speech.speech_within(at, 1.0) for at in (-0.1, 0.1, 2.0, 3.9, 4.1, 8.9, 9.1, 11.9, 12.1)] == [
        False, True, True, True, False, False, True, True, False,
    ]  # fmt: skip
    assert not SpeechMap.of(()).speech_within(1.0, 100.0)


@given(meetings(), moments)
def test_the_map_agrees_with_counting(meeting, at_s):
    speech = SpeechMap.of(meeting.turns)
    speaking = {turn.speaker for turn in meeting.turns if turn.start_s <= at_s < turn.end_s}
    assert speech.speakers_at(at_s) == len(speaking)
    near = any(turn.start_s <= at_s + 1.0 and turn.end_s >= at_s - 1.0 for turn in meeting.turns)
    assert speech.speech_within(at_s, 1.0) == near
    assert speech.speakers_at(DURATION_S * 10) == 0
