"""MicroBatcher and DeviceThread: who shares a batch, what a failure touches, and how it ends."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from app.engine.batching import LaneRules, LaneStats, MicroBatcher
from app.engine.device import DeviceThread
from app.errors import EngineClosed, EngineFailed, OptionInvalid, Overloaded
from tests.engine.device_bench import SOON_S, Bench, Doubler, run


def test_what_comes_while_the_thread_is_busy_shares_batches_in_order() -> None:
    async def main() -> None:
        async with Bench(max_batch=3) as bench:
            first = await bench.occupied(1)
            rest = await bench.queued(2, 3, 4, 5, 6)
            assert bench.lane.waiting == 5
            bench.model.gate.set()
            assert await asyncio.gather(first, *rest) == [2, 4, 6, 8, 10, 12]
            assert bench.model.batches == [[1], [2, 3, 4], [5, 6]]
            assert bench.model.threads == {"test-device"}
            assert bench.lane.stats == LaneStats(requests=6, batches=3)

    run(main)


def test_a_request_to_an_idle_device_does_not_wait_for_company() -> None:
    async def main() -> None:
        async with Bench(max_wait_ms=60_000) as bench:
            for request in range(3):
                assert await bench.lane.ask(request) == 2 * request
            assert bench.model.batches == [[0], [1], [2]]

    run(main)


def test_a_batch_that_is_not_full_waits_for_company_no_longer_than_allowed() -> None:
    async def main() -> None:
        async with Bench(max_batch=2, max_wait_ms=300) as bench:
            first = await bench.occupied(1)
            (second,) = await bench.queued(2)
            asked = time.monotonic()
            bench.model.gate.set()
            await first
            assert not second.done()
            await second
            assert time.monotonic() - asked >= 0.25
            assert bench.model.batches == [[1], [2]]
            # A full batch goes at once.
            first = await bench.occupied(3)
            rest = await bench.queued(4, 5)
            asked = time.monotonic()
            bench.model.gate.set()
            await asyncio.gather(first, *rest)
            assert time.monotonic() - asked < 0.25
            assert bench.model.batches[2:] == [[3], [4, 5]]

    run(main)


def test_only_equal_groups_share_a_batch_and_the_oldest_goes_first() -> None:
    async def main() -> None:
        async with Bench(group=lambda number: number % 2, max_batch=8, max_wait_ms=0) as bench:
            first = await bench.occupied(0)
            rest = await bench.queued(1, 2, 3, 4)
            bench.model.gate.set()
            assert await asyncio.gather(first, *rest) == [0, 2, 4, 6, 8]
            assert bench.model.batches == [[0], [1, 3], [2, 4]]

    run(main)


def test_two_lanes_share_one_thread_and_the_oldest_request_goes_first() -> None:
    async def main() -> None:
        async with Bench(max_wait_ms=0) as bench:
            other = MicroBatcher(bench.device, bench.model, LaneRules("double again", max_wait_ms=0))
            first = await bench.occupied(0)
            a = await bench.queued(1)
            b = [asyncio.create_task(other.ask(2))]
            await asyncio.sleep(0)
            c = await bench.queued(3)
            bench.model.gate.set()
            await asyncio.gather(first, *a, *b, *c)
            assert bench.model.batches == [[0], [1, 3], [2]]
            assert bench.model.threads == {"test-device"}

    run(main)


def test_when_a_batch_raises_only_the_guilty_request_fails(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with Bench() as bench:
            first = await bench.occupied(1)
            rest = await bench.queued(2, -3, 4)
            bench.model.gate.set()
            answers = await asyncio.gather(first, *rest, return_exceptions=True)
            assert [answers[0], answers[1], answers[3]] == [2, 4, 8]
            assert isinstance(answers[2], EngineFailed)
            assert "double" in str(answers[2])
            assert isinstance(answers[2].__cause__, ValueError)
            assert bench.lane.stats.failed_requests == 1
            assert bench.lane.stats.failed_batches == 2
            assert await bench.lane.ask(5) == 10

    run(main)
    assert any(record.exc_info for record in caplog.records)


def test_an_exception_among_the_answers_fails_its_request_alone() -> None:
    async def main() -> None:
        async with Bench() as bench:
            bench.model.answers = [RuntimeError("out of memory")]
            with pytest.raises(EngineFailed, match="out of memory"):
                await bench.lane.ask(1)
            bench.model.answers = [OptionInvalid("no such language", param="language")]
            with pytest.raises(OptionInvalid):
                await bench.lane.ask(1)

    run(main)


@pytest.mark.parametrize("answers", [[], [1], [1, 2, 3]])
def test_a_wrong_number_of_answers_fails_the_whole_batch(answers: list[object]) -> None:
    async def main() -> None:
        async with Bench() as bench:
            first = await bench.occupied(1)
            rest = await bench.queued(2, 3)
            bench.model.answers = answers
            bench.model.gate.set()
            failures = await asyncio.gather(*rest, return_exceptions=True)
            assert all(isinstance(failure, EngineFailed) for failure in failures)
            assert bench.model.batches == [[1], [2, 3]]
            await asyncio.gather(first, return_exceptions=True)
            assert bench.lane.stats.failed_requests in (2, 3)

    run(main)


def test_more_than_may_wait_is_refused_and_what_is_cancelled_makes_room() -> None:
    async def main() -> None:
        async with Bench(max_waiting=2) as bench:
            first = await bench.occupied(1)
            second, third = await bench.queued(2, 3)
            with pytest.raises(Overloaded):
                await bench.lane.ask(4)
            second.cancel()
            with pytest.raises(asyncio.CancelledError):
                await second
            (fourth,) = await bench.queued(4)
            bench.model.gate.set()
            assert await asyncio.gather(first, third, fourth) == [2, 6, 8]
            assert bench.model.batches == [[1], [3, 4]]

    run(main)


def test_cancelling_in_flight_leaves_the_rest_of_the_batch_alone() -> None:
    async def main() -> None:
        async with Bench() as bench:
            first = await bench.occupied(1)
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
            bench.model.gate.set()
            assert await bench.lane.ask(2) == 4

    run(main)


def test_close_finishes_what_is_in_flight_and_refuses_what_waits() -> None:
    async def main() -> None:
        async with Bench(max_batch=1) as bench:
            first = await bench.occupied(1)
            (second,) = await bench.queued(2)
            closing = asyncio.create_task(bench.device.aclose())
            with pytest.raises(EngineClosed):
                await second
            assert not closing.done()
            bench.model.gate.set()
            assert await first == 2
            await closing
            await bench.device.aclose()
            with pytest.raises(EngineClosed):
                await bench.lane.ask(3)
            with pytest.raises(EngineClosed):
                MicroBatcher(bench.device, bench.model, LaneRules("come late"))
            assert bench.model.batches == [[1]]
        assert "test-device" not in {thread.name for thread in threading.enumerate()}

    run(main)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_nobody_waits_for_ever_when_the_thread_dies() -> None:
    class Fatal(BaseException):
        pass

    async def main() -> None:
        device = DeviceThread("test-device")
        entered = threading.Event()
        gate = threading.Event()

        def call(_requests: list[int]) -> list[int]:
            entered.set()
            gate.wait(SOON_S)
            raise Fatal

        lane = MicroBatcher(device, call, LaneRules("die", max_batch=1))
        first = asyncio.create_task(lane.ask(1))
        await asyncio.to_thread(entered.wait, SOON_S)
        second = asyncio.create_task(lane.ask(2))
        await asyncio.sleep(0)
        gate.set()
        with pytest.raises(EngineFailed):
            await first
        with pytest.raises(EngineClosed):
            await second
        with pytest.raises(EngineClosed):
            await lane.ask(3)
        await device.aclose()

    run(main)


def test_requests_come_from_several_event_loops() -> None:
    device = DeviceThread("test-device")
    model = Doubler()
    lane = MicroBatcher(device, model, LaneRules("double"))
    answers: dict[int, int] = {}

    def session(number: int) -> None:
        answers[number] = asyncio.run(lane.ask(number))

    threads = [threading.Thread(target=session, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SOON_S)
    asyncio.run(device.aclose())
    assert answers == {number: 2 * number for number in range(8)}


@pytest.mark.parametrize("rules", [{"max_batch": 0}, {"max_waiting": 0}, {"max_wait_ms": -1.0}])
def test_limits_must_be_positive(rules: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="positive"):
        LaneRules("double", **rules)


def test_requests_that_come_together_share_a_batch_on_an_idle_device_and_fail_alone() -> None:
    async def main() -> None:
        async with Bench(max_batch=4, max_waiting=4) as bench:
            assert await bench.lane.ask_all([1, 2, 3]) == [2, 4, 6]
            assert bench.model.batches == [[1, 2, 3]]
            first = await bench.occupied(0)
            together = asyncio.create_task(bench.lane.ask_all([1, -2, 3, 4, 5]))
            await asyncio.sleep(0)
            bench.model.gate.set()
            answers = await together
            assert [answers[0], answers[2], answers[3]] == [2, 6, 8]
            assert isinstance(answers[1], EngineFailed)
            assert isinstance(answers[4], Overloaded)
            assert await first == 0

    run(main)
