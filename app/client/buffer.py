"""The sound that a client may have to send again: everything after the server's last acknowledgement. Pure.

Positions are bytes since the session's first. The rule when it is full: `room` is 0, and who wants to add must wait for
an acknowledgement; nothing is ever thrown away that the server has not acknowledged.
"""

from __future__ import annotations

from collections import deque


class SoundBuffer:
    """A queue of bytes with positions; adding and dropping cost the size of what is added or dropped."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._chunks: deque[bytes] = deque()
        self._first = 0
        """Position of the first byte of `_chunks[0]`; up to one chunk before `start`."""
        self._start = 0
        self._end = 0

    @property
    def start(self) -> int:
        """The first position that is still kept."""
        return self._start

    @property
    def end(self) -> int:
        """The position behind the last byte."""
        return self._end

    @property
    def room(self) -> int:
        """Bytes that may be added now."""
        return max(0, self._limit - (self._end - self._start))

    def add(self, data: bytes) -> None:
        """Take bytes in at the end. Raises ValueError beyond `room`."""
        if len(data) > self.room:
            raise ValueError(f"{len(data)} bytes do not fit into {self.room}")
        if data:
            self._chunks.append(data)
            self._end += len(data)

    def drop_before(self, position: int) -> None:
        """Forget what lies before `position`; positions outside what is kept move it no further than its ends."""
        self._start = min(max(position, self._start), self._end)
        while self._chunks and self._first + len(self._chunks[0]) <= self._start:
            self._first += len(self._chunks.popleft())

    def read(self, position: int, most: int) -> bytes:
        """At most `most` bytes from `position` on; empty at the end. Raises ValueError for what is not kept."""
        if not self._start <= position <= self._end:
            raise ValueError(f"position {position} is outside {self._start}..{self._end}")
        parts: list[bytes] = []
        at = self._first
        for chunk in self._chunks:
            if most <= 0:
                break
            if at + len(chunk) > position:
                part = chunk[position - at : position - at + most]
                parts.append(part)
                position += len(part)
                most -= len(part)
            at += len(chunk)
        return b"".join(parts)
