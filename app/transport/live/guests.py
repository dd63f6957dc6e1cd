"""Sessions that are held here but live in their connection alone, as those of `/v1/listen`: counted and sent away with
the others, never resumed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(slots=True, eq=False)
class Guest:
    """One such session. `leave` is set when it is to end by itself; `left` once it has."""

    leave: asyncio.Event = field(default_factory=asyncio.Event)
    left: asyncio.Event = field(default_factory=asyncio.Event)


class Guests:
    """Who is here. One event loop."""

    def __init__(self) -> None:
        self._here: set[Guest] = set()

    def __len__(self) -> int:
        return len(self._here)

    @contextmanager
    def stay(self) -> Iterator[Guest]:
        """Be counted for as long as this lasts."""
        guest = Guest()
        self._here.add(guest)
        try:
            yield guest
        finally:
            self._here.discard(guest)
            guest.left.set()

    def send_away(self) -> tuple[Guest, ...]:
        """Ask everybody to end; returns whom."""
        asked = tuple(self._here)
        for guest in asked:
            guest.leave.set()
        return asked
