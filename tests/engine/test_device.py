"""Whose turn it is on a device: urgency, patience, and what passes a batch under way."""

from __future__ import annotations

import asyncio
import threading

import pytest

from app.engine.batching import LaneRules, MicroBatcher
from app.engine.device import Cores, DeviceThread
from app.errors import Overloaded
from tests.engine.device_bench import SOON_S, Bench, Clock, run


def patient(clock: Clock) -> Bench:
    """One request at a time, urgent by its last digit; passed over for 20 s at most."""
    device = DeviceThread("test-device", patience_s=20.0, clock=clock)
    return Bench(max_batch=1, max_wait_ms=0, urgency=lambda number: number % 10, device=device)


def test_the_most_urgent_request_goes_first_and_only_with_its_equals() -> None:
    async def main() -> None:
        device = DeviceThread("test-device", clock=Clock())
        async with Bench(max_batch=8, max_wait_ms=0, urgency=lambda number: number % 10, device=device) as bench:
            # How long requests take is known of each kind.
            assert [await bench.lane.ask(number) for number in (1, 2)] == [2, 4]
            first = await bench.occupied(0)
            rest = await bench.queued(12, 22, 11, 10, 20, 21)
            bench.model.gate.set()
            assert await asyncio.gather(first, *rest) == [0, 24, 44, 22, 20, 40, 42]
            assert bench.model.batches[2:] == [[0], [10, 20], [11, 21], [12, 22]]

    run(main)


def test_what_is_passed_over_for_too_long_gets_one_batch_now_and_then() -> None:
    """Neither side starves: the old ones get one batch each time that so much has passed, not one after another."""

    async def main() -> None:
        clock = Clock()
        async with patient(clock) as bench:
            first = await bench.occupied(0)
            old = await bench.queued(12, 22, 32)
            clock.now_s = 19.0
            new = await bench.queued(10, 20, 30)
            step = bench.model
            step.gate.set()
            await asyncio.gather(first, *new)
            # Within the time what is urgent goes first; then the rest follows, as nothing passes it over.
            await asyncio.gather(*old)
            assert step.batches == [[number] for number in (0, 10, 20, 30, 12, 22, 32)]

            step.batches.clear()
            first = await bench.occupied(0)
            old = await bench.queued(12, 22, 32)
            clock.now_s += 20.0
            new = await bench.queued(10, 20, 30)
            step.gate.set()
            await asyncio.gather(first, *old, *new)
            assert step.batches == [[number] for number in (0, 12, 10, 20, 30, 22, 32)]

    run(main)


def test_what_waits_long_but_is_served_passes_nothing_over() -> None:
    """A long queue is old at its end; as long as it moves, nothing urgent has to wait for it."""

    async def main() -> None:
        clock = Clock()
        async with patient(clock) as bench:
            first = await bench.occupied(2)
            old = await bench.queued(12, 22)
            bench.model.entered.clear()
            clock.now_s = 15.0
            bench.model.gate.set()
            await asyncio.gather(first, *old)
            first = await bench.occupied(32)
            old = await bench.queued(42)
            clock.now_s = 30.0
            new = await bench.queued(10)
            bench.model.gate.set()
            await asyncio.gather(first, *old, *new)
            assert bench.model.batches[-2:] == [[10], [42]]

    run(main)


def test_what_was_passed_over_gets_a_larger_batch_when_its_turn_comes() -> None:
    async def main() -> None:
        clock = Clock()
        device = DeviceThread("test-device", patience_s=20.0, clock=clock)
        model = Bench(device=device, max_wait_ms=0, urgency=lambda number: number % 10)

        def slow(requests):
            clock.now_s += 0.3 * len(requests)
            return model.model(requests)

        async with model as bench:
            lane = MicroBatcher(device, slow, LaneRules("slow", max_wait_ms=0), urgency=lambda number: number % 10)
            await lane.ask(2)
            first = await bench.occupied(10)
            old = [asyncio.create_task(lane.ask(number)) for number in (2, 12, 22, 32, 42)]
            await asyncio.sleep(0)
            clock.now_s += 20.0
            new = await bench.queued(20)
            bench.model.batches.clear()
            bench.model.gate.set()
            await asyncio.gather(first, *new, *old)
            assert bench.model.batches == [[2, 12, 22], [20], [32], [42]]

    run(main)


class Pauser:
    """A model call that pauses `steps` times, each time once the test lets it; notes what it did."""

    def __init__(self, device: DeviceThread, steps: int = 2) -> None:
        self._device = device
        self._steps = steps
        self.go = threading.Semaphore(0)
        self.began = threading.Event()
        self.did: list[str] = []

    def __call__(self, requests):
        name = ",".join(map(str, requests))
        self.did.append(f"begin {name}")
        self.began.set()
        if any(request % 10 == 2 for request in requests):
            for _ in range(self._steps):
                assert self.go.acquire(timeout=SOON_S)
                self._device.let_pass()
        self.did.append(f"end {name}")
        return [2 * request for request in requests]


async def paused(clock: Clock, then) -> list[str]:
    """What a model does in whose long batch (2) `then` happens, before its first pause."""
    device = DeviceThread("test-device", patience_s=20.0, clock=clock)
    model = Pauser(device)
    lane = MicroBatcher(device, model, LaneRules("double", max_wait_ms=0), urgency=lambda number: number % 10)
    try:
        long = asyncio.create_task(lane.ask(2))
        await asyncio.to_thread(model.began.wait, SOON_S)
        rest = await then(lane)
        model.go.release()
        if rest and clock.now_s < 20.0:
            await asyncio.wait(rest[:1])
        model.go.release(5)
        assert [await it for it in (long, *rest)] == [4, *(2 * number for number in (10, 12)[: len(rest)])]
    finally:
        model.go.release(5)
        await device.aclose()
    return model.did


