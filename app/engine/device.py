"""The one thread of a device: which of the waiting requests go to the models next.

Lanes (`batching.MicroBatcher`) keep the requests and run their batches; here is decided whose turn it is. A batch under
way gives way, too: where its model pauses (`let_pass`), what is more urgent is answered within it. Where several
devices are the same cores, what nobody waits for also waits while another one has something more urgent.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Protocol

from app.engine.own_time import OwnTime
from app.errors import EngineClosed

DEFAULT_PATIENCE_S = 20.0
_LATELY_S = 10.0
"""For how long one urgent request lets others be expected."""


@dataclass(slots=True, eq=False)
class Item:
    """A request that waits. entered_s, due: when it came, and until when it waits for company, by the device's clock;
    request, group, future: the lane's own, of its types."""

    request: Any
    group: Any
    urgency: int
    arrived: int
    entered_s: float
    due: float
    future: Future[Any]


class Lane(Protocol):
    """Requests of one kind that wait for a device. All but `waiting` and `answer` need the device's lock, and all but
    `refuse_waiting` a waiting request."""

    @property
    def waiting(self) -> int:
        """Requests that are not in a batch yet."""

    def first(self) -> tuple[int, int]:
        """Urgency and arrival number of the request that goes next."""

    def oldest(self) -> Item:
        """The request that has waited longest."""

    def due(self) -> float:
        """When the next batch may begin, by the device's clock."""

    def take(self, head: Item | None = None) -> list[Item]:
        """Remove and return the next batch, or that of `head`."""

    def answer(self, items: list[Item]) -> None:
        """Run one batch on the calling thread; calls the device's `free` once."""

    def refuse_waiting(self) -> None:
        """Fail everything that waits with EngineClosed."""


@dataclass(frozen=True, slots=True)
class _UnderWay:
    """A batch in the models; began_s by the device's clock."""

    urgency: int
    began_s: float


@dataclass(slots=True, eq=False)
class Cores:
    """What devices share that compute on the same cores. yielding: from this urgency on, batches leave the cores to
    what is more urgent on the other devices."""

    yielding: float = math.inf
    changed: threading.Condition = field(default_factory=threading.Condition)
    devices: list[DeviceThread] = field(default_factory=list)


