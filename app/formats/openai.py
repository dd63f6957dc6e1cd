"""Transcript -> the bodies of OpenAI's `POST /v1/audio/transcriptions`, key for key and without extra ones.

Shapes: openai-python, `types/audio/transcription*.py`. Its `response_format` names are `text`, `json`, `verbose_json`
and `diarized_json`; our own, richer `json` is in transcript_json.py. Segments without words are left out.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Collection, Mapping

from app.core.times import SAMPLE_RATE
from app.core.types import Flag, Segment, TranscriptView
from app.errors import OptionInvalid
from app.formats.languages import LANGUAGE_NAMES
from app.formats.lines import one_line
from app.formats.times import seconds

GRANULARITIES = ("segment", "word")
"""The values of `timestamp_granularities[]`."""

# Keeps the logarithm of a confidence of 0 finite; Whisper itself calls anything below -1 a failure.
_MIN_CONFIDENCE = 1e-4


class SpeakerLabels:
    """The labels of `diarized_json`: the given name, else A, B, ..., Z, AA, ... in the order of being asked for.

    Asking in the order of the finished segments gives a stream the labels that the whole transcript has.
    """

    def __init__(self, names: Mapping[int, str]) -> None:
        """`names`: speaker -> given name; names with nothing to show count as not given."""
        self._labels = {speaker: one_line(name) for speaker, name in names.items() if one_line(name)}
        self._taken = set(self._labels.values())
        self._used_letters = 0

    def label(self, speaker: int) -> str:
        """The label of a speaker, the same every time; letters that someone has as a name are passed over."""
        while speaker not in self._labels:
            letters = _letters(self._used_letters)
            self._used_letters += 1
            if letters not in self._taken:
                self._labels[speaker] = letters
        return self._labels[speaker]


def usage(duration: int) -> dict[str, object]:
    """The `usage` object for a duration in samples: whole seconds, rounded up."""
    return {"type": "duration", "seconds": -(-duration // SAMPLE_RATE)}


def plain_text(view: TranscriptView) -> str:
    """All words in the order of the segments on one line, without speakers: `text` of the `json` shape."""
    return " ".join(one_line(segment.text) for segment in _worded(view))


def diarized_segment(segment: Segment, label: str) -> dict[str, object]:
    """One entry of `diarized_json`'s segments; as a stream's data also the event `transcript.text.segment`."""
    return {
        "type": "transcript.text.segment",
        "id": segment.id,
        "start": seconds(segment.start),
        "end": seconds(segment.end),
        "text": one_line(segment.text),
        "speaker": label,
    }


def to_text(view: TranscriptView) -> str:
    """`response_format=text`: the words and a line break."""
    return plain_text(view) + "\n"


def to_json(view: TranscriptView) -> str:
    """`response_format=json`: text and usage."""
    return _dump({"text": plain_text(view), "usage": usage(view.duration)})


def to_verbose(view: TranscriptView, *, timestamp_granularities: Collection[str] = GRANULARITIES) -> str:
    """`response_format=verbose_json`. Without speakers: the shape has none.

    `language` is an English name such as "english", "unknown" when the transcript has none. `avg_logprob` is the mean
    logarithm of the words' confidences; `tokens`, `seek` and `temperature` belong to Whisper's decoding and are empty
    or zero here. As Whisper's, the texts of segments begin with a space.

    Raises OptionInvalid on an unknown granularity.
    """
    unknown = sorted(set(timestamp_granularities) - set(GRANULARITIES))
    if unknown:
        raise OptionInvalid(
            f"unknown timestamp granularity {unknown[0]!r}; known: {', '.join(GRANULARITIES)}",
            param="timestamp_granularities",
        )
    body: dict[str, object] = {
        "task": "transcribe",
        "language": _language_name(view.language),
        "duration": seconds(view.duration),
        "text": plain_text(view),
    }
    segments = _worded(view)
    if "segment" in timestamp_granularities:
        body["segments"] = [_verbose_segment(number, segment) for number, segment in enumerate(segments)]
    if "word" in timestamp_granularities:
        body["words"] = [word for segment in segments for word in _verbose_words(segment)]
    return _dump({**body, "usage": usage(view.duration)})


def to_diarized(view: TranscriptView) -> str:
    """`response_format=diarized_json`: segments with labels, see SpeakerLabels; `text` has a line for each."""
    labels = SpeakerLabels(view.names)
    labelled = [(segment, labels.label(segment.speaker)) for segment in _worded(view)]
    return _dump(
        {
            "task": "transcribe",
            "duration": seconds(view.duration),
            "text": "\n".join(f"{label}: {one_line(segment.text)}" for segment, label in labelled),
            "segments": [diarized_segment(segment, label) for segment, label in labelled],
            "usage": usage(view.duration),
        }
    )


def _worded(view: TranscriptView) -> list[Segment]:
    return [segment for segment in view.segments if one_line(segment.text)]


def _verbose_segment(number: int, segment: Segment) -> dict[str, object]:
    text = one_line(segment.text)
    logprobs = [math.log(max(word.confidence, _MIN_CONFIDENCE)) for word in segment.words]
    raw = text.encode()
    return {
        "id": number,
        "seek": 0,
        "start": seconds(segment.start),
        "end": seconds(segment.end),
        "text": f" {text}",
        "tokens": [],
        "temperature": 0.0,
        "avg_logprob": round(sum(logprobs) / len(logprobs), 3),
        "compression_ratio": round(len(raw) / len(zlib.compress(raw)), 3),
        "no_speech_prob": 1.0 if Flag.NO_SPEECH in segment.flags else 0.0,
    }


def _verbose_words(segment: Segment) -> list[dict[str, object]]:
    return [
        {"word": one_line(word.text), "start": seconds(word.start), "end": seconds(word.end)}
        for word in segment.words
        if one_line(word.text)
    ]


def _language_name(code: str | None) -> str:
    return "unknown" if code is None else LANGUAGE_NAMES.get(code, code)


def _letters(number: int) -> str:
    """0 -> A, 25 -> Z, 26 -> AA, as the columns of a spreadsheet."""
    letters = ""
    number += 1
    while number:
        number, letter = divmod(number - 1, 26)
        letters = chr(ord("A") + letter) + letters
    return letters


def _dump(body: dict[str, object]) -> str:
    return json.dumps(body, ensure_ascii=False, allow_nan=False)
