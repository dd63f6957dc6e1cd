"""Whether one more live stream has room, by what the streams that are there really cost.

Load of a stream = requests that a stream makes in a second (measured over half a minute) x device seconds per request
(measured over the last batches). A stream is let in while the load with it stays under `max_load` of the devices; so
those that are in keep their pace. The first is let in whatever it costs. Until streams have been heard for a while,
what a stream asks for is taken from experience, and the cost from the engine's own probe.

The new one is counted as one that talks without a rest, whatever the others do, and room is kept for some of those that
are silent now, as they will talk: of `n` of them about `sqrt(n)` more than on average at the worst moments. A second
sign that needs no model: when most sessions are told that they lag, nobody else is let in, whatever the figures say.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from app.engine.load import Asked, Demand

SAMPLE_EVERY_S = 1.0
_LEAST_LAGGING = 2


@dataclass(frozen=True, slots=True)
class GateRules:
    """max_load: part of the devices that live streams may use, 0 = not measured, any number up to `max_sessions`;
    window_s: over which demand is measured; prior_stream_s: stream seconds that the experience weighs;
    diarized_per_s, decoded_per_s: the experience: requests in a second of a stream that talks (docs/scale.md)"""

    max_load: float = 0.8
    window_s: float = 30.0
    prior_stream_s: float = 20.0
    diarized_per_s: float = 2.0
    decoded_per_s: float = 1.6


@dataclass(frozen=True, slots=True)
class _Sample:
    at_s: float
    streams: int
    asked: Asked


class StreamGate:
    """Watches the demand of the live sessions of this process. One event loop."""

    def __init__(self, demand: Demand, rules: GateRules, clock: Callable[[], float]) -> None:
        self._demand = demand
        self._rules = rules
        self._clock = clock
        self._samples: deque[_Sample] = deque()
        self._watcher: asyncio.Task[None] | None = None

    def start(self, streams: Callable[[], int]) -> None:
        """Begin to watch. streams: how many there are now"""
        self._watcher = asyncio.create_task(self._watch(streams))

    async def aclose(self) -> None:
        """Watch no more."""
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.gather(self._watcher, return_exceptions=True)

    def sample(self, streams: int) -> None:
        """Note how many streams there are and what was asked so far."""
        now_s = self._clock()
        self._samples.append(_Sample(now_s, streams, self._demand.asked))
        while self._samples[0].at_s < now_s - self._rules.window_s:
            self._samples.popleft()

    def stream_load(self) -> float:
        """Device seconds per second that one stream costs; 0 where the engine's work is not measured."""
        cost = self._demand.cost()
        if cost is None:
            return 0.0
        rules, samples = self._rules, list(self._samples)
        pairs = list(pairwise(samples))
        stream_s = sum(before.streams * (after.at_s - before.at_s) for before, after in pairs)
        first, last = (samples[0].asked, samples[-1].asked) if samples else (Asked(), Asked())
        weight = stream_s + rules.prior_stream_s
        prior_s = rules.prior_stream_s
        diarize = (last.diarize - first.diarize + prior_s * rules.diarized_per_s) / weight
        decode = (last.decode - first.decode + prior_s * rules.decoded_per_s) / weight
        return cost.diarize * diarize + cost.decode * decode

    def reason_against(self, streams: int, lagging: int) -> str:
        """Why a further stream would harm the `streams` that are there; empty when it would not.

        lagging: how many of them are told that they lag
        """
        if self._rules.max_load <= 0:
            return ""
        if lagging >= _LEAST_LAGGING and 2 * lagging > streams:
            return f"{lagging} of {streams} live sessions lag already"
        cost, each = self._demand.cost(), self.stream_load()
        if cost is None or streams == 0:
            return ""
        if not cost.known:
            return "what a live session costs is not measured yet"
        talking = cost.diarize * self._rules.diarized_per_s + cost.decode * self._rules.decoded_per_s
        more = max(each, talking) + math.sqrt(streams) * max(0.0, talking - each)
        if streams * each + more <= self._rules.max_load * cost.devices:
            return ""
        return (
            f"{streams} live sessions use {streams * each:.2f} of {cost.devices} devices; one more may take "
            f"{more:.2f}, and {self._rules.max_load:g} of a device is theirs"
        )

    async def _watch(self, streams: Callable[[], int]) -> None:
        while True:
            self.sample(streams())
            await asyncio.sleep(SAMPLE_EVERY_S)
