"""More than one at a session: viewers, a second connection, a server that is full, clients that fall silent."""

from __future__ import annotations

import asyncio
import json
from urllib.parse import quote
from urllib.request import urlopen

import httpx2
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.engine.fake_worker import fake_engine
from tests.transport.live.talk import SOUND, opened, send, until, words
from tests.transport.server import SCRIPT, serving, settings, wait_until


@pytest.fixture
def served(tmp_path, request):
    engine = fake_engine()
    with serving(engine, settings(tmp_path, live=getattr(request, "param", {}))) as base:
        yield base
    asyncio.run(engine.aclose())


def live(base):
    return base.replace("http", "ws") + "/v1/live"


def viewer(base, ready):
    return f"{live(base)}/{ready['session']}/view?share={quote(ready['share'])}"


async def closed(socket):
    """The code that a connection ends with."""
    try:
        async with asyncio.timeout(60):
            while True:
                await socket.recv()
    except ConnectionClosed as end:
        return end.rcvd.code if end.rcvd else 1006


async def all_of(socket):
    """Every event until the server closes."""
    # Iteration ends with a normal close, and raises at any other.
    async with asyncio.timeout(60):
        return [json.loads(frame) async for frame in socket]


def test_viewers_follow_from_the_start_from_the_middle_and_afterwards(served):
    async def talk():
        async with connect(live(served)) as socket:
            ready = await opened(socket)
            early = await connect(viewer(served, ready))
            await until(early, "snapshot")
            following = asyncio.create_task(all_of(early))
            await send(socket, SOUND[:224_000])
            await until(socket, "final")
            late = await connect(viewer(served, ready))
            snapshot = await until(late, "snapshot")
            assert snapshot["segments"]
            joined = asyncio.create_task(all_of(late))
            await send(socket, SOUND[224_000:])
            await socket.send('{"type": "stop"}')
            await until(socket, "done")
            events, rest = await following, await joined
        after = await connect(viewer(served, ready))
        told = await until(after, "snapshot")
        assert await closed(after) == 1000
        return events, snapshot, rest, told

    events, snapshot, rest, told = asyncio.run(talk())
    said = sorted(word for line in SCRIPT for word in line.text.split())
    assert sorted(words(events)) == said
    shown = [word["text"] for segment in snapshot["segments"] for word in segment["words"]]
    assert sorted(shown + words(rest)) == said
    assert sorted(word["text"] for segment in told["segments"] for word in segment["words"]) == said
    assert events[-1]["type"] == rest[-1]["type"] == "done"


def test_a_wrong_link_shows_nothing(served):
    async def talk():
        async with connect(live(served)) as socket:
            ready = await opened(socket)
            with pytest.raises(InvalidStatus) as refused:
                await connect(viewer(served, ready | {"share": "guess"}))
            assert refused.value.response.status_code == 404

    asyncio.run(talk())


def test_a_second_connection_takes_the_session_over(served):
    async def talk():
        async with connect(live(served)) as first:
            ready = await opened(first)
            await send(first, SOUND[:64_000])
            async with connect(live(served)) as second:
                again = await opened(second, resume={"token": ready["token"], "have_revision": 0})
                assert again["session"] == ready["session"]
                assert await closed(first) == 4004
                await send(second, SOUND[again["from_samples"] * 2 :])
                await second.send('{"type": "stop"}')
                await until(second, "done")

    asyncio.run(talk())


@pytest.mark.parametrize("served", [{"max_sessions": 1}], indirect=True)
def test_a_full_server_says_so_and_takes_its_own_client_back(served):
    def readyz():
        return httpx2.get(f"{served}/readyz")

    async def talk():
        socket = await connect(live(served))
        ready = await opened(socket)
        with pytest.raises(InvalidStatus) as refused:
            await connect(live(served))
        assert refused.value.response.status_code == 503
        assert int(refused.value.response.headers["retry-after"]) > 0
        full = await asyncio.to_thread(readyz)
        assert full.status_code == 503
        assert (full.json()["status"], full.json()["live_sessions"]) == ("full", 1)
        socket.transport.abort()
        await socket.wait_closed()
        for _ in range(600):
            try:
                again = await connect(live(served))
                break
            except InvalidStatus:  # the server has not seen yet that the client is gone
                await asyncio.sleep(0.05)
        await opened(again, resume={"token": ready["token"], "have_revision": 0})
        await again.send('{"type": "stop"}')
        assert await closed(again) == 1000

    wait_until(lambda: readyz().status_code == 200)
    asyncio.run(talk())
    wait_until(lambda: readyz().json()["status"] == "ready")
    assert readyz().json()["live_sessions"] == 0


@pytest.mark.parametrize("served", [{"idle_timeout_s": 1.0}], indirect=True)
def test_a_silent_connection_is_closed_and_can_come_back(served):
    async def talk():
        async with connect(live(served)) as socket:
            ready = await opened(socket)
            assert await closed(socket) == 4001
        async with connect(live(served)) as socket:
            assert (await opened(socket, resume={"token": ready["token"], "have_revision": 0}))["resumed"]

    asyncio.run(talk())


@pytest.mark.parametrize("served", [{"flush_after_s": 1.0}], indirect=True)
def test_a_mark_is_echoed_when_no_more_sound_comes(served):
    async def talk():
        seen = []
        async with connect(live(served)) as socket:
            await opened(socket)
            await send(socket, SOUND[:120_000])
            await socket.send('{"type": "mark", "id": "here"}')
            await until(socket, "mark", seen)
        return seen

    assert words(asyncio.run(talk()))[:3] == ["alpha", "bravo", "charlie"]


@pytest.mark.parametrize("served", [{"flush_after_s": 0.5, "resume_window_s": 2.0}], indirect=True)
def test_the_tail_of_a_client_that_vanished_is_written_and_the_session_ends(served):
    async def talk():
        socket = await connect(live(served))
        ready = await opened(socket)
        watching = await connect(viewer(served, ready))
        await send(socket, SOUND[:120_000])
        await socket.send('{"type": "ping"}')
        await until(socket, "pong")
        socket.transport.abort()
        return ready, await all_of(watching)

    ready, seen = asyncio.run(talk())
    assert words(seen)[:3] == ["alpha", "bravo", "charlie"]
    assert seen[-1]["type"] == "done"
    address = f"{served}/v1/live/{ready['session']}/transcript?share={ready['share']}&format=txt"
    with urlopen(address) as answer:
        assert "alpha bravo charlie" in answer.read().decode()


def test_listen_is_served_beside_it(served):
    async def talk():
        url = served.replace("http", "ws") + "/v1/listen?encoding=linear16&sample_rate=16000&diarize=true"
        async with connect(url) as socket:
            await send(socket, SOUND)
            await socket.send('{"type": "CloseStream"}')
            return await all_of(socket)

    found = asyncio.run(talk())
    said = [
        word["word"]
        for message in found
        if message["type"] == "Results" and message["is_final"]
        for word in message["channel"]["alternatives"][0]["words"]
    ]
    assert sorted(said) == sorted(word for line in SCRIPT for word in line.text.split())
    assert found[-1]["type"] == "Metadata"