def test_what_is_urgent_is_answered_within_a_long_batch() -> None:
    async def then(lane) -> list[asyncio.Task[int]]:
        tasks = [asyncio.create_task(lane.ask(number)) for number in (10, 12)]
        await asyncio.sleep(0)
        return tasks

    async def main() -> None:
        assert await paused(Clock(), then) == ["begin 2", "begin 10", "end 10", "end 2", "begin 12", "end 12"]

    run(main)


def test_a_batch_is_held_up_no_longer_than_patience_lasts() -> None:
    async def main() -> None:
        clock = Clock()

        async def then(lane) -> list[asyncio.Task[int]]:
            task = asyncio.create_task(lane.ask(10))
            await asyncio.sleep(0)
            clock.now_s = 20.0
            return [task]

        assert await paused(clock, then) == ["begin 2", "end 2", "begin 10", "end 10"]

    run(main)


def test_pauses_of_other_threads_are_nothing_to_a_device() -> None:
    async def main() -> None:
        async with Bench() as bench:
            first = await bench.occupied(1)
            (second,) = await bench.queued(2)
            bench.device.let_pass()
            assert bench.model.batches == [[1]]
            bench.model.gate.set()
            assert await asyncio.gather(first, second) == [2, 4]

    run(main)


def test_while_urgent_requests_come_the_others_have_brief_batches() -> None:
    async def main() -> None:
        clock = Clock()
        device = DeviceThread("test-device", clock=clock)
        async with Bench(max_wait_ms=0, urgency=lambda number: number % 10, device=device) as bench:
            inner = bench.model.__call__

            def slow(requests):
                clock.now_s += 0.04 * len(requests)
                return inner(requests)

            lane = MicroBatcher(device, slow, LaneRules("slow", max_wait_ms=0), urgency=lambda number: number % 10)
            await lane.ask(2)
            bench.model.batches.clear()
            for urgent_before_s, sizes in ((0.0, [2, 2, 1]), (11.0, [5])):
                await bench.lane.ask(10)
                clock.now_s += urgent_before_s
                bench.model.batches.clear()
                assert await lane.ask_all([2] * 5) == [4] * 5
                assert [len(batch) for batch in bench.model.batches] == sizes

    run(main)


def test_what_is_less_urgent_keeps_nothing_urgent_out() -> None:
    async def main() -> None:
        async with Bench(max_waiting=2, max_wait_ms=0, urgency=lambda number: number % 10) as bench:
            first = await bench.occupied(0)
            waiting = await bench.queued(12, 22)
            with pytest.raises(Overloaded):
                await bench.lane.ask(32)
            urgent = await bench.queued(10, 20)
            with pytest.raises(Overloaded):
                await bench.lane.ask(30)
            bench.model.gate.set()
            await asyncio.gather(first, *waiting, *urgent)
            assert bench.model.batches == [[0], [10, 20], [12], [22]]

    run(main)


class Cored:
    """Two devices on the same cores, with a model on each that waits for the test."""

    def __init__(self, clock: Clock) -> None:
        cores = Cores(yielding=2)
        self.one = Bench(device=DeviceThread("one", 20.0, clock, cores), max_wait_ms=0, urgency=lambda it: it % 10)
        self.two = Bench(device=DeviceThread("two", 20.0, clock, cores), max_wait_ms=0, urgency=lambda it: it % 10)


def test_a_recording_leaves_the_cores_to_what_is_urgent_on_another_device() -> None:
    async def main() -> None:
        cored = Cored(Clock())
        async with cored.one as one, cored.two as two:
            live = await one.occupied(10)
            (tentative, recording) = await two.queued(11, 12)
            assert await tentative == 22
            assert two.model.batches == [[11]]
            assert not recording.done()
            one.model.gate.set()
            assert await asyncio.gather(live, recording) == [20, 24]

    run(main)


def test_it_leaves_them_for_no_longer_than_patience_lasts() -> None:
    async def main() -> None:
        clock = Clock()
        cored = Cored(clock)
        async with cored.one as one, cored.two as two:
            live = await one.occupied(10)
            (first,) = await two.queued(12)
            clock.now_s = 20.0
            # Whatever comes has the device look again.
            assert await two.lane.ask(21) == 42
            assert await first == 24
            assert not live.done()

    run(main)


def test_a_batch_under_way_leaves_them_at_its_pauses() -> None:
    async def main() -> None:
        clock = Clock()
        cores = Cores(yielding=2)
        slow = DeviceThread("slow", 20.0, clock, cores)
        model = Pauser(slow, steps=1)
        lane = MicroBatcher(slow, model, LaneRules("double", max_wait_ms=0), urgency=lambda number: number % 10)
        other = Bench(device=DeviceThread("other", 20.0, clock, cores), urgency=lambda number: number % 10)
        async with other as bench:
            long = asyncio.create_task(lane.ask(2))
            await asyncio.to_thread(model.began.wait, SOON_S)
            live = await bench.occupied(10)
            model.go.release()
            assert not (await asyncio.wait([long], timeout=0.1))[0]
            bench.model.gate.set()
            assert await asyncio.gather(live, long) == [20, 4]
        await slow.aclose()

    run(main)
