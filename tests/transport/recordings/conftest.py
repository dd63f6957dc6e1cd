"""Servers for recordings, on SQLite and on PostgreSQL, with an engine that can be held, and with webhooks.

`http` is a client of the server as it is; `held` is the server while its engine is held.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from app.core.times import SAMPLE_RATE
from app.settings import JobsGroup, StoreGroup, WebhooksGroup
from tests.engine.fake_worker import fake_engine
from tests.jobs.test_webhooks import RULES
from tests.transport.recordings.calls import unfinished
from tests.transport.server import serving, settings, wait_until

MAX_UPLOAD_BYTES = 4 * 1024**2


class HeldEngine:
    """The fake engine. While it is held its decoder answers only windows before a moment that was allowed."""

    def __init__(self) -> None:
        self._inner = fake_engine()
        self._until = 0.0
        self.release()
        self.spec = self._inner.spec

    def hold(self, but_for_s: float = 0.0) -> None:
        """but_for_s: windows that begin before it are answered all the same."""
        self._until = but_for_s

    def release(self) -> None:
        self._until = float("inf")

    async def diarize(self, window):
        return await self._inner.diarize(window)

    async def decode(self, request):
        while request.start >= self._until * SAMPLE_RATE:  # noqa: ASYNC110 - told by another thread
            await asyncio.sleep(0.01)
        return await self._inner.decode(request)

    async def aclose(self) -> None:
        await self._inner.aclose()


@dataclass
class Server:
    """A running server, its engine and a client of it."""

    url: str
    engine: HeldEngine
    http: httpx2.Client
    folder: Path


@pytest.fixture(scope="session", params=["sqlite", "postgres"])
def running(request, tmp_path_factory):
    """One server for all tests of this folder, per database."""
    store = request.getfixturevalue("postgres").database() if request.param == "postgres" else ""
    folder = tmp_path_factory.mktemp("server")
    chosen = settings(
        folder,
        {"heartbeat_s": 0.2, "upload_stall_timeout_s": 1.0},
        {"max_upload_bytes": MAX_UPLOAD_BYTES, "max_field_bytes": 20_000},
        store=StoreGroup(url=store),
        jobs=JobsGroup(poll_s=0.05),
        webhooks=WebhooksGroup(secret=RULES.secret),
    )
    engine = HeldEngine()
    with serving(engine, chosen) as url, httpx2.Client(base_url=url, timeout=30) as http:
        yield Server(url, engine, http, folder)
        engine.release()
    asyncio.run(engine.aclose())


@pytest.fixture
def http(running):
    return running.http


@pytest.fixture
def held(running):
    """The server with its engine held; what the test queued is cancelled at its end."""
    running.engine.hold()
    yield running
    running.engine.release()
    wait_until(lambda: not unfinished(running.http), 60)
