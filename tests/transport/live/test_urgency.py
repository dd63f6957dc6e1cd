"""Live streams go before recordings where both want the models of one process."""

from __future__ import annotations

import asyncio
import threading

import httpx2
from websockets.asyncio.client import connect

from app.core.types import Urgency
from app.settings import JobsGroup
from tests.engine.fake_worker import FakeWorker, fake_engine, meeting
from tests.transport.live.talk import SOUND, opened, send, until, words
from tests.transport.server import SCRIPT, serving, settings, wait_until, wav


class Gated(FakeWorker):
    """Diarizes when its gate is open; notes the urgencies of every batch."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.gate.set()
        self.urgencies: list[set[Urgency]] = []

    def diarize_batch(self, windows):
        self.urgencies.append({window.urgency for window in windows})
        assert self.gate.wait(120)
        return super().diarize_batch(windows)


def state_of(base: str, recording: str) -> str:
    return httpx2.get(f"{base}/v1/recordings/{recording}").json()["state"]


def test_a_stream_passes_the_recordings_that_wait(tmp_path):
    worker = Gated()
    engine = fake_engine(worker)

    def waiting() -> int:
        return engine.waiting["diarize"]

    async def talk(base: str) -> list[str]:
        seen: list[dict] = []
        async with connect(base.replace("http", "ws") + "/v1/live") as socket:
            await opened(socket)
            behind = waiting()
            await send(socket, SOUND)
            await asyncio.to_thread(wait_until, lambda: waiting() > behind, 60)
            worker.urgencies.clear()
            worker.gate.set()
            await socket.send('{"type": "stop"}')
            await until(socket, "done", seen)
        return words(seen)

    with serving(engine, settings(tmp_path, jobs=JobsGroup(poll_s=0.05))) as base:
        wait_until(lambda: httpx2.get(f"{base}/readyz").status_code == 200, 30)
        worker.gate.clear()
        for _ in range(2):
            sound = {"file": ("m.wav", wav(meeting(SCRIPT, 120.0)))}
            httpx2.post(f"{base}/v1/recordings", files=sound, timeout=60).raise_for_status()
        # The device is in a batch of a recording, and more of them wait.
        wait_until(lambda: worker.urgencies and waiting() >= 2, 60)
        said = asyncio.run(asyncio.wait_for(talk(base), 120))
        left = [it["id"] for it in httpx2.get(f"{base}/v1/recordings").json()["data"]]
        wait_until(lambda: all(state_of(base, it) == "succeeded" for it in left), 90)
    asyncio.run(engine.aclose())
    assert sorted(said) == sorted(word for line in SCRIPT for word in line.text.split())
    assert worker.urgencies[0] == {Urgency.LIVE}
    assert {Urgency.RECORDING} in worker.urgencies
    assert all(len(batch) == 1 for batch in worker.urgencies)
