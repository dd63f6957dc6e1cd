from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given

from app.core.types import Segment, TranscriptView, Turn
from app.errors import InputError
from app.formats.times import from_ms, to_ms
from app.formats.transcript_json import parse, render
from tests.formats.views import EMPTY, fuzz, meeting, transcripts


def rounded(view: TranscriptView) -> TranscriptView:
    """The view with all that the file rounds rounded: times to milliseconds, confidences to three decimals."""

    def grid(samples: int) -> int:
        return from_ms(to_ms(samples))

    segments = [
        replace(
            it,
            start=grid(it.start),
            end=grid(it.end),
            words=tuple(
                replace(word, start=grid(word.start), end=grid(word.end), confidence=round(word.confidence, 3))
                for word in it.words
            ),
        )
        for it in view.segments
    ]
    return replace(
        view,
        duration=grid(view.duration),
        segments=tuple(sorted(segments, key=lambda it: (it.start, it.speaker))),
        turns=tuple(sorted(Turn(grid(it.start), grid(it.end), it.speaker) for it in view.turns)),
    )


def edited(old: str, new: str) -> str:
    text = render(meeting())
    assert old in text
    return text.replace(old, new, 1)


def test_a_meeting():
    body = json.loads(render(meeting()))
    assert body["schema_version"] == 1
    assert body["duration_s"] == 12.48
    assert body["speakers"] == [
        {"id": 0, "name": "Maya", "named": True},
        {"id": 1, "name": "Speaker 2", "named": False},
    ]
    second = body["segments"][1]
    assert second["speaker_name"] == "Speaker 2"
    assert (second["start_s"], second["end_s"], second["text"]) == (1.8, 4.31, "Yes, two points.")
    assert second["overlaps_with"] == ["seg-1"]
    assert second["words"][0] == {"text": "Yes,", "start_s": 1.8, "end_s": 2.2, "confidence": 0.9}
    assert body["turns"][0] == {"speaker": 0, "start_s": 0.42, "end_s": 1.95}


def test_one_word_to_a_line():
    lines = render(meeting()).splitlines()
    assert '        {"text": "Yes,", "start_s": 1.8, "end_s": 2.2, "confidence": 0.9},' in lines


def test_overlaps_are_of_other_speakers_and_of_shared_time_only():
    spans = [("a", 0, 0, 100), ("b", 0, 50, 60), ("c", 1, 90, 200), ("d", 2, 200, 300), ("e", 1, 95, 95)]
    segments = tuple(Segment(name, who, from_ms(start), from_ms(end), ()) for name, who, start, end in spans)
    body = json.loads(render(replace(EMPTY, segments=segments)))
    assert {it["id"]: it["overlaps_with"] for it in body["segments"]} == {
        "a": ["c"],
        "b": [],
        "c": ["a"],
        "d": [],
        "e": [],
    }


@fuzz
@given(transcripts())
def test_overlaps_are_those_of_every_pair(view):
    spans = {it.id: (it.speaker, to_ms(it.start), to_ms(it.end)) for it in view.segments}
    for item in json.loads(render(view))["segments"]:
        speaker, start, end = spans[item["id"]]
        assert set(item["overlaps_with"]) == {
            other
            for other, (who, left, right) in spans.items()
            if who != speaker and min(end, right) > max(start, left)
        }


@fuzz
@given(transcripts())
def test_round_trip(view):
    text = render(view)
    assert parse(text) == rounded(view)
    assert parse(text.encode()) == rounded(view)
    assert render(parse(text)) == text


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ('"schema_version": 1', '"schema_version": 2', "schema_version"),
        ('"duration_s": 12.48', '"duration_s": "long"', "duration_s"),
        ('"duration_s": 12.48', '"duration_s": -1', "duration_s"),
        ('"duration_s": 12.48', '"duration_s": NaN', "duration_s"),
        ('"end_s": 2.2', '"end_s": 1.2', "segments.1.words.0"),
        ('"confidence": 0.9', '"confidence": 9', "segments.0.words.0.confidence"),
        ('"flags": []', '"flags": ["odd"]', "segments.0.flags"),
        ('"id": "seg-2"', '"id": "seg-1"', "segments"),
        ('{"id": 1,', '{"id": 0,', "speakers"),
        ('{"id": 1,', '{"id": 3,', "segments.1.speaker"),
        ('"turns": [', '"turns": [{"speaker": 9, "start_s": 0, "end_s": 1},', "turns.0.speaker"),
        ('"name": "Maya"', '"name": "May"', "segments.0.speaker_name"),
        ('"text": "Shall we start?"', '"text": "Shall we go?"', "segments.0.text"),
        ("{", "[", "file"),
    ],
)
def test_a_broken_file_is_refused_by_its_place(old, new, place):
    with pytest.raises(InputError) as caught:
        parse(edited(old, new))
    assert caught.value.param == place
    assert place in caught.value.message


def test_what_is_no_transcript_is_refused():
    for text in ("", "[]", "{}", "null", "[" * 100_000, b"\xff\xfe"):
        with pytest.raises(InputError):
            parse(text)


def test_later_keys_are_passed_over():
    assert parse(edited('"language"', '"mood": "good", "language"')) == rounded(meeting())
