"""What waits for the reader of a session: all in order, but of partials, progress and acks only the newest."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator

from app.live.updates import Ack, Finished, Partial, Progress, Update


class Outbox:
    """One writer, one reader. Memory: `max_waiting` updates; `room` waits while more do."""

    def __init__(self, max_waiting: int = 1_000) -> None:
        self._max = max_waiting
        self._waiting: deque[Update] = deque()
        self._changed = asyncio.Event()
        self._read = asyncio.Event()
        self._error: BaseException | None = None
        self._closed = False

    def put(self, update: Update) -> None:
        """Add an update. A waiting partial, progress or ack is replaced by a newer one, which takes its own place."""
        if isinstance(update, Partial | Progress | Ack):
            kind = type(update)
            self._waiting = deque(old for old in self._waiting if not isinstance(old, kind))
        self._waiting.append(update)
        self._changed.set()

    def fail(self, error: BaseException) -> None:
        """The reader gets what waits, then this error."""
        self._error = error
        self._changed.set()

    def close(self) -> None:
        """The reader gets what waits, then the end."""
        self._closed = True
        self._changed.set()

    async def room(self) -> None:
        """Wait until the reader has kept up."""
        while len(self._waiting) >= self._max:
            self._read.clear()
            await self._read.wait()

    async def updates(self) -> AsyncIterator[Update]:
        """Every update to the end. Raises what `fail` was given."""
        while True:
            while self._waiting:
                update = self._waiting.popleft()
                self._read.set()
                yield update
                if isinstance(update, Finished):
                    return
            if self._error is not None:
                raise self._error
            if self._closed:
                return
            self._changed.clear()
            await self._changed.wait()
