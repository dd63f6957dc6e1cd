"""Requests of live streams at inference workers, by discrete events: waits, batches, load. Pure and seeded.

A request goes to the worker with the fewest inside, equal ones by turns (as `app.engine.remote` does), and waits there
in its lane. A worker has one device, which does one batch at a time: of the oldest request's lane, up to `max_batch` of
them, in `fixed_s + n * each_s` (as `app.engine.batching` does; urgency is left out, as all of these are live).
tests/bench/test_queueing.py holds it to the formulas of queueing theory.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections import deque
from dataclasses import dataclass, field

from app.bench.live_trace import percentile


@dataclass(frozen=True, slots=True)
class Lane:
    """One kind of request.

    per_s: of a stream in a second; each_s, fixed_s: device seconds of each request in a batch, and of the batch itself
    regular: a stream asks at even distances, each with a beginning of its own; else at random moments (Poisson)
    varies: a batch's time is random, exponential around its mean; else it is always that
    """

    name: str
    per_s: float
    each_s: float
    fixed_s: float = 0.0
    max_batch: int = 8
    regular: bool = False
    varies: bool = False

    def mean_s(self, requests: int) -> float:
        """Mean device seconds of a batch."""
        return self.fixed_s + requests * self.each_s


@dataclass(frozen=True, slots=True)
class Pool:
    """Streams and the workers that they share. company_s: longest wait of a request for others in its batch."""

    streams: int
    workers: int
    lanes: tuple[Lane, ...]
    company_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Served:
    """What a run saw, of requests that came after it had warmed up.

    busy: part of the time that a device worked; inside: mean number of requests in the pool, waiting or worked on
    wait_s: mean time until the batch began; answer_s: mean time to the answer; answer_p95_s: of the slowest lane
    batch: mean number of requests in a batch
    """

    requests: int
    busy: float
    inside: float
    wait_s: float
    answer_s: float
    answer_p95_s: float
    batch: float


@dataclass(slots=True)
class _Request:
    came_s: float
    due_s: float
    lane: int


@dataclass(slots=True)
class _Worker:
    lanes: list[deque[_Request]]
    free: bool = True
    inside: int = 0


@dataclass(slots=True)
class _Tally:
    """From `from_s` to `to_s`."""

    from_s: float
    to_s: float
    waits: list[float] = field(default_factory=list)
    answers: dict[int, list[float]] = field(default_factory=dict)
    busy_s: float = 0.0
    inside_s: float = 0.0
    batches: int = 0
    in_batches: int = 0

    def within(self, begin_s: float, end_s: float) -> float:
        """How much of a span lies in the time that counts."""
        return max(0.0, min(end_s, self.to_s) - max(begin_s, self.from_s))


def simulate(pool: Pool, *, seconds: float, warm_s: float = 0.0, seed: int = 0) -> Served:
    """Run the pool for `warm_s + seconds`. Requests that came in time are followed to their answers."""
    return _Run(pool, _Tally(warm_s, warm_s + seconds), random.Random(seed)).run()


class _Run:
    """One run; `_events` holds (time, number, what): a lane that asks, a worker that is done, or one to look at."""

    def __init__(self, pool: Pool, tally: _Tally, chance: random.Random) -> None:
        self._pool = pool
        self._tally = tally
        self._chance = chance
        self._numbers = itertools.count()
        self._events: list[tuple[float, int, tuple[str, int, int]]] = []
        self._workers = [_Worker([deque() for _ in pool.lanes]) for _ in range(pool.workers)]
        self._turn: int = 0

    def run(self) -> Served:
        for number, lane in enumerate(self._pool.lanes):
            if lane.per_s <= 0:
                continue
            if lane.regular:
                for _ in range(self._pool.streams):
                    self._at(self._chance.random() / lane.per_s, ("ask", number, 0))
            else:
                self._at(self._gap(lane), ("ask", number, 0))
        while self._events:
            now_s, _, (what, which, size) = heapq.heappop(self._events)
            if what == "ask":
                self._ask(now_s, which)
            elif what == "done":
                worker = self._workers[which]
                worker.free = True
                worker.inside -= size
                self._begin(now_s, which)
            else:
                self._begin(now_s, which)
        return self._served()

    def _at(self, when_s: float, what: tuple[str, int, int]) -> None:
        heapq.heappush(self._events, (when_s, next(self._numbers), what))

    def _gap(self, lane: Lane) -> float:
        """Time to the next request of any stream: streams that ask at random together do so, too."""
        return self._chance.expovariate(lane.per_s * self._pool.streams)

    def _ask(self, now_s: float, number: int) -> None:
        lane = self._pool.lanes[number]
        after_s = now_s + (1 / lane.per_s if lane.regular else self._gap(lane))
        if after_s < self._tally.to_s:
            self._at(after_s, ("ask", number, 0))
        which = self._least()
        worker = self._workers[which]
        idle = worker.free and worker.inside == 0
        worker.inside += 1
        worker.lanes[number].append(_Request(now_s, now_s if idle else now_s + self._pool.company_s, number))
        self._begin(now_s, which)

    def _least(self) -> int:
        """The worker with the fewest inside; equal ones take turns."""
        count = len(self._workers)
        self._turn = (self._turn + 1) % count
        best = self._turn
        for step in range(1, count):
            which = (self._turn + step) % count
            if self._workers[which].inside < self._workers[best].inside:
                best = which
        return best

    def _begin(self, now_s: float, which: int) -> None:
        """Start the next batch of a worker whose device is free, or come back when one is due."""
        worker = self._workers[which]
        waiting = [lane for lane in worker.lanes if lane]
        if not worker.free or not waiting:
            return
        first = min(waiting, key=lambda lane: lane[0].came_s)
        lane = self._pool.lanes[first[0].lane]
        if len(first) < lane.max_batch and first[0].due_s > now_s:
            self._at(first[0].due_s, ("look", which, 0))
            return
        batch = [first.popleft() for _ in range(min(len(first), lane.max_batch))]
        mean_s = lane.mean_s(len(batch))
        took_s = self._chance.expovariate(1 / mean_s) if lane.varies else mean_s
        worker.free = False
        self._at(now_s + took_s, ("done", which, len(batch)))
        self._note(batch, now_s, now_s + took_s)

    def _note(self, batch: list[_Request], begin_s: float, end_s: float) -> None:
        tally = self._tally
        tally.busy_s += tally.within(begin_s, end_s)
        tally.batches += 1
        tally.in_batches += len(batch)
        for request in batch:
            tally.inside_s += tally.within(request.came_s, end_s)
            if request.came_s >= tally.from_s:
                tally.waits.append(begin_s - request.came_s)
                tally.answers.setdefault(request.lane, []).append(end_s - request.came_s)

    def _served(self) -> Served:
        tally, seconds = self._tally, self._tally.to_s - self._tally.from_s
        answers = [it for lane in tally.answers.values() for it in lane]
        number = max(1, len(answers))
        return Served(
            requests=len(answers),
            busy=tally.busy_s / (seconds * self._pool.workers),
            inside=tally.inside_s / seconds,
            wait_s=sum(tally.waits) / number,
            answer_s=sum(answers) / number,
            answer_p95_s=max((percentile(lane, 0.95) or 0.0 for lane in tally.answers.values()), default=0.0),
            batch=tally.in_batches / max(1, tally.batches),
        )
