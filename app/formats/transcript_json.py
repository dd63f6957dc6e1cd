"""Transcript <-> our own JSON: everything that is known about a meeting, in a versioned shape that can be read back.

`parse(render(view))` is the view with times rounded to milliseconds and confidences to three decimals, and
`render(parse(text))` is the text again. The pydantic models below are the schema.
"""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.core.types import Flag, Segment, TranscriptView, Turn, Word
from app.errors import InputError
from app.formats.pretty import pretty
from app.formats.speakers import all_speakers
from app.formats.times import from_ms, seconds, to_ms

SCHEMA_VERSION: Literal[1] = 1
"""Raised when a reader of the old shape could misread the new one; new keys alone do not raise it."""

# A year; keeps times within what floats hold to the millisecond.
_Seconds = Annotated[float, Field(ge=0, le=31_622_400)]
_SpeakerId = Annotated[int, Field(ge=0)]


class _Wire(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, allow_inf_nan=False)


class WireSpeaker(_Wire):
    """A speaker of the meeting. `named`: the name was given, not made from the id."""

    id: _SpeakerId
    name: str
    named: bool


class WireWord(_Wire):
    text: str
    start_s: _Seconds
    end_s: _Seconds
    confidence: Annotated[float, Field(ge=0, le=1)]


class WireSegment(_Wire):
    """What one speaker said. `overlaps_with`: ids of the segments of other speakers that share time with it."""

    id: str
    speaker: _SpeakerId
    speaker_name: str
    start_s: _Seconds
    end_s: _Seconds
    text: str
    overlaps_with: list[str]
    flags: list[str]
    words: list[WireWord]


class WireTurn(_Wire):
    """One stretch of a speaker's speech as the diarization found it, whether or not words were written for it."""

    speaker: _SpeakerId
    start_s: _Seconds
    end_s: _Seconds


class WireTranscript(_Wire):
    """The whole file. All times are seconds from the start of the recording."""

    schema_version: Annotated[int, Field(strict=True, ge=SCHEMA_VERSION, le=SCHEMA_VERSION)]
    duration_s: _Seconds
    language: str | None
    warnings: list[str]
    speakers: list[WireSpeaker]
    segments: list[WireSegment]
    turns: list[WireTurn]


def render(view: TranscriptView) -> str:
    """The transcript as JSON text, segments sorted by (start, speaker), one word, turn or speaker a line."""
    segments = sorted(view.segments, key=lambda segment: (to_ms(segment.start), segment.speaker))
    overlaps = _overlaps(segments)
    wire = WireTranscript(
        schema_version=SCHEMA_VERSION,
        duration_s=seconds(view.duration),
        language=view.language,
        warnings=list(view.warnings),
        speakers=[WireSpeaker(id=it, name=view.name(it), named=it in view.names) for it in all_speakers(view)],
        segments=[_wire_segment(view, segment, others) for segment, others in zip(segments, overlaps, strict=True)],
        turns=_wire_turns(view.turns),
    )
    return pretty(wire.model_dump()) + "\n"


def parse(text: str | bytes) -> TranscriptView:
    """Read a transcript back. Unknown keys are ignored.

    Raises InputError, naming the place, for text that is not such JSON, another schema version, or a file that
    contradicts itself: an end before its start, a speaker or id that is missing or doubled, or an edited text or
    speaker name (edit the words, or the list of speakers, instead).
    """
    try:
        wire = WireTranscript.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "file"
        raise InputError(f"not a transcript of schema version 1: {place}: {first['msg']}", param=place) from error
    _check_speakers(wire)
    segments = [_segment(wire, index) for index in range(len(wire.segments))]
    turns = [Turn(*_span(turn, f"turns.{index}"), turn.speaker) for index, turn in enumerate(wire.turns)]
    return TranscriptView(
        duration=_samples(wire.duration_s),
        language=wire.language,
        segments=tuple(sorted(segments, key=lambda segment: (segment.start, segment.speaker))),
        turns=tuple(sorted(turns)),
        names={speaker.id: speaker.name for speaker in wire.speakers if speaker.named},
        warnings=tuple(wire.warnings),
    )


