"""app/transport/health.py: ready only when the engine really answers."""

from __future__ import annotations

import asyncio
import threading

import httpx2
from websockets.asyncio.client import connect

from app.engine.readiness import Readiness
from app.errors import EngineFailed
from tests.engine.fake_worker import FakeWorker, fake_engine
from tests.transport.live.talk import opened
from tests.transport.server import serving, settings, wait_until


class Breakable:
    """An engine that fails or hangs when told to."""

    def __init__(self):
        self.inner = fake_engine()
        self.spec = self.inner.spec
        self.error = None
        self.hang_s = 0.0
        self.go = threading.Event()
        self.go.set()
        self.asked = 0

    async def diarize(self, window):
        self.asked += 1
        await asyncio.to_thread(self.go.wait)
        await asyncio.sleep(self.hang_s)
        if self.error:
            raise self.error
        return await self.inner.diarize(window)

    async def decode(self, request):
        return await self.inner.decode(request)

    async def aclose(self):
        await self.inner.aclose()


def _run(scenario):
    async def run():
        engine = Breakable()
        try:
            await scenario(engine)
        finally:
            await engine.aclose()

    asyncio.run(run())


def test_starting_until_the_first_probe_has_passed():
    async def scenario(engine):
        readiness = Readiness(engine, interval_s=60, timeout_s=5)
        assert await readiness.check() is None
        assert (await readiness.start()).passed
        assert (await readiness.check()).passed

    _run(scenario)


def test_a_fresh_result_is_kept_and_an_old_one_made_anew():
    async def scenario(engine):
        readiness = Readiness(engine, interval_s=60, timeout_s=5)
        await readiness.start()
        await asyncio.gather(*(readiness.check() for _ in range(5)))
        assert engine.asked == 1
        old = Readiness(engine, interval_s=0, timeout_s=5)
        await old.start()
        engine.hang_s = 0.05
        await asyncio.gather(*(old.check() for _ in range(5)))
        assert engine.asked == 3, "five callers share one probe"

    _run(scenario)


def test_failing_and_hanging_engines_are_not_ready_and_recover():
    async def scenario(engine):
        readiness = Readiness(engine, interval_s=0, timeout_s=0.05)
        engine.error = EngineFailed("the models are broken")
        result = await readiness.start()
        assert not result.passed
        assert result.reason == "the models are broken [engine_failed]"
        engine.error, engine.hang_s = None, 1.0
        assert "did not answer within 0.05 s" in (await readiness.check()).reason
        engine.hang_s = 0.0
        assert (await readiness.check()).passed

    _run(scenario)


def test_over_http(tmp_path):
    engine = Breakable()
    engine.go.clear()
    chosen = settings(tmp_path, {"probe_interval_s": 0.01})
    with serving(engine, chosen) as url, httpx2.Client(base_url=url) as http:
        starting = http.get("/readyz")
        assert (starting.status_code, starting.json()["status"]) == (503, "starting")
        engine.go.set()
        assert http.get("/healthz").json()["status"] == "ok"
        wait_until(lambda: http.get("/readyz").status_code == 200)
        engine.error = EngineFailed("the models are broken")
        engine.hang_s = 0.0
        failing = http.get("/readyz")
        assert (failing.status_code, failing.json()["status"]) == (503, "failing")
        assert http.get("/healthz").status_code == 200
    asyncio.run(engine.aclose())


def test_a_probe_is_a_real_window(tmp_path):
    worker = FakeWorker()
    engine = fake_engine(worker)
    with serving(engine, settings(tmp_path)) as url:
        wait_until(lambda: httpx2.get(f"{url}/readyz").status_code == 200)
        assert worker.batches == [("diarize", 1), ("decode", 1)]
    asyncio.run(engine.aclose())


def test_who_is_full_can_still_be_asked_for_all_else(tmp_path):
    """Every server may be full: a balancer that leaves out each of them would have none for a page or a transcript."""
    engine = fake_engine()
    with serving(engine, settings(tmp_path, live={"max_sessions": 1})) as url, httpx2.Client(base_url=url) as http:
        wait_until(lambda: http.get("/readyz").status_code == 200)

        async def beside_a_session() -> list[tuple[int, str]]:
            async with connect(url.replace("http", "ws") + "/v1/live") as socket:
                await opened(socket)
                answers = [await asyncio.to_thread(http.get, path) for path in ("/readyz", "/readyz?ignore=full")]
            return [(answer.status_code, answer.json()["status"]) for answer in answers]

        assert asyncio.run(beside_a_session()) == [(503, "full"), (200, "ready")]
        assert http.get("/readyz?ignore=everything").status_code == 422
    asyncio.run(engine.aclose())
