"""What work costs and how much is asked: measured, for deciding whether one more live stream has room.

`LoadMeter` times the batches of one engine: device seconds per request, for each step. `Demand` wraps the engine that
live sessions use and counts what they ask. Cost times demand is the load.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar, runtime_checkable

from app.core.types import Decoded, DecodeRequest, EngineSpec, LocalDiarization, Urgency, Window
from app.engine.base import Engine
from app.engine.own_time import OwnTime

Req = TypeVar("Req", Window, DecodeRequest)
Res = TypeVar("Res")

_MOST_BATCHES = 200


@dataclass(frozen=True, slots=True)
class EngineCost:
    """devices: that work side by side; diarize, decode: device seconds per request of live sessions and probes, as
    measured over the last batches; 0 = nothing measured yet"""

    devices: int
    diarize: float = 0.0
    decode: float = 0.0

    @property
    def known(self) -> bool:
        """Whether anything was measured."""
        return self.diarize > 0 or self.decode > 0


def together(costs: Sequence[EngineCost]) -> EngineCost:
    """Of several engines that share the work: all their devices, and the mean over those that have measured anything;
    one that has just started would make work look cheap."""
    measured = [cost for cost in costs if cost.known]
    number = max(1, len(measured))
    return EngineCost(
        max(1, sum(cost.devices for cost in costs)),
        sum(cost.diarize for cost in measured) / number,
        sum(cost.decode for cost in measured) / number,
    )


@runtime_checkable
class HasCost(Protocol):
    """An engine that measures itself."""

    def cost(self) -> EngineCost:
        """What its work costs now."""


def cost_of(engine: Engine) -> EngineCost | None:
    """What an engine's work costs; None where it does not know."""
    return engine.cost() if isinstance(engine, HasCost) else None


class LoadMeter:
    """Times the batches of one device, on any thread. Recordings do not count: they ask for more sound at a time."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._own_time = OwnTime(clock)
        self._lock = threading.Lock()
        self._batches: dict[str, deque[tuple[float, int]]] = {
            step: deque(maxlen=_MOST_BATCHES) for step in ("diarize", "decode")
        }

    def timed(self, step: str, call: Callable[[list[Req]], Sequence[Res]]) -> Callable[[list[Req]], Sequence[Res]]:
        """`call`, with its batches timed; one that raises is not counted."""

        def run(requests: list[Req]) -> Sequence[Res]:
            answers, took_s = self._own_time.timed(lambda: call(requests))
            if all(request.urgency is not Urgency.RECORDING for request in requests):
                with self._lock:
                    self._batches[step].append((took_s, len(requests)))
            return answers

        return run

    def cost(self) -> EngineCost:
        """Over the last batches of each step."""
        with self._lock:
            sums = {
                step: (sum(took for took, _ in kept), sum(number for _, number in kept))
                for step, kept in self._batches.items()
            }
        diarize, decode = (took / number if number else 0.0 for took, number in (sums["diarize"], sums["decode"]))
        return EngineCost(1, diarize, decode)


@dataclass(frozen=True, slots=True)
class Asked:
    """Requests so far, by step."""

    diarize: int = 0
    decode: int = 0


class Demand:
    """The engine of all live sessions: another one, and a count of what is asked. Closing it leaves the other open."""

    def __init__(self, inner: Engine) -> None:
        self._inner = inner
        self.asked = Asked()

    @property
    def spec(self) -> EngineSpec:
        """The inner engine's."""
        return self._inner.spec

    def cost(self) -> EngineCost | None:
        """The inner engine's."""
        return cost_of(self._inner)

    async def diarize(self, window: Window) -> LocalDiarization:
        """See Engine."""
        self.asked = Asked(self.asked.diarize + 1, self.asked.decode)
        return await self._inner.diarize(window)

    async def decode(self, request: DecodeRequest) -> Decoded:
        """See Engine."""
        self.asked = Asked(self.asked.diarize, self.asked.decode + 1)
        return await self._inner.decode(request)

    async def aclose(self) -> None:
        """Nothing: the inner engine is others' too."""
