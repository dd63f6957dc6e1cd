"""Does a file end before its time? Where FFmpeg does not let on: it trims WAV headers to the file, and Ogg has none."""

from __future__ import annotations

import struct

from app.audio.source import SourceFile

_UNKNOWN_BYTES = 0x7FFF_F000
"""Writers to a pipe put the largest number, or 0, as the size of the sound that they do not know yet."""
_MAX_CHUNKS = 1000
_MAX_PAGE_BYTES = 65_307


def is_cut_off(source: SourceFile, container: str) -> bool:
    """Whether the file's own marks say that it should go on. `container`: FFmpeg's name; False where there are none."""
    if container == "wav":
        return _wav_is_cut_off(source)
    return container == "ogg" and _ogg_is_cut_off(source)


def _wav_is_cut_off(source: SourceFile) -> bool:
    """RIFF: chunks of an id and a size; `data` is the sound."""
    position = 12
    if source.peek(0, 4) != b"RIFF":
        return False
    for _ in range(_MAX_CHUNKS):
        header = source.peek(position, 8)
        if len(header) < 8:
            return False
        kind, size = struct.unpack("<4sI", header)
        position += 8
        if kind == b"data":
            return bool(0 < size < _UNKNOWN_BYTES and position + size > source.size)
        position += size + size % 2
    return False


def _ogg_is_cut_off(source: SourceFile) -> bool:
    """RFC 3533: the last page of every stream has the end-of-stream flag, and pages tell their length."""
    start = max(0, source.size - 2 * _MAX_PAGE_BYTES)
    tail = source.peek(start, source.size - start)
    position = tail.rfind(b"OggS")
    header = tail[position : position + 27]
    if position < 0 or len(header) < 27:
        return True
    lengths = tail[position + 27 : position + 27 + header[26]]
    return not header[5] & 4 or len(lengths) < header[26] or len(tail) < position + 27 + len(lengths) + sum(lengths)
