"""A sender that is too fast, a viewer that is too slow, a browser's container."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import threading

import av
import numpy as np
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError

from app.live.session import LiveSession
from app.transport.live.hub import LiveHub
from app.transport.live.limits import LiveLimits
from app.transport.live.messages import parse_message
from app.transport.live.store import MemoryLiveStore
from app.transport.live.view import follow
from tests.engine.fake_worker import fake_engine, meeting
from tests.transport.live.talk import SOUND, START, opened, send, until, words
from tests.transport.server import DURATION_S, SCRIPT, serving, settings

SAID = sorted(word for line in SCRIPT for word in line.text.split())


class Gated:
    """An engine that answers only while its gate is open."""

    def __init__(self):
        self.inner = fake_engine()
        self.spec = self.inner.spec
        self.gate = threading.Event()
        self.gate.set()

    async def diarize(self, window):
        await asyncio.to_thread(self.gate.wait)
        return await self.inner.diarize(window)

    async def decode(self, request):
        return await self.inner.decode(request)

    async def aclose(self):
        await self.inner.aclose()


def test_a_fast_sender_is_told_to_slow_down_and_loses_nothing(tmp_path):
    engine = Gated()

    async def talk(url):
        seen = []
        async with connect(url) as socket:
            ready = await opened(socket)
            assert ready["limits"]["max_ahead_s"] == 2.0
            engine.gate.clear()
            sending = asyncio.create_task(send(socket, SOUND, 8_000))
            told = await until(socket, "slow_down", seen)
            assert told["limit_s"] == 2.0
            assert 1.8 <= told["ahead_s"] <= 2.25
            engine.gate.set()
            await sending
            await socket.send('{"type": "stop"}')
            await until(socket, "done", seen)
        return seen

    with serving(engine, settings(tmp_path, live={"max_ahead_s": 2.0})) as base:
        seen = asyncio.run(talk(base.replace("http", "ws") + "/v1/live"))
    asyncio.run(engine.aclose())
    assert sorted(words(seen)) == SAID


def browser_recording(kind):
    """The meeting as a browser records it: Opus at 48 kHz, without a length in the header."""
    sound = np.repeat(meeting(SCRIPT, DURATION_S), 3)
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=kind, options={"live": "1"} if kind == "webm" else {}) as out:
        stream = out.add_stream("libopus", rate=48000)
        stream.layout, stream.bit_rate = "mono", 96_000
        for at in range(0, len(sound), 960):
            frame = av.AudioFrame.from_ndarray(sound[None, at : at + 960], format="flt", layout="mono")
            frame.sample_rate, frame.pts = 48000, at
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["webm", "ogg"])
def test_a_browsers_container_is_understood_in_any_pieces(tmp_path, kind):
    engine = fake_engine()

    async def talk(url):
        seen = []
        async with connect(url) as socket:
            await opened(socket, audio={"encoding": "container"})
            await send(socket, browser_recording(kind), 1_777)
            await socket.send('{"type": "stop"}')
            await until(socket, "done", seen)
        return seen

    with serving(engine, settings(tmp_path)) as base:
        seen = asyncio.run(talk(base.replace("http", "ws") + "/v1/live"))
    asyncio.run(engine.aclose())
    assert sorted(words(seen)) == SAID
    assert seen[-1]["duration_s"] == pytest.approx(DURATION_S, abs=0.1)


def test_a_viewer_that_does_not_keep_up_gets_everything_anew():
    async def main():
        engine, store = fake_engine(), MemoryLiveStore()
        hub = LiveHub(
            lambda options, snapshot: LiveSession(engine, options, resume=snapshot),
            store,
            LiveLimits(max_viewer_events=1),
        )
        room, _ = await hub.open(parse_message(json.dumps(START)))
        frames = follow(hub, room.record)
        assert json.loads(await anext(frames))["type"] == "ready"
        assert json.loads(await anext(frames))["type"] == "snapshot"
        await room.session.push(np.frombuffer(SOUND, "<i2").astype(np.float32) / 2**15)
        await room.session.stop()
        async with asyncio.timeout(60):
            await room.ended.wait()
            rest = [json.loads(frame) async for frame in frames if frame is not None]
        await hub.aclose()
        await engine.aclose()
        return rest

    rest = asyncio.run(main())
    last = [event for event in rest if event["type"] == "snapshot"][-1]
    assert sorted(word["text"] for segment in last["segments"] for word in segment["words"]) == SAID
    assert [event["type"] for event in rest].count("done") == 1
    assert rest[-1]["type"] == "done"


@pytest.mark.parametrize(
    ("late", "code"), [(SOUND[:3_200], 1003), ('{"type": "flush"}', 1007), ('{"type": "stop"}', None)]
)
def test_who_comes_back_to_a_session_that_was_stopped_waits_for_its_end(tmp_path, late, code):
    engine = Gated()

    async def talk(url):
        seen = []
        async with connect(url) as socket:
            ready = await opened(socket)
            engine.gate.clear()
            await send(socket, SOUND[:96_000])
            await socket.send('{"type": "stop"}')
            await socket.send('{"type": "ping", "id": "heard"}')
            await until(socket, "pong", seen)
        async with connect(url) as socket:
            await opened(socket, resume={"token": ready["token"], "have_revision": 0})
            await socket.send(late)
            if code is not None:
                with contextlib.suppress(ConnectionClosedError):
                    async for _ in socket:
                        pass
                return socket.close_code
            await socket.send('{"type": "ping", "id": "heard too"}')
            await until(socket, "pong", seen)
            engine.gate.set()
            await until(socket, "done", seen)
        return None

    with serving(engine, settings(tmp_path)) as base:
        try:
            told = asyncio.run(asyncio.wait_for(talk(base.replace("http", "ws") + "/v1/live"), 60))
        finally:
            engine.gate.set()
    assert told == code
