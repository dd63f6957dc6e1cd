"""Measuring what work costs and how much is asked."""

from __future__ import annotations

import asyncio

import pytest

from app.engine.load import Asked, Demand, EngineCost, LoadMeter, cost_of
from app.engine.log import MemoryLog
from app.engine.replay import open_replay
from tests.engine.engine_cases import REQUESTS, WINDOWS, ask_all
from tests.engine.fake_worker import fake_engine


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
    meter.timed("diarize", slow)(WINDOWS[:1])
    meter.timed("diarize", slow)(WINDOWS[:3])
    with pytest.raises(RuntimeError):
        meter.timed("decode", broken)(REQUESTS)
    assert meter.cost() == EngineCost(1, diarize=0.5, decode=0.0)
    meter.timed("decode", slow)(REQUESTS[:2])
    assert meter.cost() == EngineCost(1, diarize=0.5, decode=0.5)


def test_an_engine_measures_itself_and_demand_counts_what_is_asked() -> None:
    async def main() -> None:
        engine = fake_engine()
        demand = Demand(engine)
        assert await ask_all(demand) == await ask_all(engine)
        assert demand.asked == Asked(len(WINDOWS), len(REQUESTS))
        cost = demand.cost()
        assert cost is not None
        assert cost.diarize > 0
        assert cost.decode > 0
        await demand.aclose()
        assert (await engine.decode(REQUESTS[0])).turns
        await engine.aclose()

    asyncio.run(main())


def test_an_engine_that_only_repeats_knows_no_cost() -> None:
    async def main() -> None:
        log = MemoryLog()
        first = await open_replay(log, fake_engine())
        assert cost_of(first) is None
        assert Demand(first).cost() is None
        await first.aclose()

    asyncio.run(main())
