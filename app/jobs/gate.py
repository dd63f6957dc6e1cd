"""The shared engine as one job sees it: a deadline for every window, patience under load, and a gate that can be shut.

Many windows of a job wait at once, and live sessions go before them. So a deadline is counted from the last answer that
the job got: an engine that answers is slow, one that does not hangs.

Once the gate is shut no new window is asked, and those in flight are finished and recorded: that is the window
boundary at which a job is handed over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from app.core.types import Decoded, DecodeRequest, EngineSpec, LocalDiarization, Window
from app.engine.about import capacity_of
from app.engine.base import Engine
from app.errors import Overloaded, WindowTimeout

_T = TypeVar("_T")
_PAUSE_S = 1.0


class GatedEngine:
    """An Engine for one job over one that many share; closing it leaves the shared one open. One event loop only.

    window_timeout_s: how long a window waits after it was asked, or after the last answer to another one.
    """

    def __init__(self, inner: Engine, window_timeout_s: float) -> None:
        self._inner = inner
        self._timeout_s = window_timeout_s
        self._deadlines: set[asyncio.Timeout] = set()
        self._in_flight = 0
        self._shut = False
        self._never = asyncio.Event()

    @property
    def spec(self) -> EngineSpec:
        """The shared engine's."""
        return self._inner.spec

    @property
    def capacity(self) -> int:
        """The shared engine's."""
        return capacity_of(self._inner)

    @property
    def in_flight(self) -> int:
        """Windows that are being computed."""
        return self._in_flight

    async def diarize(self, window: Window) -> LocalDiarization:
        """See Engine. Raises WindowTimeout."""
        return await self._ask(lambda: self._inner.diarize(window), f"diarizing window {window.index}")

    async def decode(self, request: DecodeRequest) -> Decoded:
        """See Engine. Raises WindowTimeout."""
        return await self._ask(lambda: self._inner.decode(request), f"decoding window {request.index}")

    async def aclose(self) -> None:
        """Nothing: the shared engine is others' too."""

    def shut(self) -> None:
        """Let nothing more in: who asks now waits until it is cancelled."""
        self._shut = True

    async def _ask(self, ask: Callable[[], Awaitable[_T]], what: str) -> _T:
        if self._shut:
            await self._never.wait()
        self._in_flight += 1
        try:
            async with asyncio.timeout(self._timeout_s) as deadline:
                self._deadlines.add(deadline)
                try:
                    answer = await _under_load(ask)
                finally:
                    self._deadlines.discard(deadline)
            self._answered()
            return answer
        except TimeoutError as error:
            raise WindowTimeout(f"{what}: the models answered nothing for {self._timeout_s:g} s") from error
        finally:
            self._in_flight -= 1

    def _answered(self) -> None:
        until_s = asyncio.get_running_loop().time() + self._timeout_s
        for deadline in self._deadlines:
            if not deadline.expired():
                deadline.reschedule(until_s)


async def _under_load(ask: Callable[[], Awaitable[_T]]) -> _T:
    """A job can wait while live sessions fill the engine."""
    while True:
        try:
            return await ask()
        except Overloaded:
            await asyncio.sleep(_PAUSE_S)
