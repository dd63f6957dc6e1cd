"""What is known and noticed about a recording: values that travel beside its sound."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class MediaInfo:
    """What a recording is made of. `duration_s` is the container's word, not measured; None = it does not say.

    rate: Hz, of the source; channels: of the chosen audio stream; codec, container: FFmpeg's names.
    """

    duration_s: float | None
    rate: int
    channels: int
    codec: str
    container: str


class AudioWarning(StrEnum):
    """What was wrong with a recording that could be read all the same. Values are stable codes."""

    TRUNCATED = "audio_truncated"
    """The file ends before the duration that it announces."""
    DAMAGED = "audio_damaged"
    """Parts could not be decoded and became silence, so that later times stay right."""
    GAPS = "audio_gaps"
    """The timestamps leave out stretches; they became silence."""
    TIMESTAMPS = "audio_timestamps"
    """The timestamps jump back or too far ahead; the sound was joined there."""
    NOT_FINITE = "audio_not_finite"
    """NaN or infinite samples became zeros."""
    OUT_OF_PHASE = "audio_out_of_phase"
    """Two channels cancel each other out; the louder one was taken alone there."""


class Warnings:
    """Warnings in the order of their first appearance, each once."""

    def __init__(self) -> None:
        self._seen: dict[AudioWarning, None] = {}

    def add(self, warning: AudioWarning) -> None:
        """Note a warning; again is harmless."""
        self._seen.setdefault(warning)

    def all(self) -> tuple[AudioWarning, ...]:
        """Everything noted so far."""
        return tuple(self._seen)
