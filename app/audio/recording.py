"""A recording of any kind -> its frames, as a stream: memory does not grow with its length.

In: a path. Out: `Frames` of one second (the last one shorter), mono float32 at 16 kHz, from sample 0 without holes.
Everything is decoded on the way; nothing is kept but the second at hand.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Generator, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

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


def open_recording(path: Path, limits: AudioLimits, *, channel: int | None = None) -> Recording:
    """Open a file and decode its first second, so that what cannot be read is found here.

    channel: take only this one (from 0) of `MediaInfo.channels`, None = the mean of all. For channels as speakers open
    one Recording for each; they have equal lengths.

    The first audio stream marked as default is read, else the first. Pictures are skipped undecoded. Time 0 is where a
    player starts: the first of picture and sound.

    Raises FileUnreadable, AudioUnreadable, AudioTruncated, NoAudioTrack, AudioEmpty, AudioTooLong,
    AudioFormatUnsupported, OptionInvalid (no such channel).
    """
    source = SourceFile(path)
    try:
        audio = open_container(source)
    except BaseException:
        source.close()
        raise
    try:
        return Recording(source, audio, limits, channel)
    except BaseException:
        audio.container.close()
        source.close()
        raise


class Recording:
    """An open recording; can be read once, by `frames` or `aframes`. Made by `open_recording`."""

    def __init__(self, source: SourceFile, audio: OpenAudio, limits: AudioLimits, channel: int | None) -> None:
        self._source = source
        self._audio = audio
        self._warnings = Warnings()
        describe(audio, limits)
        self._timeline = Timeline(limits, self._warnings, channel, audio.origin_s)
        self._decoder = Decoder(source, audio, limits, self._warnings)
        self._stream = _to_frames(self._line())
        self._lock = threading.Lock()
        self._closed = False
        self._first: Frames | None = next(self._stream, None)
        # Again, as some decoders know better than their container (the rate and channels of HE-AAC).
        self.info: MediaInfo = describe(audio, limits)
        if channel is not None and not 0 <= channel < self.info.channels:
            raise OptionInvalid(f"there is no channel {channel}: the sound has {self.info.channels}", param="channel")

    @property
    def warnings(self) -> tuple[AudioWarning, ...]:
        """What was noticed so far; complete once the frames have come to their end."""
        return self._warnings.all()

    def frames(self) -> Iterator[Frames]:
        """The sound. Blocks while it decodes. Raises what `open_recording` raises; RuntimeError when closed."""
        while (frames := self._next()) is not None:
            yield frames

    async def aframes(self) -> AsyncIterator[Frames]:
        """The same with the decoding in worker threads, one frame at a time and only when asked for one: nothing piles
        up, and a caller that stops or is cancelled leaves no thread behind."""
        while (frames := await asyncio.to_thread(self._next)) is not None:
            yield frames

    def close(self) -> None:
        """Idempotent. Waits for a frame that is being decoded in another thread (milliseconds)."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._stream.close()
                self._audio.container.close()
                self._source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _next(self) -> Frames | None:
        with self._lock:
            if self._closed:
                raise RuntimeError("the recording is closed")
            first, self._first = self._first, None
            return first if first is not None else next(self._stream, None)

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
