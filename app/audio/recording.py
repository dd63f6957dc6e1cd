"""A recording of any kind -> its frames, as a stream: memory does not grow with its length.

In: a path. Out: `Frames` of one second (the last one shorter), mono float32 at 16 kHz, from sample 0 without holes.
Everything is decoded on the way; nothing is kept but the second at hand.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from app.audio.jail.recorded import decode_apart
from app.audio.limits import AudioLimits
from app.audio.local import FRAME_SAMPLES, decode_here
from app.audio.media import AudioWarning, MediaInfo
from app.audio.source import SourceFile
from app.core.types import Frames

__all__ = ["FRAME_SAMPLES", "Decoding", "Recording", "aopen_recording", "open_recording"]


class Decoding(Protocol):
    """Who decodes, here or in another process. One thread at a time, but for `stop`."""

    @property
    def info(self) -> MediaInfo:
        """What the recording is made of."""

    @property
    def warnings(self) -> tuple[AudioWarning, ...]:
        """What was noticed so far."""

    def next(self) -> Frames | None:
        """The next second; None at the end."""

    def stop(self) -> None:
        """From any thread: let a `next` that waits come back soon."""

    def close(self) -> None:
        """Free everything; once."""


def open_recording(path: Path, limits: AudioLimits, *, channel: int | None = None) -> Recording:
    """Open a file and decode its first second, so that what cannot be read is found here.

    channel: take only this one (from 0) of `MediaInfo.channels`, None = the mean of all. For channels as speakers open
    one Recording for each; they have equal lengths.

    The first audio stream marked as default is read, else the first. Pictures are skipped undecoded. Time 0 is where a
    player starts: the first of picture and sound.

    Raises FileUnreadable, AudioUnreadable, AudioTruncated, NoAudioTrack, AudioEmpty, AudioTooLong,
    AudioFormatUnsupported, OptionInvalid (no such channel), Overloaded (no process for it can be started).
    """
    source = SourceFile(path)
    if limits.process is None:
        return Recording(decode_here(source, limits, channel))
    return Recording(decode_apart(source, limits, limits.process, channel))


async def aopen_recording(path: Path, limits: AudioLimits, *, channel: int | None = None) -> Recording:
    """The same in a thread; a caller that is cancelled meanwhile leaves nothing open."""
    opening = _Opening()
    try:
        return await asyncio.to_thread(opening.run, partial(open_recording, path, limits, channel=channel))
    except asyncio.CancelledError:
        opening.abandon()
        raise


class _Opening:
    """A recording that is opened in a thread for somebody who may go away; the loop may end before the thread does."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._abandoned = False
        self._recording: Recording | None = None

    def run(self, open_it: Callable[[], Recording]) -> Recording:
        recording = open_it()
        with self._lock:
            self._recording = recording
            if self._abandoned:
                recording.close()
        return recording

    def abandon(self) -> None:
        with self._lock:
            self._abandoned = True
            if self._recording is not None:
                self._recording.close()


class Recording:
    """An open recording; can be read once, by `frames` or `aframes`. Made by `open_recording`."""

    def __init__(self, decoding: Decoding) -> None:
        self._decoding = decoding
        self._lock = threading.Lock()
        self._closed = False
        self.info: MediaInfo = decoding.info

    @property
    def warnings(self) -> tuple[AudioWarning, ...]:
        """What was noticed so far; complete once the frames have come to their end."""
        return self._decoding.warnings

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
        self._decoding.stop()
        with self._lock:
            if not self._closed:
                self._closed = True
                self._decoding.close()

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
            return self._decoding.next()