def _wire_segment(view: TranscriptView, segment: Segment, overlaps_with: list[str]) -> WireSegment:
    return WireSegment(
        id=segment.id,
        speaker=segment.speaker,
        speaker_name=view.name(segment.speaker),
        start_s=seconds(segment.start),
        end_s=seconds(segment.end),
        text=segment.text,
        overlaps_with=overlaps_with,
        flags=sorted(segment.flags),
        words=[
            WireWord(
                text=word.text,
                start_s=seconds(word.start),
                end_s=seconds(word.end),
                confidence=round(float(word.confidence), 3),
            )
            for word in segment.words
        ],
    )


def _wire_turns(turns: tuple[Turn, ...]) -> list[WireTurn]:
    spans = sorted((to_ms(turn.start), to_ms(turn.end), turn.speaker) for turn in turns)
    return [WireTurn(speaker=speaker, start_s=start / 1000, end_s=end / 1000) for start, end, speaker in spans]


def _overlaps(segments: list[Segment]) -> list[list[str]]:
    """For each segment the ids of other speakers' segments that share at least a millisecond with it, in order.

    `segments` are sorted by their starts in milliseconds.
    """
    spans = [(to_ms(segment.start), to_ms(segment.end)) for segment in segments]
    found: list[list[int]] = [[] for _ in segments]
    running: list[int] = []
    for index, (start, end) in enumerate(spans):
        running = [other for other in running if spans[other][1] > start]
        if end > start:
            others = [other for other in running if segments[other].speaker != segments[index].speaker]
            found[index].extend(others)
            for other in others:
                found[other].append(index)
            running.append(index)
    return [[segments[other].id for other in others] for others in found]


def _segment(wire: WireTranscript, index: int) -> Segment:
    segment, place = wire.segments[index], f"segments.{index}"
    words = []
    for number, word in enumerate(segment.words):
        start, end = _span(word, f"{place}.words.{number}")
        words.append(Word(word.text, start, end, word.confidence))
    start, end = _span(segment, place)
    result = Segment(segment.id, segment.speaker, start, end, tuple(words), _flags(segment.flags, place))
    if result.text != segment.text:
        raise InputError(f"{place}.text differs from its words; edit the words", param=f"{place}.text")
    return result


def _flags(names: list[str], place: str) -> frozenset[Flag]:
    known = {flag.value for flag in Flag}
    for name in names:
        if name not in known:
            raise InputError(f"{place}.flags: unknown flag {name!r}", param=f"{place}.flags")
    return frozenset(Flag(name) for name in names)


def _check_speakers(wire: WireTranscript) -> None:
    names = {speaker.id: speaker.name for speaker in wire.speakers}
    _check_unique([speaker.id for speaker in wire.speakers], "speakers")
    _check_unique([segment.id for segment in wire.segments], "segments")
    uses = [(f"segments.{index}", segment.speaker) for index, segment in enumerate(wire.segments)]
    uses += [(f"turns.{index}", turn.speaker) for index, turn in enumerate(wire.turns)]
    for place, speaker in uses:
        if speaker not in names:
            raise InputError(f"{place}.speaker: {speaker} is not in speakers", param=f"{place}.speaker")
    for index, segment in enumerate(wire.segments):
        if segment.speaker_name != names[segment.speaker]:
            place = f"segments.{index}.speaker_name"
            raise InputError(f"{place} differs from the name in speakers; edit that one", param=place)


def _check_unique(ids: list[int] | list[str], place: str) -> None:
    for value, count in Counter(ids).items():
        if count > 1:
            raise InputError(f"{place}: id {value!r} is there {count} times", param=place)


def _span(item: WireSegment | WireWord | WireTurn, place: str) -> tuple[int, int]:
    if item.end_s < item.start_s:
        raise InputError(f"{place}: end_s is before start_s", param=place)
    return _samples(item.start_s), _samples(item.end_s)


def _samples(value_s: float) -> int:
    return from_ms(round(value_s * 1000))
