"""The tentative text of a session: one decode at a time, as often as there is time for it, each replacing the last.

What is asked and when depends on speed; nothing final depends on it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from app.core.types import Decoded, DecodeRequest, Segment

Segments = tuple[Segment, ...]


@dataclass(frozen=True, slots=True)
class TailPorts:
    """What the tail works with.

    look: the request for what is open now, None when nothing is; decode: asks the engine; read: what an answer shows;
    free: whether the session has nothing better to do; give: a new tentative text; fail: gets what `decode` raises.
    """

    look: Callable[[], DecodeRequest | None]
    decode: Callable[[DecodeRequest], Awaitable[Decoded]]
    read: Callable[[Decoded], Segments]
    free: Callable[[], bool]
    give: Callable[[Segments], None]
    fail: Callable[[BaseException], None]


class Tail:
    """Asked by `show` after every window. step_s: a decode that takes longer than this is followed by a rest of as much
    as it took longer, so that an engine that is too slow for partials has time for the rest."""

    def __init__(self, ports: TailPorts, step_s: float) -> None:
        self._ports, self._step_s = ports, step_s
        self._task: asyncio.Task[None] | None = None
        self._rest_until_s = 0.0
        self._outdated = False
        self.segments: Segments = ()

    def show(self) -> None:
        """Ask for what is open now. While an answer is under way, it is asked for once more behind it."""
        self._outdated = self._task is not None and not self._task.done()
        if self._outdated or time.monotonic() < self._rest_until_s:
            return
        request = self._ports.look()
        if request is None:
            self.give(())
        else:
            self._task = asyncio.ensure_future(self._ask(request))

    def give(self, segments: Segments) -> None:
        """This is the tentative text from now on."""
        if segments != self.segments:
            self.segments = segments
            self._ports.give(segments)

    def cancel(self) -> list[asyncio.Task[None]]:
        """Ask no more; the tasks to wait for."""
        if self._task is None:
            return []
        self._task.cancel()
        return [self._task]

    async def _ask(self, request: DecodeRequest) -> None:
        asked: DecodeRequest | None = request
        while asked is not None:
            self._outdated = False
            began_s = time.monotonic()
            try:
                decoded = await self._ports.decode(asked)
            except Exception as error:  # noqa: BLE001 - the session's edge: its reader gets it
                self._ports.fail(error)
                return
            now_s = time.monotonic()
            self._rest_until_s = now_s + max(0.0, now_s - began_s - self._step_s)
            self.give(self._ports.read(decoded))
            again = self._outdated and self._ports.free() and now_s >= self._rest_until_s
            asked = self._ports.look() if again else None
