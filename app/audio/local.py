"""A file -> its frames and what is known about it, decoded in this very process."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack

import numpy as np

from app.audio.container import OpenAudio, describe, open_container
from app.audio.endings import is_cut_off
from app.audio.limits import AudioLimits
from app.audio.media import AudioWarning, MediaInfo, Warnings
from app.audio.packets import Decoder
from app.audio.source import SourceFile
from app.audio.timeline import Timeline
from app.core.times import SAMPLE_RATE
from app.core.types import FloatArray, Frames
from app.errors import AudioEmpty, AudioTruncated, AudioUnreadable, OptionInvalid

FRAME_SAMPLES = SAMPLE_RATE
"""Length of every frame but the last."""
_MISSING_S = 0.5
"""A file that ends this much before its stated duration is truncated; headers are rounded, encoders pad."""


def decode_here(source: SourceFile, limits: AudioLimits, channel: int | None) -> LocalDecoding:
    """Decode the first second; the source is closed with what is returned, also by an error.

    Raises what `open_recording` raises for a file that is open.
    """
    with ExitStack() as unless_done:
        unless_done.callback(source.close)
        audio = open_container(source)
        unless_done.callback(audio.container.close)
        decoding = LocalDecoding(source, audio, limits, channel)
        unless_done.pop_all()
    return decoding


class LocalDecoding:
    """See `Decoding` in recording.py. One thread at a time."""

    def __init__(self, source: SourceFile, audio: OpenAudio, limits: AudioLimits, channel: int | None) -> None:
        self._source = source
        self._audio = audio
        self._warnings = Warnings()
        describe(audio, limits)
        self._timeline = Timeline(limits, self._warnings, channel, audio.origin_s)
        self._decoder = Decoder(source, audio, limits, self._warnings)
        self._stream = _to_frames(self._line())
        self._first: Frames | None = next(self._stream, None)
        # Again, as some decoders know better than their container (the rate and channels of HE-AAC).
        self.info: MediaInfo = describe(audio, limits)
        if channel is not None and not 0 <= channel < self.info.channels:
            raise OptionInvalid(f"there is no channel {channel}: the sound has {self.info.channels}", param="channel")

    @property
    def warnings(self) -> tuple[AudioWarning, ...]:
        """What was noticed so far."""
        return self._warnings.all()

    def next(self) -> Frames | None:
        """The next second; None at the end."""
        first, self._first = self._first, None
        return first if first is not None else next(self._stream, None)

    def stop(self) -> None:
        """Nothing to do: a frame takes milliseconds."""

    def close(self) -> None:
        """Once."""
        self._stream.close()
        self._audio.container.close()
        self._source.close()

    def _line(self) -> Iterator[FloatArray]:
        for sound in self._decoder.sounds():
            yield from self._timeline.push(sound)
        self._check_end()
        yield from self._timeline.flush()

    def _check_end(self) -> None:
        # Where the clock jumped, the stated duration and the sound's have little to do with each other.
        stated_s = 0.0 if AudioWarning.TIMESTAMPS in self.warnings else self._audio.stated_s or 0.0
        truncated = stated_s * 0.999 - self._timeline.end_s > _MISSING_S or is_cut_off(
            self._source, self._audio.container.format.name
        )
        if truncated:
            self._warnings.add(AudioWarning.TRUNCATED)
        if self._timeline.has_sound:
            return
        if AudioWarning.DAMAGED in self.warnings:
            raise AudioUnreadable("the file is damaged: none of its sound can be decoded")
        if truncated:
            raise AudioTruncated("the file was cut off before its sound begins")
        raise AudioEmpty("the audio track is empty")


def _to_frames(line: Iterable[FloatArray]) -> Generator[Frames, None, None]:
    """Stretches of any length -> frames of one second."""
    start = 0
    rest = np.zeros(0, np.float32)
    for samples in line:
        rest = np.concatenate([rest, samples])
        while len(rest) >= FRAME_SAMPLES:
            yield Frames(start, rest[:FRAME_SAMPLES].copy())
            start += FRAME_SAMPLES
            rest = rest[FRAME_SAMPLES:]
    if len(rest):
        yield Frames(start, rest)
