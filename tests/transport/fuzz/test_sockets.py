"""Mutated frames over every socket, from a seed: each connection ends as documented, and nothing is left behind."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import random
from collections import Counter
from contextlib import asynccontextmanager, suppress
from urllib.parse import quote

import psutil
import pytest
import uvicorn
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidState

from app import errors
from app.main import create_app
from app.transport.server import DrainingServer, socket_options
from tests.engine.fake_worker import fake_engine
from tests.running import running
from tests.transport.fuzz.mutants import BIG, Mutator
from tests.transport.fuzz.visits import CUT, visit
from tests.transport.live.talk import SOUND, opened, send, until, words
from tests.transport.live.test_pace import SAID, browser_recording
from tests.transport.server import settings

AT_ONCE = 4
LIVE_CODES = {1000, 1001, 1002, 1003, 1007, 1008, 1009, 1013, *range(4000, 4008)}
"""Those of docs/live-protocol.md but for the server's own failure, and those that no client can bring about here."""
CODES = {"live": LIVE_CODES, "listen": {1000, 1002, 1007, 1008, 1009, 1011}, "view": {1000, 1002, 1007, 1008, 1009}}
OURS = ("start_expected", "idle_timeout", "frame_invalid", "message_invalid", "format_invalid", "session_unknown")
OURS += ("session_elsewhere", "max_duration", "reads_too_slowly")
STATUSES = {"live": set(), "listen": {400}, "view": {404}}
MOST_GROWN = 64 << 20
MORE_FILES = 16
"""Of the database's connections, of which some are opened late and kept."""


def codes_of(kind: type[errors.CrosstalkError]) -> set[str]:
    """Codes of an error and of all below it."""
    return {kind.code}.union(*(codes_of(below) for below in kind.__subclasses__()))


KNOWN = {*OURS, *codes_of(errors.CrosstalkError)} - {"internal_error", "engine_failed"}


@pytest.fixture
def served(tmp_path):
    """(base of the sockets, app); sessions without their client end soon."""
    engine = fake_engine()
    live = {"max_message_bytes": BIG, "max_sessions": 10_000, "resume_window_s": 2.0, "flush_after_s": 0.5}
    app = create_app(settings(tmp_path, live=live | {"idle_timeout_s": 15.0}), engine)
    config = uvicorn.Config(app, log_config=None, lifespan="on", **socket_options(BIG))
    with running(DrainingServer(config, app)) as url:
        yield url.replace("http", "ws"), app
    asyncio.run(engine.aclose())


@asynccontextmanager
async def hosting(base):
    """The address of a viewer of a session that goes on for as long as this."""

    async def kept(socket):
        while True:
            await socket.send('{"type": "ping"}')
            await asyncio.sleep(1)

    async with connect(f"{base}/v1/live", max_queue=None) as socket:
        ready = await opened(socket)
        await send(socket, SOUND[:64_000])
        keeping = asyncio.create_task(kept(socket))
        try:
            yield f"{base}/v1/live/{ready['session']}/view?share={quote(ready['share'])}"
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
            await socket.send('{"type": "stop"}')
            await until(socket, "done")


class Fuzz:
    """Visits from a seed, until so many mutants have been sent to each socket."""

    def __init__(self, base: str, seed: int) -> None:
        self._base = base
        self._seed = seed
        self._tokens: list[str] = []
        self._containers = (browser_recording("webm"), browser_recording("ogg"))
        self.count: Counter[str] = Counter()

    async def run(self, mutants: int) -> None:
        """So many frames that were changed, to each of the three."""
        async with hosting(self._base) as watched:
            for kind in ("live", "listen", "view"):
                await self._all(kind, watched if kind == "view" else f"{self._base}/v1/{kind}", mutants)

    async def _all(self, kind: str, url: str, mutants: int) -> None:
        numbers = iter(range(100 * mutants))
        goal = self.count[f"{kind} mutants"] + mutants

        async def one_by_one() -> None:
            for number in numbers:
                if self.count[f"{kind} mutants"] >= goal:
                    return
                await self._one(kind, url, number)

        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(one_by_one())

    async def _one(self, kind: str, url: str, number: int) -> None:
        rng = random.Random(f"{self._seed} {kind} {number}")
        plan = getattr(Mutator(rng, self._tokens, self._containers), kind)()
        if kind == "view" and rng.random() < 0.1:
            url = url.replace("share=", rng.choice(("share=x", "share=%00", "share=" + "y" * 300, "share=%ff")))
        elif kind == "view" and rng.random() < 0.1:
            url = url.replace("/v1/live/", rng.choice(("/v1/live/x", "/v1/live/%00", "/v1/live/%F0%9F%98%80")))
        try:
            made = await visit(url, kind, plan)
            check(kind, made)
        except (AssertionError, TimeoutError) as error:
            raise AssertionError(f"{kind} {number} of seed {self._seed}: {error!r}; {shortly(plan)}") from error
        told = made.events()
        self._tokens += [event["token"] for event in told if event.get("type") == "ready" and "token" in event]
        del self._tokens[:-50]
        self.count[f"{kind} connections"] += 1
        self.count[f"{kind} frames"] += made.sent
        self.count[f"{kind} mutants"] += made.mutants
        self.count[f"{kind} ends {made.status or made.closed}"] += 1


