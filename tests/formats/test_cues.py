from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.core.types import Segment, TranscriptView, Word
from app.formats.cues import LINE_COLUMNS, MAX_CUE_MS, MAX_NAME_COLUMNS, MIN_CUE_MS, to_cues
from app.formats.lines import columns, one_line
from app.formats.times import to_ms
from tests.formats.views import EMPTY, fuzz, meeting, segment, transcripts


def spoken(text: str, *, word_s: float = 0.3, pauses: dict[str, float] | None = None, name: str = "Maya"):
    """A view of one segment, every word `word_s` long; `pauses`: seconds of silence after a word."""
    time, words = 0.0, []
    for word in text.split():
        words.append((word, time, time + word_s))
        time += word_s + (pauses or {}).get(word, 0.0)
    view = replace(EMPTY, segments=(segment(1, 0, *words),), names={0: name})
    return replace(view, duration=view.segments[0].end)


def lines(view: TranscriptView, **options):
    return [cue.lines for cue in to_cues(view, **options)]


def test_short_text_stays_one_line():
    assert lines(spoken("Shall we start?")) == [("Shall we start?",)]
    assert lines(spoken("Shall we start?"), named=True) == [("Maya: Shall we start?",)]


def test_two_balanced_lines():
    assert lines(spoken("and nobody in the team can tell why it really did so in the end")) == [
        ("and nobody in the team can tell", "why it really did so in the end")
    ]


def test_cuts_at_sentences_not_in_the_middle_of_a_phrase():
    text = (
        "I have the numbers from last week, and they are not what we had hoped for, to be honest. "
        "The revenue went down by three percent and nobody in the team can tell why."
    )
    cues = lines(spoken(text))
    assert [" ".join(cue).split()[-1] for cue in cues] == ["week,", "honest.", "why."]


def test_a_sentence_that_must_be_cut_begins_a_cue():
    text = (
        "I have the numbers from last week, and they are, well, not what we had hoped for, to be honest. "
        "The revenue went down by three percent and nobody in the team can tell why it did so."
    )
    view = spoken(text, name="Maya of Accounting")
    assert any(" ".join(cue).startswith("Maya of Accounting: The revenue") for cue in lines(view, named=True))


def test_a_word_wider_than_a_line_is_cut_and_keeps_its_time():
    view = replace(EMPTY, duration=160_000, segments=(segment(1, 0, ("x" * 126, 0.0, 3.0)),), names={0: "Maya"})
    assert [(cue.start_ms, cue.end_ms, cue.lines) for cue in to_cues(view)] == [
        (0, 1000, ("x" * 42,)),
        (1000, 3000, ("x" * 42, "x" * 42)),
    ]
    assert lines(view, named=True) == [("Maya:", "x" * 42)] * 3


def test_a_piece_that_fits_stands_apart_from_the_name():
    view = replace(EMPTY, segments=(segment(1, 0, ("x" * 52, 0.0, 3.0)),), names={0: "Maya"})
    assert lines(view, named=True) == [("Maya:", "x" * 42), ("Maya: " + "x" * 10,)]


def test_cuts_at_a_long_pause():
    assert lines(spoken("one two three four", pauses={"two": 2.0})) == [("one two",), ("three four",)]


def test_slow_speech_is_cut_by_time():
    cues = to_cues(spoken("a b c d e f g h i j", word_s=1.5))
    assert all(cue.end_ms - cue.start_ms <= MAX_CUE_MS for cue in cues)
    assert len(cues) >= 3


def test_people_who_talk_at_once_overlap():
    first, second = to_cues(meeting())
    assert (first.speaker, second.speaker) == (0, 1)
    assert first.start_ms < second.start_ms < first.end_ms


def test_a_short_word_stays_readable_but_not_into_its_speakers_next_cue():
    view = replace(
        EMPTY,
        duration=160_000,
        segments=(segment(1, 0, ("Yes.", 1.0, 1.0)), segment(2, 0, ("So", 1.5, 1.6)), segment(3, 1, ("No", 9.9, 9.9))),
    )
    assert [(cue.start_ms, cue.end_ms) for cue in to_cues(view)] == [
        (1000, 1500),
        (1500, 1500 + MIN_CUE_MS),
        (9900, 10_000),
    ]


@pytest.mark.parametrize("name", ["M" * 100, "王" * 40])
def test_a_long_name_leaves_room(name):
    (cue,) = to_cues(spoken("Hello", name=name), named=True)
    assert cue.name == name
    label = cue.lines[0].split(":")[0]
    assert label.endswith("…")
    assert columns(label) <= MAX_NAME_COLUMNS


@fuzz
@example(EMPTY, True)
@given(transcripts(), st.booleans())
def test_every_cue_can_be_read(view, named):
    cues = to_cues(view, named=named)
    assert [cue.start_ms for cue in cues] == sorted(cue.start_ms for cue in cues)
    for cue in cues:
        assert cue.end_ms > cue.start_ms
        assert 1 <= len(cue.lines) <= 2
        assert all(line and columns(line) <= LINE_COLUMNS for line in cue.lines)
        assert all(line == one_line(line) for line in cue.lines)


@fuzz
@given(transcripts(max_segments=1))
def test_no_letter_is_lost_and_no_time_exceeded(view):
    cues = to_cues(view)
    said = "".join(segment.text for segment in view.segments)
    assert "".join("".join(line.split()) for cue in cues for line in cue.lines) == "".join(one_line(said).split())
    longest = max((to_ms(word.end) - to_ms(word.start) for it in view.segments for word in it.words), default=0)
    assert all(cue.end_ms - cue.start_ms <= max(MAX_CUE_MS, longest, MIN_CUE_MS) for cue in cues)


def test_a_meeting_in_one_segment_is_cut_in_reasonable_time():
    words = tuple(Word("I", 1600 * number, 1600 * number + 1500, 1.0) for number in range(5000))
    view = replace(EMPTY, duration=words[-1].end, segments=(Segment("1", 0, 0, words[-1].end, words),))
    assert sum(len(" ".join(cue.lines).split()) for cue in to_cues(view)) == 5000
