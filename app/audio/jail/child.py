"""The process that decodes: started by `parent`, given a task, a file or pieces, and ended by the end of either."""

from __future__ import annotations

import importlib
import os
import sys
import traceback

import av
import numpy as np

from app.audio.jail import wire
from app.audio.jail.confine import confine
from app.audio.jail.wire import Kind
from app.audio.limits import AudioLimits
from app.audio.local import decode_here
from app.audio.media import AudioWarning
from app.audio.opus import Gap, Line, decode_opus
from app.audio.resample import Resampler
from app.audio.source import SourceFile
from app.errors import AudioUnreadable, CrosstalkError

_IN, _OUT = 0, 1
_MOST_TEXT = 4000
_LATER = (
    "logging",
    "av.audio.codeccontext",
    "av.audio.stream",
    "av.codec.context",
    "av.container.core",
    "av.subtitles.codeccontext",
    "av.subtitles.stream",
    "av.video.codeccontext",
    "av.video.stream",
)
"""What PyAV imports when it meets the first stream of a kind."""


def main() -> None:
    """From the start to the end of the process."""
    task = wire.load_task(sys.argv[1])
    source = None if task.file is None else SourceFile(task.file)
    _warm_up()
    confine(task.process)
    wire.write(_OUT, Kind.READY)
    try:
        if source is not None:
            _recording(source, task.limits, task.channel)
        else:
            _stream(task.limits, task.container, task.start)
        wire.write(_OUT, Kind.END)
    except CrosstalkError as error:
        wire.write(_OUT, Kind.FAILED, wire.dump_error(error))
    except MemoryError:
        wire.write(_OUT, Kind.FAILED, wire.dump_error(AudioUnreadable("reading it takes more memory than it may")))
    except BrokenPipeError:
        return
    except Exception:  # noqa: BLE001 - the edge of the process: the server logs it, and goes on
        wire.write(_OUT, Kind.BROKEN, traceback.format_exc()[-_MOST_TEXT:].encode())


def _warm_up() -> None:
    """Whatever loads files when it is first used: afterwards none can be opened."""
    for name in _LATER:
        importlib.import_module(name)
    Resampler(48_000).push(np.zeros(4_800, np.float32))
    for encoding in ("utf-8", "latin-1", "ascii"):
        b"a".decode(encoding, "replace")


def _recording(source: SourceFile, limits: AudioLimits, channel: int | None) -> None:
    decoding = decode_here(source, limits, channel)
    told: tuple[AudioWarning, ...] = ()
    wire.write(_OUT, Kind.OPENED, wire.dump_info(decoding.info))
    while True:
        frames = decoding.next()
        if decoding.warnings != told:
            told = decoding.warnings
            wire.write(_OUT, Kind.WARNED, wire.dump_warnings(told))
        if frames is None:
            return
        wire.write(_OUT, Kind.SOUND, wire.dump_sound(frames))


class _Pieces:
    """FFmpeg's source: what comes on stdin. Before it waits there it hands over all sound that is ready."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._data = memoryview(b"")
        self._ended = False

    def read(self, size: int) -> bytes:
        """At least one byte, or none at the end."""
        while not self._data and not self._ended:
            _hand_over(self._line)
            wire.write(_OUT, Kind.HUNGRY)
            _, length = wire.load_head(_exactly(wire.HEAD_BYTES))
            self._data = memoryview(_exactly(length))
            self._ended = length == 0
        piece, self._data = self._data[:size], self._data[size:]
        return bytes(piece)

    def progressed(self) -> None:
        """Nothing to count: a pipe cannot be read in circles."""


def _stream(limits: AudioLimits, name: str, start: int) -> None:
    line = Line(start)
    pieces = _Pieces(line)
    try:
        decode_opus(pieces, name, limits, line)
    except (av.FFmpegError, ValueError) as error:
        raise AudioUnreadable("the container is damaged or cut off in its header", param="audio") from error
    _hand_over(line)


def _hand_over(line: Line) -> None:
    for item in line.take():
        if isinstance(item, Gap):
            wire.write(_OUT, Kind.GAP, wire.dump_gap(item.start, item.end, item.reason))
        else:
            wire.write(_OUT, Kind.SOUND, wire.dump_sound(item))


def _exactly(size: int) -> bytes:
    """So many bytes of stdin. Raises BrokenPipeError when the server is gone."""
    data = bytearray()
    while len(data) < size:
        more = os.read(_IN, min(size - len(data), 1 << 16))
        if not more:
            raise BrokenPipeError
        data += more
    return bytes(data)
