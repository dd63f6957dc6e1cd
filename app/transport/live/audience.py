"""Viewers of all sessions that one process serves: counted, so that no crowd of them harms those who speak."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from app.errors import Overloaded


class Audience:
    """So many seats. One event loop."""

    def __init__(self, seats: int) -> None:
        self._seats = seats
        self._taken = 0

    def __len__(self) -> int:
        return self._taken

    def check(self) -> None:
        """Raises Overloaded when every seat is taken."""
        if self._taken >= self._seats:
            raise Overloaded(f"{self._taken} viewers are here already; try again later")

    @contextmanager
    def seat(self) -> Iterator[None]:
        """Hold a seat. Raises Overloaded."""
        self.check()
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1
