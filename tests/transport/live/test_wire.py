"""Clients and clocks that do not behave, over real sockets: what the client is told, and that nothing else suffers."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from urllib.parse import urlsplit

import numpy as np
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from app.core.types import Segment, Word
from app.jobs.speakers import KnownSpeakers
from app.live.updates import Partial
from app.main import create_app
from tests.engine.fake_worker import FakeWorker, Line, fake_engine, meeting, window_of
from tests.transport.live.talk import SOUND, opened, send, until, words
from tests.transport.live.test_pace import SAID, Gated, browser_recording
from tests.transport.server import serving, settings
from tests.web.serving import serving as serving_app


def live(base):
    return base.replace("http", "ws") + "/v1/live"


async def rest(socket):
    """(events, close code) to the end of the connection."""
    seen = []
    try:
        async with asyncio.timeout(90):
            while True:
                seen.append(json.loads(await socket.recv()))
    except ConnectionClosed as closed:
        return seen, closed.rcvd.code if closed.rcvd else 1006


@pytest.fixture
def app(tmp_path, request):
    """A server that the test can look into."""
    engine = fake_engine()
    limits = {"max_waiting_events": getattr(request, "param", 2_000)}
    application = create_app(settings(tmp_path, live=limits), engine)
    with serving_app(application) as served:
        yield application, served
    asyncio.run(engine.aclose())


async def eventually(condition):
    """Returns once it holds."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - the other side is a server in another thread
            await asyncio.sleep(0.02)


def narrow(served):
    """A connection that takes little from the server before it is read from."""
    address = urlsplit(served.url)
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect((address.hostname, address.port))
    return connect(live(served.url), sock=sock, max_queue=1, ping_interval=None)


async def ping(socket, count=20):
    """Pings whose answers are not read."""
    for _ in range(count):
        await socket.send(json.dumps({"type": "ping", "id": "x" * 200}))


async def stuffed(socket, mailbox):
    """Pings until the answers are stuck: the socket takes no more of them, and they wait in the mailbox."""
    async with asyncio.timeout(90):
        while True:
            waiting = mailbox.waiting
            await asyncio.sleep(0.3)
            if mailbox.waiting == waiting >= 20:
                return
            if mailbox.waiting < 20:
                await ping(socket, 2_000)


def partial(text):
    word = Word(text, 16_000, 20_000, 1.0)
    return Partial((Segment("open-0", 0, 16_000, 20_000, (word,)),))


@pytest.mark.parametrize("app", [400], indirect=True)
def test_a_reader_that_is_too_slow_is_told_and_can_come_back(app):
    application, served = app

    async def talk():
        async with narrow(served) as slow:
            ready = await opened(slow)
            room = application.state.live.hub.room(ready["session"])
            await slow.send(SOUND[:64_000])
            box = room._client
            async with asyncio.timeout(90):
                while not box.overflowed:
                    await ping(slow, 500)
                    await asyncio.sleep(0.005)
            seen, code = await rest(slow)
        async with connect(live(served.url)) as again:
            resumed = await opened(again, resume={"token": ready["token"], "have_revision": 0})
            await send(again, SOUND[resumed["from_samples"] * 2 :])
            await again.send('{"type": "stop"}')
            after, _ = await rest(again)
        return seen, code, after

    seen, code, after = asyncio.run(talk())
    assert code == 1013
    told = [event for event in seen if event["type"] == "error"]
    assert [event["code"] for event in told] == ["reads_too_slowly"]
    assert "400 events" in told[0]["message"]
    assert sorted(words(after)) == SAID


def test_lag_is_told_and_taken_back(tmp_path):
    engine = Gated()

    async def talk(base):
        seen = []
        async with connect(live(base)) as socket:
            await opened(socket)
            engine.gate.clear()
            await send(socket, SOUND + bytes(96_000))
            behind = await until(socket, "lag", seen)
            engine.gate.set()
            while (ok := await until(socket, "lag", seen))["state"] == "behind":
                pass  # told again while it lasts
            await socket.send('{"type": "stop"}')
            await until(socket, "done", seen)
        return behind, ok, seen

    with serving(engine, settings(tmp_path, live={"lag_limit_s": 4.0})) as base:
        behind, ok, seen = asyncio.run(talk(base))
    asyncio.run(engine.aclose())
    assert behind["state"] == "behind"
    assert behind["seconds"] > 4.0
    assert ok["seconds"] <= 2.0
    assert sorted(words(seen)) == SAID


def test_acks_rise_and_what_lies_behind_the_last_one_is_enough(tmp_path):
    engine = fake_engine()

    async def talk(base):
        seen = []
        async with connect(live(base)) as socket:
            ready = await opened(socket)
            for at in range(0, len(SOUND), 16_000):
                await socket.send(SOUND[at : at + 16_000])
            await until(socket, "ack", seen)
            await socket.send('{"type": "flush", "id": "f"}')
            await until(socket, "flushed", seen)
            socket.transport.abort()
        acks = [event["samples"] for event in seen if event["type"] == "ack"]
        have = max(event["revision"] for event in seen)
        async with connect(live(base)) as socket:
            resume = {"token": ready["token"], "have_revision": have}
            again = await opened(socket, resume=resume)
            await send(socket, SOUND[again["from_samples"] * 2 :])
            await socket.send('{"type": "stop"}')
            await until(socket, "done", seen)
        return acks, again["from_samples"], seen

    with serving(engine, settings(tmp_path)) as base:
        acks, begin, seen = asyncio.run(talk(base))
    asyncio.run(engine.aclose())
    assert acks == sorted(acks)
    assert acks[-1] <= begin, "the server asks for sound that it said it did not need"
    assert sorted(words(seen)) == SAID
    ids = [event["segment"]["id"] for event in seen if event["type"] == "final"]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("jump_s", [86_400.0, -86_400.0])
