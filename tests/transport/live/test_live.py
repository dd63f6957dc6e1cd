"""A session over a real socket: finals, a drop, a resume, and clients that do not behave."""

from __future__ import annotations

import asyncio
import json

import numpy as np
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from app.live.session import LiveSession
from app.live.updates import Final, LiveOptions
from tests.engine.fake_worker import fake_engine
from tests.transport.live.talk import SOUND, START, until, words
from tests.transport.server import DURATION_S, SCRIPT, serving, settings


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    engine = fake_engine()
    with serving(engine, settings(tmp_path_factory.mktemp("live"), live={"max_message_bytes": 65536})) as base:
        yield base.replace("http", "ws") + "/v1/live"
    asyncio.run(engine.aclose())


async def direct():
    """The words that the driver writes for the same sound without a socket."""
    engine, found = fake_engine(), []
    async with LiveSession(engine, LiveOptions()) as session:
        await session.push(np.frombuffer(SOUND, "<i2").astype(np.float32) / 2**15)
        await session.stop()
        async for update in session.updates():
            if isinstance(update, Final):
                found += [word.text for word in update.segment.words]
    await engine.aclose()
    return found


async def whole(url, step=8000):
    seen = []
    async with connect(url) as socket:
        await socket.send(json.dumps(START))
        await until(socket, "ready", seen)
        for at in range(0, len(SOUND), step):
            await socket.send(SOUND[at : at + step])
        await socket.send('{"type": "stop"}')
        await until(socket, "done", seen)
    return seen


def test_all_words_come_as_finals_with_revisions_of_their_own(url):
    seen = asyncio.run(whole(url))
    assert words(seen) == asyncio.run(direct())
    assert sorted(words(seen)) == sorted(word for line in SCRIPT for word in line.text.split())
    revisions = [event["revision"] for event in seen if event["type"] in {"final", "speakers"}]
    assert revisions == sorted(set(revisions))
    done = seen[-1]
    assert done["segments"] == len([event for event in seen if event["type"] == "final"])
    assert done["duration_s"] == pytest.approx(DURATION_S)


def test_a_dropped_connection_goes_on_and_gives_every_final_once(url):
    async def dropped():
        seen = []
        socket = await connect(url)
        await socket.send(json.dumps(START))
        ready = await until(socket, "ready", seen)
        for at in range(0, 240_000, 60_000):
            await socket.send(SOUND[at : at + 60_000])
        await until(socket, "final", seen)
        socket.transport.abort()
        await socket.wait_closed()
        have = max([event["revision"] for event in seen if event["type"] in {"final", "speakers"}], default=0)
        async with connect(url) as again:
            resume = {"token": ready["token"], "have_revision": have}
            await again.send(json.dumps(START | {"resume": resume}))
            second = await until(again, "ready", seen)
            assert second["resumed"]
            rest = SOUND[second["from_samples"] * 2 :]
            for at in range(0, len(rest), 8000):
                await again.send(rest[at : at + 8000])
            await again.send('{"type": "stop"}')
            await until(again, "done", seen)
        return seen

    finals = [event["segment"] for event in asyncio.run(dropped()) if event["type"] == "final"]
    undisturbed = [event["segment"] for event in asyncio.run(whole(url)) if event["type"] == "final"]
    assert finals == undisturbed


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([b"\0\0"], 1003),
        (["bWluZQ=="], 1007),
        (["[]"], 1007),
        (['{"type": "ping"}'], 4000),
        ([json.dumps(START | {"surprise": 1})], 1007),
        ([json.dumps(START | {"language": "klingon"})], 4007),
        ([json.dumps(START | {"audio": {"encoding": "alaw", "sample_rate": 7}})], 4002),
        ([json.dumps(START | {"resume": {"token": "guess"}})], 4003),
        ([json.dumps(START), "not json"], 1007),
        ([json.dumps(START), json.dumps(START)], 1007),
        ([json.dumps(START), b"RIFF\0\0\0\0WAVEfmt "], 4002),
        ([json.dumps(START | {"audio": {"encoding": "container"}}), b"\0" * 4000], 4002),
        ([json.dumps(START | {"audio": {"encoding": "container"}}), b"\x1a\x45\xdf\xa3\x01", '{"type": "stop"}'], 4002),
        ([json.dumps(START), b"\0" * 10_000_000], 1009),
        ([json.dumps(START), '{"type": "stop"}', b"\0\0"], 1003),
    ],
)
def test_what_is_against_the_protocol_ends_with_its_code(url, frames, code):
    async def talk():
        async with connect(url, max_size=None) as socket:
            try:
                for frame in frames:
                    await socket.send(frame)
                async with asyncio.timeout(30):
                    while True:
                        await socket.recv()
            except ConnectionClosed as closed:
                return closed.rcvd.code if closed.rcvd else 1006

    got = asyncio.run(talk())
    # After stop, the end may have been quicker than the sound that must not follow it.
    assert got == code or (code == 1003 and len(frames) == 3 and got == 1000)


def test_a_rename_is_told_and_the_download_has_it(url):
    import urllib.request

    async def talk():
        async with connect(url) as socket:
            await socket.send(json.dumps(START))
            ready = await until(socket, "ready")
            await socket.send(json.dumps({"type": "rename", "speaker": 0, "name": "Ada"}))
            event = await until(socket, "speakers")
            assert event["names"] == {"0": "Ada"}
            for at in range(0, len(SOUND), 32000):
                await socket.send(SOUND[at : at + 32000])
            await socket.send('{"type": "stop"}')
            await until(socket, "done")
            return ready

    ready = asyncio.run(talk())
    base = url.replace("ws", "http", 1)
    address = f"{base}/{ready['session']}/transcript?share={ready['share']}&format=txt"
    with urllib.request.urlopen(address) as answer:
        text = answer.read().decode()
    assert "Ada" in text
    # What became final piece by piece is a line for each speech again.
    assert [line.split(": ", 1)[1] for line in text.splitlines()] == [line.text for line in SCRIPT]
    with urllib.request.urlopen(f"{base}/{ready['session']}/events?share={ready['share']}") as answer:
        kinds = [
            json.loads(line[6:])["type"] for line in answer.read().decode().splitlines() if line.startswith("data")
        ]
    assert kinds == ["ready", "snapshot", "done"]


def test_packet_size_changes_nothing(url):
    finals = [
        [event["segment"] for event in asyncio.run(whole(url, step)) if event["type"] == "final"]
        for step in (1001, 50000)
    ]
    assert finals[0] == finals[1]
    assert np.isfinite(finals[0][0]["start"])
