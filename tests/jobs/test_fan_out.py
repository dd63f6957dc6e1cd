"""A queued recording over inference workers: all work on it at once, and the transcript is that of one process."""

from __future__ import annotations

import asyncio

import pytest

from app.engine.http_client import open_http
from tests.engine.fake_worker import fake_engine
from tests.engine.inference import Workers, http_rules
from tests.engine.test_http_client import until
from tests.engine.test_inference_faults import begun, busy
from tests.jobs.harness import Site, recording
from tests.jobs.test_runner import over, working


class Watched:
    """An engine over workers that notes how many windows were with each of them when an answer came."""

    def __init__(self, inner) -> None:
        self.inner, self.spec, self.capacity = inner, inner.spec, inner.capacity
        self.most = 0

    async def diarize(self, window):
        answer = await self.inner.diarize(window)
        self.most = max(self.most, min(busy(self.inner)))
        return answer

    async def decode(self, request):
        return await self.inner.decode(request)

    async def aclose(self) -> None:
        await self.inner.aclose()


@pytest.fixture
def site(tmp_path):
    it = Site(f"sqlite:///{tmp_path / 'store.sqlite'}", tmp_path)
    yield it
    it.close()


def test_a_long_recording_is_spread_over_the_workers(site, tmp_path):
    async def main(workers: Workers) -> None:
        alone = site.submit(recording(7, 60.0))
        async with working(site, fake_engine()):
            await over(site, alone)
        log = tmp_path / "begun"
        urls = [workers.start(fake_log=log, fake_slow_s=0.2) for _ in range(2)]
        engine = await open_http(http_rules(*urls))
        await until(lambda: engine.capacity == 32)
        log.unlink()
        spread = site.submit(recording(7, 60.0))
        watched = Watched(engine)
        async with working(site, watched):
            await over(site, spread)
        assert watched.most >= 4
        assert begun(log) == {str(process.pid) for process in workers.processes}
        assert site.body(spread) == site.body(alone)

    workers = Workers(tmp_path)
    try:
        asyncio.run(asyncio.wait_for(main(workers), 200))
    finally:
        workers.close()
