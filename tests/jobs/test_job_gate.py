"""The engine as one job sees it: what answers slowly is waited for, what does not answer is given up."""

from __future__ import annotations

import asyncio

import pytest

from app.errors import WindowTimeout
from app.jobs.gate import GatedEngine
from tests.engine.engine_cases import WINDOWS
from tests.engine.fake_worker import fake_engine

TIMEOUT_S = 1.0


class Turns:
    """An engine that answers one after the other, each when it is let; `stuck`: the index of a window that it never
    answers."""

    def __init__(self, stuck: int | None = None) -> None:
        self.inner = fake_engine()
        self.spec = self.inner.spec
        self._turn = asyncio.Lock()
        self._stuck = stuck

    async def diarize(self, window):
        if window.index == self._stuck:
            await asyncio.Event().wait()
        async with self._turn:
            await asyncio.sleep(0.4 * TIMEOUT_S)
            return await self.inner.diarize(window)


def run(main) -> None:
    asyncio.run(asyncio.wait_for(main(), 30))


def test_a_long_queue_that_moves_is_waited_for() -> None:
    async def main() -> None:
        engine = Turns()
        gated = GatedEngine(engine, TIMEOUT_S)
        asked = WINDOWS[:4]
        found = await asyncio.gather(*(gated.diarize(window) for window in asked))
        assert [local.start for local in found] == [window.start for window in asked]
        assert gated.in_flight == 0
        await engine.inner.aclose()

    run(main)


def test_what_hangs_beside_others_that_are_answered_is_given_up_after_the_last_of_them() -> None:
    async def main() -> None:
        engine = Turns(stuck=WINDOWS[0].index)
        gated = GatedEngine(engine, TIMEOUT_S)
        clock = asyncio.get_running_loop().time
        begun_s = clock()
        hangs = asyncio.create_task(gated.diarize(WINDOWS[0]))
        await asyncio.gather(*(gated.diarize(window) for window in WINDOWS[1:4]))
        assert not hangs.done()
        with pytest.raises(WindowTimeout, match="answered nothing"):
            await hangs
        assert clock() - begun_s >= (3 * 0.4 + 1) * TIMEOUT_S - 0.05
        await engine.inner.aclose()

    run(main)
