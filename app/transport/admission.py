"""How much work is let in: so many transcriptions run, so many more may upload or wait, the rest is refused at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from app.errors import Overloaded


class Admission:
    """Counts requests from their first byte to their last. One event loop only."""

    def __init__(self, running: int, waiting: int) -> None:
        self._room = running + waiting
        self._slots = asyncio.Semaphore(running)
        self._inside = 0

    @property
    def full(self) -> bool:
        """Whether the next request would be refused."""
        return self._inside >= self._room

    @property
    def inside(self) -> int:
        """Requests let in and not yet answered."""
        return self._inside

    @contextmanager
    def admit(self) -> Iterator[None]:
        """Hold a place for a request, upload included. Raises Overloaded when there is none."""
        if self.full:
            raise Overloaded(f"this server already works on {self._inside} transcriptions; try again later")
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Wait for, then hold, one of the places of those that run."""
        async with self._slots:
            yield
