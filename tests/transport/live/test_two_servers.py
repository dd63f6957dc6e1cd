"""Two server processes on one store: one is killed, or sent away, in mid-sentence; the other one goes on."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.engine.fake_worker import Line, meeting
from tests.running import free_port
from tests.transport.live.talk import START, until

ROOT = Path(__file__).parents[3]
SCRIPT = tuple(
    Line(0.5 + 4.0 * turn, (0, 3)[turn % 2], "alpha bravo charlie delta echo foxtrot golf") for turn in range(6)
)
SOUND = (meeting(SCRIPT, 26.0) * 32767).astype("<i2").tobytes()
CUT = 15 * 32000
STEP = 16000


@pytest.fixture
def servers(tmp_path):
    ports = [free_port(), free_port()]
    command = [sys.executable, "-m", "tests.transport.live.fake_server"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    running = [subprocess.Popen([*command, str(port), str(tmp_path)], cwd=ROOT, env=environment) for port in ports]
    yield [(f"ws://127.0.0.1:{port}/v1/live", process) for port, process in zip(ports, running, strict=True)]
    for process in running:
        process.kill()
        process.wait(20)


async def opened(url):
    for _ in range(600):
        try:
            return await connect(url)
        except OSError:
            await asyncio.sleep(0.1)
    raise AssertionError("the server did not start")


async def send(socket, sound):
    for at in range(0, len(sound), STEP):
        await socket.send(sound[at : at + STEP])


async def disturbed(servers, how):
    (first, process), (second, _) = servers
    seen = []
    socket = await opened(first)
    await socket.send(json.dumps(START))
    ready = await until(socket, "ready", seen)
    await send(socket, SOUND[:CUT])
    acked = await until(socket, "ack", seen)
    while not any(event["type"] == "final" and event["segment"]["start"] > 8 for event in seen):
        await until(socket, "final", seen)
    process.send_signal(how)
    try:
        async with asyncio.timeout(30):
            while True:
                seen.append(json.loads(await socket.recv()))
                if seen[-1]["type"] == "goaway":
                    await socket.close()
    except ConnectionClosed:
        pass
    await socket.close()
    have = max(event["revision"] for event in seen if event["type"] in {"final", "speakers"})
    again = await opened(second)
    await again.send(json.dumps(START | {"resume": {"token": ready["token"], "have_revision": have}}))
    resumed = await until(again, "ready", seen)
    assert resumed["from_samples"] >= acked["samples"]
    await send(again, SOUND[resumed["from_samples"] * 2 :])
    await again.send('{"type": "stop"}')
    await until(again, "done", seen)
    await again.close()
    return seen


async def undisturbed(url):
    seen = []
    socket = await opened(url)
    await socket.send(json.dumps(START))
    await send(socket, SOUND)
    await socket.send('{"type": "stop"}')
    await until(socket, "done", seen)
    await socket.close()
    return seen


def finals(events):
    return [event["segment"] for event in events if event["type"] == "final"]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_the_other_server_writes_what_an_undisturbed_one_writes(servers, how):
    got = asyncio.run(disturbed(servers, how))
    expected = finals(asyncio.run(undisturbed(servers[1][0])))
    assert len(expected) >= 6
    assert finals(got) == expected
    if how == signal.SIGTERM:
        assert "goaway" in [event["type"] for event in got]
        assert servers[0][1].wait(20) in {0, -signal.SIGTERM}


async def flushed(first, second, kill):
    """Finals of a session that is flushed in mid-sentence; with `kill` the first server dies right then."""
    cut, seen = 2 * 213_333, []
    socket = await opened(first)
    await socket.send(json.dumps(START))
    ready = await until(socket, "ready", seen)
    await send(socket, SOUND[:cut])
    await socket.send('{"type": "flush", "id": "here"}')
    await until(socket, "flushed", seen)
    begin = cut
    if kill is not None:
        kill()
        await socket.close()
        socket = await opened(second)
        have = max(event["revision"] for event in seen)
        await socket.send(json.dumps(START | {"resume": {"token": ready["token"], "have_revision": have}}))
        begin = 2 * (await until(socket, "ready", seen))["from_samples"]
        assert begin < cut
    await send(socket, SOUND[begin:])
    await socket.send('{"type": "stop"}')
    await until(socket, "done", seen)
    await socket.close()
    return finals(seen)


def test_a_flush_that_was_answered_is_not_forgotten_by_a_crash(servers):
    (first, process), (second, _) = servers
    got = asyncio.run(flushed(first, second, process.kill))
    expected = asyncio.run(flushed(second, second, None))
    assert len(expected) >= 7
    assert got == expected
