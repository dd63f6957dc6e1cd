"""Segments -> Deepgram's messages. Pure; times in seconds, shapes as in its AsyncAPI description.

A `Results` stands for one segment of one speaker, or, as an interim one, for the whole tentative tail. Extra keys that
Deepgram does not have are allowed by its clients' models.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from app.core.times import to_seconds
from app.core.types import Segment, Word, join_words

_EDGES = re.compile(r"^[^\w]+|[^\w]+$")

Message = dict[str, object]


@dataclass(frozen=True, slots=True)
class Shape:
    """What of a request shapes its messages. request_id: UUID; model, version: of this server."""

    request_id: str
    diarize: bool
    formatted: bool
    model: str
    version: str


@dataclass(frozen=True, slots=True)
class Marks:
    """What a Results says of itself."""

    is_final: bool = True
    speech_final: bool = False
    from_finalize: bool = False


def results(segments: Sequence[Segment], shape: Shape, marks: Marks, at: int = 0) -> Message:
    """One Results message. Without segments it is empty and stands at sample `at`."""
    start = min((segment.start for segment in segments), default=at)
    end = max((segment.end for segment in segments), default=at)
    ordered = sorted(segments, key=lambda segment: (segment.start, segment.speaker))
    spoken = [(word, segment.speaker) for segment in ordered for word in segment.words]
    texts = [_shown(word, shape.formatted) for word, _ in spoken]
    confidence = sum(word.confidence for word, _ in spoken) / len(spoken) if spoken else 0.0
    words = [_word(word, speaker, shape) for word, speaker in spoken]
    return {
        "type": "Results",
        "channel_index": [0, 1],
        "start": to_seconds(start),
        "duration": to_seconds(end - start),
        "is_final": marks.is_final,
        "speech_final": marks.speech_final,
        "from_finalize": marks.from_finalize,
        "channel": {
            "alternatives": [{"transcript": join_words(texts), "confidence": confidence, "words": words}],
        },
        "metadata": _metadata(shape),
    }


def utterance_end(last_word_end: int) -> Message:
    """Nobody has spoken for the asked time; `last_word_end` in samples."""
    return {"type": "UtteranceEnd", "channel": [0, 1], "last_word_end": to_seconds(last_word_end)}


def speech_started(at: int) -> Message:
    """Somebody begins to speak at this sample."""
    return {"type": "SpeechStarted", "channel": [0], "timestamp": to_seconds(at)}


def closing_metadata(shape: Shape, created: str, duration: int, sha256: str, warnings: Iterable[str]) -> Message:
    """The last message. created: ISO 8601; duration: samples; sha256: of all bytes of sound, hexadecimal."""
    return {
        "type": "Metadata",
        "transaction_key": "deprecated",
        "request_id": shape.request_id,
        "sha256": sha256,
        "created": created,
        "duration": to_seconds(duration),
        "channels": 1,
        "warnings": list(warnings),
    }


def bare(text: str) -> str:
    """A word as Deepgram's `word`: lower case, without punctuation at its edges, unless nothing else is left."""
    return _EDGES.sub("", text).lower() or text.lower()


def _shown(word: Word, formatted: bool) -> str:
    return word.text if formatted else bare(word.text)


def _word(word: Word, speaker: int, shape: Shape) -> Message:
    value: Message = {
        "word": bare(word.text),
        "start": to_seconds(word.start),
        "end": to_seconds(word.end),
        "confidence": word.confidence,
    }
    if shape.formatted:
        value["punctuated_word"] = word.text
    if shape.diarize:
        value["speaker"] = speaker
    return value


def _metadata(shape: Shape) -> Message:
    info = {"name": shape.model, "version": shape.version, "arch": "crosstalk"}
    return {"request_id": shape.request_id, "model_info": info, "model_uuid": _MODEL_UUID}


_MODEL_UUID = "5d2c0c7e-7f0a-4c1e-9a55-c2055ca1c000"
"""Deepgram gives each of its models one; this server has one model at a time, named in `model_info`."""
