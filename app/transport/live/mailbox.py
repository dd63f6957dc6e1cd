"""What waits for one reader of a session, a client or a viewer: events in order, but only the newest partial.

A reader never slows the session: a full mailbox takes nothing more and says so, and whoever sends from it decides what
becomes of its reader.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Letter:
    """An event's frame. revision: that of a stored event, 0 for others."""

    text: str
    revision: int = 0


@dataclass(frozen=True, slots=True)
class Closing:
    """The connection is to be closed once everything before has been sent."""

    code: int
    reason: str


class Mailbox:
    """One writer's side never waits; one reader."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._letters: deque[Letter | Closing] = deque()
        self._partial: Letter | None = None
        self._changed = asyncio.Event()
        self.overflowed = False

    @property
    def waiting(self) -> int:
        """Items that nobody has taken yet, the partial not counted."""
        return len(self._letters)

    def put(self, letter: Letter) -> None:
        """An event that must not be missed."""
        if len(self._letters) >= self._limit:
            self.overflowed = True
        else:
            self._letters.append(letter)
        self._changed.set()

    def put_partial(self, letter: Letter) -> None:
        """The newest tentative text; takes the place of one that still waits."""
        self._partial = letter
        self._changed.set()

    def close(self, code: int, reason: str) -> None:
        """Say how the connection ends."""
        self._letters.append(Closing(code, reason))
        self._changed.set()

    def clear(self) -> None:
        """Throw away what waits, but for a closing; for a reader that gets everything anew."""
        self._letters = deque(it for it in self._letters if isinstance(it, Closing))
        self.overflowed = False

    async def get(self, timeout_s: float) -> Letter | Closing | None:
        """The next item, partials behind all others; None when nothing came in time."""
        try:
            async with asyncio.timeout(timeout_s):
                while not (self._letters or self._partial or self.overflowed):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return None
        if self._letters:
            return self._letters.popleft()
        letter, self._partial = self._partial, None
        return letter
