"""An engine that tells an Observer about every call; and how engines of our own are watched from within."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol, TypeVar, runtime_checkable

from app.context import traced_by
from app.core.times import SAMPLE_RATE
from app.core.types import Decoded, DecodeRequest, EngineSpec, LocalDiarization, Window
from app.engine.about import capacity_of, identity_of
from app.engine.base import Engine
from app.engine.load import EngineCost, cost_of
from app.errors import CrosstalkError
from app.observers import Observer, within

_T = TypeVar("_T")


@runtime_checkable
class Watchable(Protocol):
    """An engine that batches in this process."""

    @property
    def waiting(self) -> Mapping[str, int]:
        """Requests by step that are in no batch yet."""

    @property
    def device_memory(self) -> tuple[int, int] | None:
        """(bytes used, bytes in all) of its GPU; None without one."""

    def watch(self, observer: Observer) -> None:
        """Tell of every batch from now on."""


@runtime_checkable
class HasWorkers(Protocol):
    """An engine over inference workers."""

    @property
    def workers(self) -> Mapping[str, int]:
        """How many are in which state. From any thread."""


class ObservedEngine:
    """Engine over another one, whose answers it gives. Closing it closes the other."""

    def __init__(self, inner: Engine, observer: Observer) -> None:
        self._inner = inner
        self._observer = observer

    @property
    def spec(self) -> EngineSpec:
        """The other's."""
        return self._inner.spec

    @property
    def identity(self) -> str:
        """The other's."""
        return identity_of(self._inner)

    @property
    def capacity(self) -> int:
        """The other's."""
        return capacity_of(self._inner)

    def cost(self) -> EngineCost | None:
        """The other's."""
        return cost_of(self._inner)

    async def diarize(self, window: Window) -> LocalDiarization:
        """See Engine."""
        return await self._told("diarize", lambda: self._inner.diarize(window), window.valid)

    async def decode(self, request: DecodeRequest) -> Decoded:
        """See Engine."""
        decoded = await self._told("decode", lambda: self._inner.decode(request), len(request.samples))
        kind = "tentative" if any(turn.open for turn in request.turns) else "written"
        self._observer.words(kind, sum(len(turn.words) for turn in decoded.turns))
        return decoded

    async def aclose(self) -> None:
        """See Engine."""
        await self._inner.aclose()

    async def _told(self, step: str, ask: Callable[[], Awaitable[_T]], samples: int) -> _T:
        began_s, sound_s = time.monotonic(), samples / SAMPLE_RATE
        span = self._observer.span(f"engine {step}", {"crosstalk.sound_s": sound_s})
        with within(span), traced_by(span.trace):
            try:
                answer = await ask()
            except CrosstalkError as error:
                span.failed(error.code)
                self._observer.engine_call(step, time.monotonic() - began_s, sound_s, error.code)
                raise
        self._observer.engine_call(step, time.monotonic() - began_s, sound_s, "")
        return answer
