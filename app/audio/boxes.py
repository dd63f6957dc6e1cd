"""A look at the boxes of an mp4/mov file (ISO 14496-12) before FFmpeg sees it.

Two things that FFmpeg cannot tell or prevent: an upload cut off before its index (`moov`) gives only "invalid data",
and a table that claims millions of samples in a few bytes makes it allocate an index entry for each (gigabytes).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from app.audio.source import SourceFile
from app.errors import AudioTruncated, AudioUnreadable

_NESTING = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"moof", b"traf"}
_MAX_BOXES = 2_000_000
_SAMPLE_FIELDS = 0xF00
"""Flags of `trun` for duration, size, flags and time of each sample; without them a sample takes no bytes there."""


def is_mp4(source: SourceFile) -> bool:
    """Whether the file starts like mp4, m4a, mov or 3gp."""
    return source.peek(4, 4) in {b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"}


def check_mp4(source: SourceFile) -> None:
    """Raises AudioTruncated (no index in the file), AudioUnreadable (an index larger than the file can hold)."""
    indexed = False
    for kind, start, end in _walk(source):
        indexed = indexed or kind == b"moov"
        if kind == b"stsz":
            size, count = _numbers(source, start + 4, end)
            _check_count(source, count * size)
        elif kind == b"trun":
            flags, count = _numbers(source, start, end)
            _check_count(source, 0 if flags & _SAMPLE_FIELDS else count)
    if not indexed:
        raise AudioTruncated("the file has no index (moov): it was cut off, damaged, or its recording never finished")


def _check_count(source: SourceFile, min_bytes: int) -> None:
    if min_bytes > source.size:
        raise AudioUnreadable("the file is damaged: its index lists more samples than the file can hold")


def _numbers(source: SourceFile, start: int, end: int) -> tuple[int, int]:
    """Two 32-bit numbers, zeros where the box is too short for them."""
    data = source.peek(start, min(8, max(0, end - start)))
    first, second = struct.unpack(">II", data.ljust(8, b"\0"))
    return int(first), int(second)


def _walk(source: SourceFile) -> Iterator[tuple[bytes, int, int]]:
    """All boxes, outer before inner: kind, start and end of the content. Stops at what is not a box."""
    levels = [(0, source.size)]
    boxes = 0
    while levels:
        position, end = levels.pop()
        header = source.peek(position, 16) if position + 8 <= end else b""
        if len(header) < 8:
            continue
        size, kind = struct.unpack(">I4s", header[:8])
        content = position + 8
        if size == 1 and len(header) == 16:
            size, content = struct.unpack(">Q", header[8:])[0], position + 16
        elif size == 0:
            size = end - position
        if size < content - position:
            continue
        stop = min(position + size, end)
        yield kind, content, stop
        levels.append((stop, end))
        if kind in _NESTING:
            levels.append((content, stop))
        boxes += 1
        if boxes > _MAX_BOXES:
            raise AudioUnreadable("the file is damaged: its index has too many parts")
