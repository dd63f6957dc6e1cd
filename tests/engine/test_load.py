"""Measuring what work costs and how much is asked."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from app.core.types import Urgency
from app.engine.load import Asked, Demand, EngineCost, LoadMeter, cost_of, together
from app.engine.log import MemoryLog
from app.engine.replay import open_replay
from tests.engine.engine_cases import REQUESTS, WINDOWS, ask_all
from tests.engine.fake_worker import fake_engine

LIVE_WINDOWS = [replace(it, urgency=Urgency.LIVE) for it in WINDOWS]
LIVE_REQUESTS = [replace(it, urgency=Urgency.TENTATIVE) for it in REQUESTS]


def test_the_cost_is_device_time_per_request() -> None:
    now = [0.0]
    meter = LoadMeter(lambda: now[0])

    def slow(requests):
        now[0] += 0.5 + 0.25 * len(requests)
        return requests

    def broken(_requests):
        now[0] += 100
        raise RuntimeError

    assert meter.cost() == EngineCost(1)
    meter.timed("diarize", slow)(LIVE_WINDOWS[:1])
    meter.timed("diarize", slow)(LIVE_WINDOWS[:3])
    with pytest.raises(RuntimeError):
        meter.timed("decode", broken)(LIVE_REQUESTS)
    assert meter.cost() == EngineCost(1, diarize=0.5, decode=0.0)
    meter.timed("decode", slow)(LIVE_REQUESTS[:2])
    assert meter.cost() == EngineCost(1, diarize=0.5, decode=0.5)
    # Recordings ask for longer sound: they say nothing of what a live stream costs.
    meter.timed("decode", slow)(REQUESTS[:1])
    assert meter.cost() == EngineCost(1, diarize=0.5, decode=0.5)


def test_a_batch_within_another_is_not_counted_twice() -> None:
    now = [0.0]
    meter = LoadMeter(lambda: now[0])

    def quick(requests):
        now[0] += 0.25
        return requests

    def interrupted(requests):
        now[0] += 1.0
        meter.timed("diarize", quick)(LIVE_WINDOWS[:1])
        now[0] += 1.0
        return requests

    meter.timed("decode", interrupted)(LIVE_REQUESTS[:1])
    assert meter.cost() == EngineCost(1, diarize=0.25, decode=2.0)


def test_an_engine_measures_itself_and_demand_counts_what_is_asked() -> None:
    async def main() -> None:
        engine = fake_engine()
        demand = Demand(engine)
        assert await ask_all(demand) == await ask_all(engine)
        assert demand.cost() == EngineCost(1), "recordings say nothing of live streams"
        await demand.diarize(LIVE_WINDOWS[0])
        await demand.decode(LIVE_REQUESTS[0])
        assert demand.asked == Asked(len(WINDOWS) + 1, len(REQUESTS) + 1)
        cost = demand.cost()
        assert cost is not None
        assert cost.diarize > 0
        assert cost.decode > 0
        await demand.aclose()
        assert (await engine.decode(REQUESTS[0])).turns
        await engine.aclose()

    asyncio.run(main())


def test_workers_that_have_measured_nothing_do_not_make_work_cheap() -> None:
    busy, other, new = EngineCost(1, 0.2, 0.4), EngineCost(2, 0.4, 0.6), EngineCost(1)
    found = together([busy, new, other])
    assert found.devices == 4
    assert (found.diarize, found.decode) == pytest.approx((0.3, 0.5))
    assert together([new, new]) == EngineCost(2)
    assert together([]) == EngineCost(1)


def test_an_engine_that_only_repeats_knows_no_cost() -> None:
    async def main() -> None:
        log = MemoryLog()
        first = await open_replay(log, fake_engine())
        assert cost_of(first) is None
        assert Demand(first).cost() is None
        await first.aclose()

    asyncio.run(main())
