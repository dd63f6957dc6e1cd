"""Messages between the server and a process that decodes: one byte of kind, four of length, the rest.

Each side reads what the other wrote as if a stranger had written it: the process may have been taken over.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import IntEnum

import numpy as np

from app.audio.limits import AudioLimits, ProcessLimits
from app.audio.media import AudioWarning, MediaInfo
from app.core.types import FloatArray, Frames
from app.errors import (
    AudioEmpty,
    AudioFormatUnsupported,
    AudioTooLong,
    AudioTruncated,
    AudioUnreadable,
    CrosstalkError,
    FileUnreadable,
    NoAudioTrack,
    OptionInvalid,
)

MAX_BYTES = 4 << 20
"""Of one message; a second of sound has 64 kB, and the sound of one packet less than a megabyte."""
_HEAD = struct.Struct("<BI")
HEAD_BYTES = _HEAD.size
_START = struct.Struct("<Q")
_MOST_SAMPLES = 1 << 48
_ERRORS = {
    kind.code: kind
    for kind in (
        AudioEmpty,
        AudioFormatUnsupported,
        AudioTooLong,
        AudioTruncated,
        AudioUnreadable,
        FileUnreadable,
        NoAudioTrack,
        OptionInvalid,
    )
}


class Kind(IntEnum):
    """What a message says; all but PIECE come from the process."""

    READY = 1
    """Everything is loaded and given up; from now on a failure is the media's."""
    OPENED = 2
    WARNED = 3
    SOUND = 4
    GAP = 5
    HUNGRY = 6
    """All bytes are used up."""
    END = 7
    FAILED = 8
    BROKEN = 9
    """An error that nobody thought of; its text is for the log."""
    PIECE = 10
    """Bytes of a container; none: there are no more."""


class Malformed(Exception):
    """A message that nobody writes who is what it should be."""


@dataclass(frozen=True, slots=True)
class Task:
    """What the process is to do. file: number of the open file, None = a container of FFmpeg's name `container` that
    comes in pieces on stdin, whose sound begins at the sample `start`."""

    limits: AudioLimits
    process: ProcessLimits
    file: int | None = None
    channel: int | None = None
    container: str = ""
    start: int = 0


def dump_task(task: Task) -> str:
    """As JSON."""
    return json.dumps(asdict(task))


def load_task(text: str) -> Task:
    """Raises TypeError, ValueError."""
    data = json.loads(text)
    limits, process = data.pop("limits"), data.pop("process")
    return Task(AudioLimits(**limits | {"process": None}), ProcessLimits(**process), **data)


def head(kind: Kind, size: int) -> bytes:
    """What stands before a message's content."""
    return _HEAD.pack(kind, size)


def load_head(data: bytes) -> tuple[Kind, int]:
    """Raises Malformed."""
    kind, size = _HEAD.unpack(data)
    if size > MAX_BYTES or not Kind.READY <= kind <= Kind.PIECE:
        raise Malformed
    return Kind(kind), size


def write(fd: int, kind: Kind, content: bytes = b"") -> None:
    """All of it; blocks. Raises OSError."""
    data = memoryview(head(kind, len(content)) + content)
    while data:
        data = data[os.write(fd, data) :]


def dump_sound(frames: Frames) -> bytes:
    """Start, then samples."""
    return _START.pack(frames.start) + frames.samples.astype("<f4", copy=False).tobytes()


def load_sound(data: bytes, start: int) -> Frames:
    """Sound that begins at `start`, finite and within [-1, 1]. Raises Malformed."""
    if len(data) <= _START.size or (len(data) - _START.size) % 4 or _START.unpack_from(data)[0] != start:
        raise Malformed
    samples: FloatArray = np.frombuffer(data, "<f4", offset=_START.size).astype(np.float32)
    if not bool(np.isfinite(samples).all()) or bool((np.abs(samples) > 1).any()):
        raise Malformed
    return Frames(start, samples)


def dump_info(info: MediaInfo) -> bytes:
    """As JSON."""
    return json.dumps(asdict(info)).encode()


def load_info(data: bytes) -> MediaInfo:
    """Raises Malformed."""
    try:
        said = json.loads(data)
        info = MediaInfo(**said)
    except (ValueError, TypeError, RecursionError) as error:
        raise Malformed from error
    numbers = isinstance(info.duration_s, int | float | None) and all(
        type(it) is int for it in (info.rate, info.channels)
    )
    if not numbers or not isinstance(info.codec, str) or not isinstance(info.container, str):
        raise Malformed
    return info


def dump_warnings(warnings: Iterable[AudioWarning]) -> bytes:
    """As JSON."""
    return json.dumps([str(it) for it in warnings]).encode()


def load_warnings(data: bytes) -> tuple[AudioWarning, ...]:
    """Raises Malformed."""
    try:
        return tuple(dict.fromkeys(AudioWarning(it) for it in json.loads(data)))
    except (ValueError, TypeError, RecursionError) as error:
        raise Malformed from error


def dump_gap(start: int, end: int, reason: str) -> bytes:
    """As JSON."""
    return json.dumps([start, end, reason]).encode()


def load_gap(data: bytes) -> tuple[int, int, str]:
    """Raises Malformed."""
    try:
        start, end, reason = json.loads(data)
    except (ValueError, TypeError, RecursionError) as error:
        raise Malformed from error
    if type(start) is not int or type(end) is not int or reason not in ("damaged", "timestamps"):
        raise Malformed
    if not 0 <= start <= end < _MOST_SAMPLES:
        raise Malformed
    return start, end, str(reason)


def dump_error(error: CrosstalkError) -> bytes:
    """As JSON."""
    return json.dumps([error.code, error.message, error.param]).encode()


def load_error(data: bytes) -> CrosstalkError:
    """Raises Malformed."""
    try:
        code, message, param = json.loads(data)
        kind = _ERRORS[code]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise Malformed from error
    if not isinstance(message, str) or not isinstance(param, str | None):
        raise Malformed
    return kind(message[:500], param=None if param is None else param[:60])
