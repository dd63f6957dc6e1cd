from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from openai.types.audio import Transcription, TranscriptionDiarized, TranscriptionVerbose
from openai.types.audio.transcription_text_segment_event import TranscriptionTextSegmentEvent
from pydantic import BaseModel

from app.core.types import Flag, Segment, Word
from app.errors import OptionInvalid
from app.formats.lines import one_line
from app.formats.openai import (
    SpeakerLabels,
    diarized_segment,
    plain_text,
    to_diarized,
    to_json,
    to_text,
    to_verbose,
)
from tests.formats.views import EMPTY, fuzz, meeting, transcripts


def extras(model: Any) -> set[str]:
    """Keys that the SDK's types do not know, at any depth."""
    if isinstance(model, list):
        return set().union(*map(extras, model))
    if not isinstance(model, BaseModel):
        return set()
    return set(model.model_extra or {}).union(*(extras(getattr(model, name)) for name in type(model).model_fields))


def test_text_and_json():
    assert to_text(meeting()) == "Shall we start? Yes, two points.\n"
    assert json.loads(to_json(meeting())) == {
        "text": "Shall we start? Yes, two points.",
        "usage": {"type": "duration", "seconds": 13},
    }


def test_diarized():
    assert json.loads(to_diarized(meeting())) == {
        "task": "transcribe",
        "duration": 12.48,
        "text": "Maya: Shall we start?\nA: Yes, two points.",
        "segments": [
            {
                "type": "transcript.text.segment",
                "id": "seg-1",
                "start": 0.42,
                "end": 1.95,
                "text": "Shall we start?",
                "speaker": "Maya",
            },
            {
                "type": "transcript.text.segment",
                "id": "seg-2",
                "start": 1.8,
                "end": 4.31,
                "text": "Yes, two points.",
                "speaker": "A",
            },
        ],
        "usage": {"type": "duration", "seconds": 13},
    }


def test_verbose():
    body = json.loads(to_verbose(meeting()))
    assert body["language"] == "english"
    assert body["duration"] == 12.48
    assert body["words"][2] == {"word": "start?", "start": 1.2, "end": 1.95}
    assert [segment["text"] for segment in body["segments"]] == [" Shall we start?", " Yes, two points."]
    assert body["segments"][1]["id"] == 1
    assert body["segments"][0]["avg_logprob"] == -0.105


@pytest.mark.parametrize(
    ("granularities", "present"),
    [(["word"], {"words"}), (["segment"], {"segments"}), (["segment", "word"], {"words", "segments"}), ([], set())],
)
def test_timestamp_granularities(granularities, present):
    body = json.loads(to_verbose(meeting(), timestamp_granularities=granularities))
    assert {"words", "segments"} & set(body) == present
    TranscriptionVerbose.model_validate(body, strict=True)


def test_unknown_granularity_is_refused():
    with pytest.raises(OptionInvalid, match=r"'phrase'.*segment, word") as caught:
        to_verbose(meeting(), timestamp_granularities=["phrase"])
    assert caught.value.param == "timestamp_granularities"


@pytest.mark.parametrize(("code", "name"), [("yue", "cantonese"), (None, "unknown"), ("xx", "xx")])
def test_language_names(code, name):
    assert json.loads(to_verbose(replace(EMPTY, language=code)))["language"] == name


def test_no_confidence_and_no_speech_stay_numbers():
    segment = Segment("1", 0, 0, 160, (Word("um", 0, 160, 0.0),), frozenset({Flag.NO_SPEECH}))
    (body,) = json.loads(to_verbose(replace(EMPTY, segments=(segment,))))["segments"]
    assert body["avg_logprob"] < -1
    assert body["no_speech_prob"] == 1.0


def test_labels_pass_over_given_names_and_go_past_z():
    labels = SpeakerLabels({0: "B", 1: " ", 2: "Maya"})
    assert [labels.label(speaker) for speaker in (7, 0, 3, 7, 2, 1)] == ["A", "B", "C", "A", "Maya", "D"]
    many = SpeakerLabels({})
    assert [many.label(speaker) for speaker in range(54)][25:] == [
        "Z",
        *(f"A{chr(code)}" for code in range(65, 91)),
        "BA",
        "BB",
    ]


@fuzz
@given(transcripts())
def test_the_sdk_reads_verbose_json(view):
    read = TranscriptionVerbose.model_validate_json(to_verbose(view), strict=True)
    assert extras(read) == {"task"}  # which the service sends, too
    assert "".join(segment.text for segment in read.segments).strip() == read.text
    # Words carry no spaces; some scripts have none between words.
    assert "".join(word.word for word in read.words).replace(" ", "") == read.text.replace(" ", "")
    assert read.usage.seconds - 1 < view.duration / 16_000 <= read.usage.seconds


@fuzz
@given(transcripts())
def test_the_sdk_reads_json_and_diarized_json(view):
    plain = Transcription.model_validate_json(to_json(view), strict=True)
    assert plain.text == plain_text(view)
    read = TranscriptionDiarized.model_validate_json(to_diarized(view), strict=True)
    assert extras(plain) | extras(read) == set()
    assert len(read.segments) == sum(bool(one_line(segment.text)) for segment in view.segments)
    assert read.text.splitlines() == [f"{segment.speaker}: {segment.text}" for segment in read.segments]


@fuzz
@given(transcripts())
def test_a_stream_of_segments_has_the_labels_of_the_whole(view):
    labels = SpeakerLabels(view.names)
    events = [diarized_segment(it, labels.label(it.speaker)) for it in view.segments if one_line(it.text)]
    assert events == json.loads(to_diarized(view))["segments"]
    for event in events:
        TranscriptionTextSegmentEvent.model_validate(event, strict=True)