def test_a_clock_that_is_set_ends_no_session(tmp_path, monkeypatch, jump_s):
    engine = fake_engine()
    now = time.time
    application = create_app(settings(tmp_path), engine)

    async def talk(served):
        hub = application.state.live.hub
        object.__setattr__(hub, "limits", hub.limits.__class__(**{**_fields(hub.limits), "sweep_s": 0.05}))
        seen = []
        async with connect(live(served.url)) as socket:
            ready = await opened(socket)
            await send(socket, SOUND[:224_000])
            await until(socket, "final", seen)
            swept = []
            sweep = hub.store.sweep

            async def noted(*given):
                swept.append(given)
                return await sweep(*given)

            hub.store.sweep = noted
            served.run(_restart_sweeper(hub))
            monkeypatch.setattr(time, "time", lambda: now() + jump_s)
            count = len(swept)
            await eventually(lambda: len(swept) > count + 3)
            socket.transport.abort()
        async with connect(live(served.url)) as socket:
            have = max(event["revision"] for event in seen)
            again = await opened(socket, resume={"token": ready["token"], "have_revision": have})
            assert again["resumed"]
            await send(socket, SOUND[again["from_samples"] * 2 :])
            await socket.send('{"type": "stop"}')
            await until(socket, "done", seen)
        return seen

    with serving_app(application) as served:
        seen = asyncio.run(talk(served))
    monkeypatch.undo()
    asyncio.run(engine.aclose())
    assert sorted(words(seen)) == SAID


def _fields(limits):
    return {name: getattr(limits, name) for name in limits.__slots__}


async def _restart_sweeper(hub):
    hub._sweeper.cancel()
    hub.start()


@pytest.mark.parametrize(
    ("encoding", "sound", "code"),
    [
        ("pcm_s16le", browser_recording("webm"), 4002),
        ("pcm_s16le", browser_recording("ogg"), 4002),
        ("mulaw", b"RIFF\x24\0\0\0WAVEfmt " + b"\0" * 100, 4002),
        ("container", SOUND[:64_000], 4002),
        ("container", browser_recording("webm")[:7], 4002),
    ],
)
def test_sound_that_is_not_what_was_announced_is_refused(tmp_path, encoding, sound, code):
    engine = fake_engine()

    async def talk(base):
        async with connect(live(base)) as socket:
            await opened(socket, audio={"encoding": encoding})
            try:
                await send(socket, sound)
                await socket.send('{"type": "stop"}')
            except ConnectionClosed:
                pass
            return await rest(socket)

    with serving(engine, settings(tmp_path)) as base:
        seen, got = asyncio.run(talk(base))
    asyncio.run(engine.aclose())
    assert got == code
    assert seen[-1]["type"] == "error"
    assert seen[-1]["code"] == "format_invalid"


def test_enrolled_people_are_named_and_unknown_ids_are_refused(tmp_path):
    engine = fake_engine()
    application = create_app(settings(tmp_path), engine)
    sound = meeting([Line(0.5, 3, "hotel golf foxtrot echo delta charlie bravo alpha hotel golf")], duration_s=5.0)
    voice = FakeWorker().diarize_batch([window_of(sound)])[0].runs[0].voice
    talked = np.concatenate([sound, meeting([Line(0.5, 0, "alpha bravo charlie delta echo")], 4.0), sound])
    talked = (talked * 32767).astype("<i2").tobytes()

    async def talk(served, known):
        async with connect(live(served.url)) as socket:
            await socket.send(json.dumps({"type": "start", "version": 1, "audio": {"encoding": "pcm_s16le"}} | known))
            try:
                await send(socket, talked)
                await socket.send('{"type": "stop"}')
            except ConnectionClosed:
                pass
            return await rest(socket)

    with serving_app(application) as served:
        people = KnownSpeakers(application.state.services.store.database)
        ada = people.add("", "Ada", voice)
        for known in ([ada.id], ["all"]):
            seen, code = asyncio.run(talk(served, {"known_speakers": known}))
            assert code == 1000
            named = {number: name for it in seen if it["type"] == "speakers" for number, name in it["names"].items()}
            assert list(named.values()) == ["Ada"]
            said = [it["segment"] for it in seen if it["type"] == "final"]
            assert {str(it["speaker"]) for it in said if it["words"][0]["text"] == "hotel"} == set(named)
        seen, code = asyncio.run(talk(served, {"known_speakers": ["spk_nobody"]}))
    asyncio.run(engine.aclose())
    assert (code, seen[-1]["code"], seen[-1]["param"]) == (4007, "speaker_not_found", "known_speakers")
