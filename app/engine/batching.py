"""Gathers requests of all sessions into batches and runs them on the one thread of a device.

In: single requests, from any event loop. Out: single answers. `DeviceThread` runs one batch at a time, so that two
models never compete for one device; each `MicroBatcher` on it is a lane with its own model call, a plain function from
a list to a list.

A batch is formed when the thread is free to take it. Of the most urgent requests that wait for the device the oldest
goes first, and what may share its batch goes with it; only equally urgent requests share one, so that what is urgent
is not held up by a long batch that it is part of. Less urgent ones get what the urgent ones leave, and where these
leave nothing, still one batch in every `patience_s`: they do not starve, and what is urgent waits for one batch more no
oftener than that. A request that finds the device idle does not wait; one that came while it was busy waits for company
until the batch is full or `max_wait_ms` have passed.

A batch under way gives way, too: where its model pauses (`let_pass`), what is more urgent is answered within it. And
while urgent requests come, those that are less urgent share only batches that take no longer than `BRIEF_S`, as models
do not pause everywhere.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Generic, TypeVar

from app.engine.device import DeviceThread, Item
from app.errors import CrosstalkError, EngineClosed, EngineFailed, Overloaded
from app.observers import Observer, Unobserved

_LOG = logging.getLogger(__name__)

BRIEF_S = 0.1
"""How long a batch may take that others, more urgent, may come upon."""
_PASSED_OVER_S = 1.0
"""The same for one that was passed over for so long that it goes first: the next comes only after as long again."""
_NEWEST = 0.3
"""Weight of the last batch in what a request takes."""

Req = TypeVar("Req")
Res = TypeVar("Res")


@dataclass(frozen=True, slots=True)
class LaneRules:
    """How one lane batches.

    name: what it does, for messages and logs; max_batch: most requests in one call; max_wait_ms: longest wait for
    company; max_waiting: requests that may wait, further ones raise Overloaded; less urgent ones do not count, so that
    they cannot keep out what is urgent.
    """

    name: str
    max_batch: int = 8
    max_wait_ms: float = 20.0
    max_waiting: int = 256

    def __post_init__(self) -> None:
        if self.max_batch < 1 or self.max_waiting < 1 or self.max_wait_ms < 0:
            raise ValueError(f"a batcher needs positive limits, got {self}")


@dataclass(frozen=True, slots=True)
class LaneStats:
    """Counts since the start. failed_batches: calls that raised or gave a wrong number of answers."""

    requests: int = 0
    batches: int = 0
    failed_batches: int = 0
    failed_requests: int = 0


class MicroBatcher(Generic[Req, Res]):
    """One lane of a device: `await ask(request)` for single answers, `call` for whole batches.

    `call` gets a list of requests and returns as many answers in the same order; an answer that is an Exception fails
    that request alone. When `call` raises for a batch, its requests are tried one by one: only the guilty ones fail.
    `group`: requests share a batch only when their groups are equal, e.g. by rounded length. `urgency`: of a request;
    the smallest number goes first.
    """

    def __init__(
        self,
        device: DeviceThread,
        call: Callable[[list[Req]], Sequence[Res | Exception]],
        rules: LaneRules,
        group: Callable[[Req], Hashable] | None = None,
        urgency: Callable[[Req], int] | None = None,
    ) -> None:
        self._device = device
        self._call = call
        self._rules = rules
        self._group = group
        self._urgency = urgency
        self._items: deque[Item] = deque()
        self._stats = LaneStats()
        self._each_s: dict[int, float] = {}
        self.observer: Observer = Unobserved()
        """Is told of every batch."""
        device.add(self)

    @property
    def stats(self) -> LaneStats:
        """What was counted so far."""
        return self._stats

    @property
    def waiting(self) -> int:
        """Requests that are not in a batch yet."""
        return len(self._items)

    async def ask(self, request: Req) -> Res:
        """The answer to one request. Cancelling this drops the request, unless its batch has begun.

        Raises:
            Overloaded: too many requests wait already.
            EngineClosed: the device was closed before the request's batch began.
            EngineFailed: the model failed on this request; the cause is chained.
            CrosstalkError: what `call` itself raises of these, as it is.
        """
        return await self._answer_of(self._enter(request))

    async def ask_all(self, requests: Sequence[Req]) -> list[Res | CrosstalkError]:
        """An answer or an error per request, see `ask`. They enter at once, so that the first one does not go alone."""
        entered: list[Item | CrosstalkError] = []
        with self._device.changed:
            for request in requests:
                try:
                    entered.append(self._enter(request))
                except CrosstalkError as error:
                    entered.append(error)
        return await asyncio.gather(*(self._settled(item) for item in entered))

    async def _settled(self, item: Item | CrosstalkError) -> Res | CrosstalkError:
        if isinstance(item, CrosstalkError):
            return item
        try:
            return await self._answer_of(item)
        except CrosstalkError as error:
            return error

    async def _answer_of(self, item: Item) -> Res:
        try:
            return await asyncio.wrap_future(item.future)
        except asyncio.CancelledError:
            self._drop(item)
            raise

    def _enter(self, request: Req) -> Item:
        group = self._group(request) if self._group is not None else None
        urgency = self._urgency(request) if self._urgency is not None else 0
        with self._device.changed:
            if self._device.closed:
                raise EngineClosed("the engine is closed")
            ahead = sum(item.urgency <= urgency for item in self._items)
            if ahead >= self._rules.max_waiting:
                raise Overloaded(f"{ahead} requests already wait to {self._rules.name}; try again later")
            arrived, idle = self._device.arrive(urgency)
            now_s = self._device.clock()
            due = now_s + (0.0 if idle else self._rules.max_wait_ms / 1000)
            item = Item(request, group, urgency, arrived, now_s, due, Future())
            self._items.append(item)
            self._device.changed.notify_all()
        return item

    def _drop(self, item: Item) -> None:
        with self._device.changed:
            if item in self._items:
                self._items.remove(item)
                self._device.changed.notify_all()

    def first(self) -> tuple[int, int]:
        """Urgency and arrival number of the request that goes next. Needs the device's lock and a waiting request."""
        return _place(self._head())

    def oldest(self) -> Item:
        """The request that has waited longest. Needs what `first` needs."""
        return self._items[0]

    def due(self) -> float:
        """When the next batch may begin, by the device's clock; long ago when it is full. Needs what `first` needs."""
        head = self._head()
        return -math.inf if len(self._batch(head)) == self._most(head) else head.due

    def take(self, head: Item | None = None) -> list[Item]:
        """Remove and return the next batch, or that of `head`. Needs what `first` needs."""
        batch = self._batch(self._head()) if head is None else self._batch(head, _PASSED_OVER_S)
        for item in batch:
            self._items.remove(item)
        return batch

    def refuse_waiting(self) -> None:
        """Fail everything that waits with EngineClosed. Needs the device's lock."""
        while self._items:
            item = self._items.popleft()
            if item.future.set_running_or_notify_cancel():
                item.future.set_exception(EngineClosed(f"the engine was closed before it could {self._rules.name}"))

    def answer(self, items: list[Item]) -> None:
        """Run one batch on the calling thread and give every request its answer or its error."""
        started = [item for item in items if item.future.set_running_or_notify_cancel()]
        if not started:
            self._device.free()
            return
        try:
            began_s = self._device.clock()
            answers, took_s = self._device.own_time.timed(lambda: self._try(started))
            waited_s = [began_s - item.entered_s for item in started]
            self.observer.batch(self._rules.name, waited_s, took_s)
            self._learn(started[0].urgency, took_s / len(started))
            # Free before the answers are out: who asks again on getting one must not find the device busy.
            self._device.free()
            for item, answer in zip(started, answers, strict=True):
                self._settle(item, answer)
        finally:
            for item in started:
                if not item.future.done():
                    item.future.set_exception(EngineFailed(f"the engine ended while it had to {self._rules.name}"))

    def _head(self) -> Item:
        """The oldest of the most urgent requests."""
        return min(self._items, key=_place)

    def _batch(self, head: Item, brief_s: float = BRIEF_S) -> list[Item]:
        """`head` and those that may share its batch, oldest first."""
        batch: list[Item] = []
        most = self._most(head, brief_s)
        for item in self._items:
            if (item.group, item.urgency) == (head.group, head.urgency):
                batch.append(item)
                if len(batch) == most:
                    break
        return batch

    def _most(self, head: Item, brief_s: float = BRIEF_S) -> int:
        """How many may share the batch of `head`."""
        each_s = self._each_s.get(head.urgency, brief_s)
        if each_s <= 0 or not self._device.expects(head.urgency):
            return self._rules.max_batch
        return max(1, min(self._rules.max_batch, int(brief_s / each_s)))

    def _learn(self, urgency: int, each_s: float) -> None:
        """What a request of this urgency took."""
        with self._device.changed:
            before_s = self._each_s.get(urgency, each_s)
            self._each_s[urgency] = before_s + _NEWEST * (each_s - before_s)

    def _try(self, items: list[Item]) -> Sequence[Res | Exception]:
        """Answers for all items; when the call raises for many, each item's own."""
        self._count(requests=len(items), batches=1)
        try:
            answers = self._call([item.request for item in items])
        except Exception as error:  # noqa: BLE001 (one of three sanctioned places: whatever a model raises fails its requests, not the thread)
            _LOG.exception("a batch of %d to %s failed", len(items), self._rules.name)
            self._count(failed_batches=1)
            if len(items) == 1:
                return [error]
            return [self._try_alone(item) for item in items]
        if len(answers) != len(items):
            self._count(failed_batches=1)
            message = f"the worker gave {len(answers)} answers to {len(items)} requests to {self._rules.name}"
            _LOG.error("%s", message)
            return [EngineFailed(message) for _ in items]
        return answers

    def _try_alone(self, item: Item) -> Res | Exception:
        (answer,) = self._try([item])
        return answer

    def _settle(self, item: Item, answer: Res | Exception) -> None:
        if not isinstance(answer, Exception):
            item.future.set_result(answer)
            return
        self._count(failed_requests=1)
        if isinstance(answer, CrosstalkError):
            item.future.set_exception(answer)
            return
        failure = EngineFailed(f"cannot {self._rules.name}: {answer}")
        failure.__cause__ = answer
        item.future.set_exception(failure)

    def _count(self, requests: int = 0, batches: int = 0, failed_batches: int = 0, failed_requests: int = 0) -> None:
        was = self._stats
        self._stats = LaneStats(
            was.requests + requests,
            was.batches + batches,
            was.failed_batches + failed_batches,
            was.failed_requests + failed_requests,
        )


def _place(item: Item) -> tuple[int, int]:
    return item.urgency, item.arrived