class DeviceThread:
    """The thread of one device. Batchers are added to it; nothing else runs there.

    patience_s: how long a request is passed over by more urgent ones; clock: seconds that never go back; cores: what it
    shares with other devices, None = nothing.
    """

    def __init__(
        self,
        name: str,
        patience_s: float = DEFAULT_PATIENCE_S,
        clock: Callable[[], float] = time.monotonic,
        cores: Cores | None = None,
    ) -> None:
        self._cores = cores or Cores()
        self.changed = self._cores.changed
        self.clock = clock
        self._patience_s = patience_s
        self.own_time = OwnTime(clock)
        self._passed_over_s = -math.inf
        self._lanes: list[Lane] = []
        self._closed = False
        self._under_way: list[_UnderWay] = []
        self._came_s: dict[int, float] = {}
        self._begun_s: dict[int, float] = {}
        self._arrivals = 0
        with self.changed:
            self._cores.devices.append(self)
        # A daemon, so that a process whose engine was never closed can still end.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def closed(self) -> bool:
        """Whether no request is taken any more."""
        return self._closed

    def add(self, lane: Lane) -> None:
        """Let a batcher use this thread. Raises EngineClosed."""
        with self.changed:
            if self._closed:
                raise EngineClosed("the engine is closed")
            self._lanes.append(lane)

    def arrive(self, urgency: int) -> tuple[int, bool]:
        """A new request's number among all of the device's, and whether it finds the device idle. Needs `changed`."""
        self._arrivals += 1
        self._came_s[urgency] = self.clock()
        return self._arrivals, not self._under_way and all(lane.waiting == 0 for lane in self._lanes)

    def expects(self, urgency: int) -> bool:
        """Whether requests more urgent than this came lately. Needs `changed`."""
        since_s = self.clock() - _LATELY_S
        return any(
            other < urgency and came_s >= since_s
            for device in self._cores.devices
            for other, came_s in device._came_s.items()
        )

    def free(self) -> None:
        """The models have done their part of the batch."""
        with self.changed:
            self._under_way.pop()
            self.changed.notify_all()

    def let_pass(self) -> None:
        """From within a batch: answer what is more urgent than it first. Does nothing on other threads.

        A batch that has been under way for `patience_s` lets nothing pass any more: it comes to its end.
        """
        if threading.current_thread() is not self._thread:
            return
        while True:
            with self.changed:
                taken = self._take_more_urgent()
                if taken is None:
                    left_s = self._left_to_others_s()
                    if left_s <= 0:
                        return
                    # Not the batch's own time.
                    self.own_time.timed(lambda: self.changed.wait(left_s))  # noqa: B023 - called at once
                    continue
            lane, items = taken
            lane.answer(items)

    async def aclose(self) -> None:
        """Finish the batch in flight, fail what waits with EngineClosed, end the thread. May be called again."""
        self._close()
        await asyncio.to_thread(self._thread.join)

    def _close(self) -> None:
        with self.changed:
            self._closed = True
            for lane in self._lanes:
                lane.refuse_waiting()
            self.changed.notify_all()

    def _run(self) -> None:
        try:
            while (taken := self._take()) is not None:
                lane, items = taken
                lane.answer(items)
        finally:
            # Also when a batch ends the thread by something worse than an Exception: nobody may wait for ever.
            self._close()
            self._lanes.clear()

    def _take(self) -> tuple[Lane, list[Item]] | None:
        """Wait for the next batch; None once closed."""
        with self.changed:
            while not self._closed:
                now = self.clock()
                waits_s = {lane: max(lane.due() - now, self._held_s(lane, now)) for lane in self._lanes if lane.waiting}
                ready = [lane for lane, wait_s in waits_s.items() if wait_s <= 0]
                if ready:
                    return self._begun(*self._next(ready, now))
                self.changed.wait(min(waits_s.values(), default=None))
            return None

    def _held_s(self, lane: Lane, now: float) -> float:
        """How long a lane waits for what is more urgent on the other devices, at most; 0 = it does not."""
        urgency = lane.first()[0]
        return self._since_s(lane.oldest()) + self._patience_s - now if self._yields(urgency) else 0.0

    def _left_to_others_s(self) -> float:
        """The same for the batch under way."""
        if self._closed or not self._under_way or not self._yields(self._under_way[-1].urgency):
            return 0.0
        return self._under_way[-1].began_s + self._patience_s - self.clock()

    def _yields(self, urgency: int) -> bool:
        others = (device for device in self._cores.devices if device is not self)
        return urgency >= self._cores.yielding and any(device._has_more_urgent(urgency) for device in others)

    def _has_more_urgent(self, urgency: int) -> bool:
        under_way = any(batch.urgency < urgency for batch in self._under_way)
        return under_way or any(lane.waiting and lane.first()[0] < urgency for lane in self._lanes)

    def _since_s(self, item: Item) -> float:
        """Since when it waits for its turn: the last batch of its kind counts, too, so that a whole queue that is old
        takes one batch in so much time."""
        return max(item.entered_s, self._passed_over_s, self._begun_s.get(item.urgency, -math.inf))

    def _next(self, ready: list[Lane], now: float) -> tuple[Lane, list[Item]]:
        """The batch of the most urgent request; of the oldest one, when that has waited for too long."""
        lane = min(ready, key=lambda lane: lane.first())
        oldest = min(ready, key=lambda lane: lane.oldest().arrived)
        item = oldest.oldest()
        waits = now - self._since_s(item) >= self._patience_s
        if not waits or item.urgency == lane.first()[0]:
            return lane, lane.take()
        self._passed_over_s = now
        return oldest, oldest.take(item)

    def _take_more_urgent(self) -> tuple[Lane, list[Item]] | None:
        """The next batch that may pass the one under way; None when there is none. Needs `changed`."""
        now = self.clock()
        if self._closed or not self._under_way or now - self._under_way[-1].began_s >= self._patience_s:
            return None
        urgency = self._under_way[-1].urgency
        ready = [lane for lane in self._lanes if lane.waiting and lane.first()[0] < urgency and lane.due() <= now]
        if not ready:
            return None
        lane = min(ready, key=lambda lane: lane.first())
        return self._begun(lane, lane.take())

    def _begun(self, lane: Lane, items: list[Item]) -> tuple[Lane, list[Item]]:
        began = _UnderWay(items[0].urgency, self.clock())
        self._under_way.append(began)
        self._begun_s[began.urgency] = began.began_s
        return lane, items
