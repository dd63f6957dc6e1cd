"""A crowd at the door harms nobody inside: one stream speaks while others try sockets, uploads and viewers' links.

The crowd is bounded; what it is told, and that the stream's finals are those of a quiet server, does not depend on
speed.
"""

from __future__ import annotations

import asyncio
import json
from urllib.parse import quote

import httpx2
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from app.settings import JobsGroup
from tests.engine.fake_worker import fake_engine
from tests.transport.live.talk import SOUND, opened, until
from tests.transport.server import serving, settings, wait_until, wav

VIEWERS = 5
QUEUED = 2
BEGINNING = 8
SECOND = 32_000


@pytest.fixture
def served(tmp_path):
    engine = fake_engine()
    live = {"max_sessions": 1, "max_viewers": VIEWERS, "max_beginning": BEGINNING}
    chosen = settings(tmp_path, live=live, jobs=JobsGroup(in_server=False, max_queued=QUEUED))
    with serving(engine, chosen) as base:
        wait_until(lambda: httpx2.get(f"{base}/readyz").status_code == 200, 30)
        yield base
    asyncio.run(engine.aclose())


def sockets(base: str) -> str:
    return base.replace("http", "ws")


async def speak(base: str, crowd=None) -> list[dict]:
    """One stream, in real time; `crowd` gets its `ready` and does what it does meanwhile. Every event."""
    seen: list[dict] = []
    async with connect(f"{sockets(base)}/v1/live") as socket:
        ready = await opened(socket)
        others = asyncio.create_task(crowd(base, ready)) if crowd else None

        async def sound() -> None:
            for at in range(0, len(SOUND), SECOND // 4):
                await socket.send(SOUND[at : at + SECOND // 4])
                await asyncio.sleep(0.25)
            if others is not None:
                await others
            await socket.send('{"type": "stop"}')

        async with asyncio.TaskGroup() as group:
            group.create_task(sound())
            await until(socket, "done", seen)
    return seen


def finals(events: list[dict]) -> list[dict]:
    return [event["segment"] for event in events if event["type"] == "final"]


async def at_once(number: int, ask) -> list[object]:
    """So many, eight at a time."""
    places = asyncio.Semaphore(8)

    async def one(which: int) -> object:
        async with places:
            return await ask(which)

    return await asyncio.gather(*(one(which) for which in range(number)))


async def handshake(url: str) -> int | None:
    """The seconds that a refused socket is told to wait; None when it was let in."""
    try:
        async with connect(url):
            return None
    except InvalidStatus as refused:
        answer = refused.response
    assert answer.status_code == 503
    return int(answer.headers["Retry-After"])


async def knocking(base: str, _ready: dict) -> None:
    """Sixty who want to speak, by both protocols."""
    listen = f"{sockets(base)}/v1/listen?encoding=linear16&sample_rate=16000"
    told = await at_once(60, lambda which: handshake(listen if which % 2 else f"{sockets(base)}/v1/live"))
    assert all(seconds == 10 for seconds in told)


async def uploading(base: str, _ready: dict) -> None:
    """Forty uploads of 2 MB; the queue takes two."""
    body = wav() + bytes(2_000_000)
    async with httpx2.AsyncClient(base_url=base, timeout=60) as http:
        answers = await at_once(40, lambda _: http.post("/v1/recordings", files={"file": ("m.wav", body)}))
    refused = [answer for answer in answers if answer.status_code != 202]
    assert len(refused) == 40 - QUEUED
    assert {answer.json()["error"]["code"] for answer in refused} == {"queue_full"}
    assert all(1 <= int(answer.headers["Retry-After"]) <= 3600 for answer in refused)


async def watching(base: str, ready: dict) -> None:
    """Forty viewers, half of them by server-sent events; there are five seats."""
    share = f"share={quote(ready['share'])}"
    address = f"{base}/v1/live/{ready['session']}"
    seated = [await connect(f"{sockets(address)}/view?{share}") for _ in range(VIEWERS)]
    try:

        async def look(which: int) -> int:
            if which % 2:
                return await handshake(f"{sockets(address)}/view?{share}") or 0
            async with httpx2.AsyncClient(timeout=30) as http:
                answer = await http.get(f"{address}/events?{share}")
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "overloaded")
            return int(answer.headers["Retry-After"])

        assert set(await at_once(40, look)) == {10}
    finally:
        for socket in seated:
            await socket.close()


@pytest.fixture(scope="module")
def quiet(tmp_path_factory):
    """The finals of the stream when it is alone."""
    engine = fake_engine()
    with serving(engine, settings(tmp_path_factory.mktemp("quiet"))) as base:
        found = finals(asyncio.run(speak(base)))
    asyncio.run(engine.aclose())
    assert found
    return found


@pytest.mark.parametrize("crowd", [knocking, uploading, watching], ids=lambda crowd: crowd.__name__)
def test_a_crowd_harms_no_stream_and_every_refusal_says_when_to_come(served, quiet, crowd):
    seen = asyncio.run(asyncio.wait_for(speak(served, crowd), 120))
    assert finals(seen) == quiet
    assert not {"lag", "slow_down", "skipped", "error"} & {event["type"] for event in seen}
    assert httpx2.get(f"{served}/healthz").status_code == 200


def test_a_seat_is_free_again_when_its_viewer_has_gone(served):
    async def talk() -> None:
        async with connect(f"{sockets(served)}/v1/live") as socket:
            ready = await opened(socket)
            address = f"{sockets(served)}/v1/live/{ready['session']}/view?share={quote(ready['share'])}"
            seated = [await connect(address) for _ in range(VIEWERS)]
            assert await handshake(address) == 10
            figures = await asyncio.to_thread(lambda: httpx2.get(f"{served}/metrics").text)
            assert f"crosstalk_live_viewers {VIEWERS}.0" in figures
            assert 'crosstalk_errors_total{code="overloaded",where="live"} 1.0' in figures
            await seated.pop().close()
            async with asyncio.timeout(30):
                while await handshake(address) is not None:  # noqa: ASYNC110 - the server's side is not ours to watch
                    await asyncio.sleep(0.05)
            for viewer in seated:
                await viewer.close()

    asyncio.run(talk())


def test_sockets_that_say_nothing_find_the_door_shut_and_harm_nobody(served, quiet):
    """As many as may be open without having begun, while one stream speaks; then the next is refused."""

    async def silent(base: str, _ready: dict) -> None:
        # The one place for a session is taken, so the rest is refused for that; here only what was open before counts.
        assert await handshake(f"{sockets(base)}/v1/live") == 10

    async def talk() -> list[dict]:
        idle = [await connect(f"{sockets(served)}/v1/live") for _ in range(BEGINNING)]
        try:
            assert await handshake(f"{sockets(served)}/v1/live") == 10
            await idle.pop().close()
            async with asyncio.timeout(30):
                while await handshake(f"{sockets(served)}/v1/live") is not None:  # noqa: ASYNC110 - see above
                    await asyncio.sleep(0.05)
            return await speak(served, silent)
        finally:
            for socket in idle:
                await socket.close()

    seen = asyncio.run(asyncio.wait_for(talk(), 120))
    assert finals(seen) == quiet


def test_who_is_refused_after_start_is_told_when_to_come(served):
    """The place went to somebody who was faster: both sockets were open before either began."""

    async def talk() -> dict:
        async with connect(f"{sockets(served)}/v1/live") as late, connect(f"{sockets(served)}/v1/live") as first:
            await opened(first)
            await late.send(json.dumps({"type": "start", "version": 1, "audio": {"encoding": "pcm_s16le"}}))
            async with asyncio.timeout(30):
                problem = json.loads(await late.recv())
                with pytest.raises(ConnectionClosed) as closed:
                    await late.recv()
            assert closed.value.rcvd.code == 4005
            return problem

    problem = asyncio.run(talk())
    assert (problem["type"], problem["code"], problem["retry_after_s"]) == ("error", "overloaded", 10.0)