def shortly(plan) -> str:
    return f"{plan.query} {plan.end} {plan.code} {[(repr(frame)[:150], changed) for frame, changed in plan.frames]}"


def check(kind, made):
    """What holds for every connection, whatever was said on it."""
    for text in (*made.told, made.body, made.reason):
        assert "Traceback" not in text
        assert "internal_error" not in text
        assert ".py" not in text
    if made.status:
        assert made.status in STATUSES[kind], made.body
        json.loads(made.body)
        return
    told = {event["code"] for event in made.events() if event["type"] == "error"}
    assert told <= KNOWN
    if made.closed == CUT:
        assert made.mine or made.cut or made.plan.broken, "ended without a close"
    elif not made.mine:
        assert made.closed in CODES[kind], (made.closed, made.reason)
        if made.closed == 1011:
            assert made.reason.startswith("NET-0001")
        if kind == "live" and made.closed >= 4000:
            assert told


async def whole(base):
    """The words of a session that nobody disturbs."""
    seen = []
    async with connect(f"{base}/v1/live") as socket:
        await opened(socket)
        await send(socket, SOUND)
        await socket.send('{"type": "stop"}')
        await until(socket, "done", seen)
    return sorted(words(seen))


async def figures(app):
    """(sessions, viewers, sockets that have not begun, tasks of the server, open files)"""
    hub = app.state.live.hub

    async def tasks():
        return len(asyncio.all_tasks())

    on_loop = await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(tasks(), hub._sweeper.get_loop()))
    return hub.sessions, len(hub.audience), len(hub.door), on_loop, len(os.listdir("/proc/self/fd"))


async def settled(app, most=(0, 0, 0, 1_000, 100_000)):
    """The figures once they are no more than `most` for a second; the last ones if that never comes."""
    calm = 0
    with suppress(TimeoutError):
        async with asyncio.timeout(60):
            while calm < 10:
                await asyncio.sleep(0.1)
                now = await figures(app)
                calm = calm + 1 if all(a <= b for a, b in zip(now, most, strict=True)) else 0
    return await figures(app)


def of_uvicorn(record):
    """uvicorn (0.54) answers text that is not UTF-8 with close 1007 also where the connection is closing already,
    which fails in its own protocol. The connection is gone by then, and nobody else is harmed."""
    return record.exc_info is not None and isinstance(record.exc_info[1], InvalidState)


@pytest.mark.parametrize(
    "mutants", [40, pytest.param(3_600, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])], ids=["few", "many"]
)
def test_mutated_frames_over_every_socket(served, mutants, caplog):
    caplog.set_level(logging.ERROR)
    base, app = served

    async def main():
        fuzz = Fuzz(base, seed=6)
        await Fuzz(base, seed=1).run(max(10, mutants // 20))
        assert await whole(base) == SAID
        *before, files = await settled(app)
        before = (*before, files + MORE_FILES)
        gc.collect()
        held = psutil.Process().memory_info().rss
        await fuzz.run(mutants)
        assert await whole(base) == SAID
        after = await settled(app, before)
        gc.collect()
        return fuzz.count, before, after, psutil.Process().memory_info().rss - held

    count, before, after, grown = asyncio.run(main())
    print(dict(sorted(count.items())), f"grown by {grown / 1e6:.1f} MB, {before} -> {after}")  # noqa: T201
    assert [record.getMessage() for record in caplog.records if not of_uvicorn(record)] == []
    assert all(count[f"{kind} mutants"] >= mutants for kind in CODES)
    assert all(now <= then for now, then in zip(after, before, strict=True)), (before, after)
    assert before[:3] == (0, 0, 0)
    assert grown < MOST_GROWN
