"""Live streams are let in by what they cost: those that are in keep their pace, the next one is refused and told."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.error
import urllib.request

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from app.engine.load import Asked, EngineCost
from app.transport.live.gate import GateRules, StreamGate
from tests.engine.fake_worker import SPEC, FakeWorker, fake_engine
from tests.transport.live.talk import SOUND, START
from tests.transport.server import serving, settings, wait_until


class Streams:
    """What the gate watches, set by hand."""

    spec = SPEC

    def __init__(self, cost: EngineCost | None) -> None:
        self.now_s = 0.0
        self.asked = Asked()
        self._cost = cost
        self.gate = StreamGate(self, GateRules(), lambda: self.now_s)

    def cost(self) -> EngineCost | None:
        return self._cost

    def run(self, streams: int, seconds: int, diarize: int, decode: int) -> None:
        """So many streams, each asking so much every second."""
        for _ in range(seconds):
            self.gate.sample(streams)
            self.now_s += 1
            self.asked = Asked(self.asked.diarize + streams * diarize, self.asked.decode + streams * decode)
        self.gate.sample(streams)


def room(gate: StreamGate) -> int:
    """How many streams would be let in, one after the other."""
    return next(n for n in range(10_000) if gate.reason_against(n, 0))


def test_before_anything_was_heard_experience_and_the_probe_decide() -> None:
    assert room(Streams(EngineCost(1, 0.02, 0.09)).gate) == 4
    assert room(Streams(EngineCost(10, 0.02, 0.09)).gate) == 43


def test_then_what_streams_really_ask_decides() -> None:
    quiet, busy = Streams(EngineCost(10, 0.1, 0.1)), Streams(EngineCost(10, 0.1, 0.1))
    before = room(quiet.gate)
    quiet.run(4, 60, 2, 0)
    busy.run(4, 60, 2, 4)
    assert room(busy.gate) < before < room(quiet.gate)
    # What was long ago does not count.
    busy.run(4, 60, 2, 0)
    assert room(busy.gate) == room(quiet.gate)


def test_who_is_silent_now_may_talk_later() -> None:
    few, many = Streams(EngineCost(1, 0.1, 0.2)), Streams(EngineCost(100, 0.1, 0.2))
    few.run(1, 60, 2, 0)
    assert few.gate.stream_load() < 0.4
    assert few.gate.reason_against(1, 0), "half of a device is not enough for two that talk"
    # Many do not all talk at once.
    many.run(100, 60, 2, 0)
    talking = 2.0 * 0.1 + 1.6 * 0.2
    assert 80 / talking * 1.3 < room(many.gate) < 80 / many.gate.stream_load()


def test_the_first_stream_is_always_let_in_and_engines_that_cannot_measure_let_in_all() -> None:
    assert room(Streams(EngineCost(1, 50.0, 50.0)).gate) == 1
    assert Streams(None).gate.reason_against(1_000, 0) == ""


def test_before_the_first_probe_is_over_there_is_room_for_one() -> None:
    gate = Streams(EngineCost(1)).gate
    assert gate.reason_against(0, 0) == ""
    assert "not measured" in gate.reason_against(1, 0)


def test_nobody_is_let_in_while_most_lag() -> None:
    gate = Streams(EngineCost(1, 0.001, 0.001)).gate
    assert gate.reason_against(4, 2) == ""
    assert "lag" in gate.reason_against(4, 3)
    assert gate.reason_against(1, 1) == ""


class FixedSpeed(FakeWorker):
    """Models that take so long for a request, whatever else the machine does."""

    def diarize_batch(self, windows):
        time.sleep(0.2 * len(windows))
        return super().diarize_batch(windows)

    def decode_batch(self, requests):
        time.sleep(0.2 * len(requests))
        return super().decode_batch(requests)


async def stream(url: str) -> list[str]:
    """A client that speaks in real time; the kinds of events that it got."""
    seen = []
    async with connect(url) as socket:

        async def speak() -> None:
            for at in range(0, len(SOUND), 16_000):
                await socket.send(SOUND[at : at + 16_000])
                await asyncio.sleep(0.5)
            await socket.send('{"type": "stop"}')

        await socket.send(json.dumps(START))
        speaking = asyncio.create_task(speak())
        try:
            async for message in socket:
                event = json.loads(message)
                seen.append(event["type"] if event["type"] != "error" else event["code"])
        except ConnectionClosed:
            pass
        finally:
            speaking.cancel()
            await asyncio.gather(speaking, return_exceptions=True)
    return seen


def ready(base: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"{base}/readyz", timeout=10) as answer:
            return answer.status, json.load(answer)["status"]
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)["status"]


@pytest.mark.parametrize("max_load", [0.8, 0.0])
def test_one_client_more_harms_nobody(tmp_path, max_load: float) -> None:
    """Models for two streams, six clients. Without the gate all are let in, and all of them lag."""
    engine = fake_engine(FixedSpeed())

    async def clients(base: str) -> list[list[str]]:
        tasks = []
        for _ in range(6):
            tasks.append(asyncio.create_task(stream(base.replace("http", "ws") + "/v1/live")))
            await asyncio.sleep(0.2)
        if max_load:
            assert await asyncio.to_thread(ready, base) == (503, "full")
        return await asyncio.gather(*tasks)

    chosen = settings(tmp_path, live={"max_load": max_load, "lag_limit_s": 4.0})
    with serving(engine, chosen) as base:
        wait_until(lambda: ready(base) == (200, "ready"), 30)
        found = asyncio.run(asyncio.wait_for(clients(base), 120))
    asyncio.run(engine.aclose())
    admitted = [kinds for kinds in found if "ready" in kinds]
    refused = [kinds for kinds in found if "ready" not in kinds]
    if max_load:
        assert 1 <= len(admitted) <= 2
        assert all(kinds == ["overloaded"] for kinds in refused)
        assert all("lag" not in kinds and kinds[-1] == "done" for kinds in admitted)
    else:
        assert len(admitted) == 6
        assert any("lag" in kinds for kinds in admitted)
