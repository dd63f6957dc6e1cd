"""Who is here without a session of their own, viewers and sockets that have not begun: counted, so that no crowd of
them harms those who speak."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from app.errors import Overloaded


class Audience:
    """So many seats. who: that are counted, for messages. One event loop."""

    def __init__(self, seats: int, who: str) -> None:
        self._seats = seats
        self._who = who
        self._taken = 0

    def __len__(self) -> int:
        return self._taken

    def check(self) -> None:
        """Raises Overloaded when every seat is taken."""
        if self._taken >= self._seats:
            raise Overloaded(f"{self._taken} {self._who} are here already; try again later")

    @contextmanager
    def seat(self) -> Iterator[None]:
        """Hold a seat. Raises Overloaded."""
        self.check()
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1
