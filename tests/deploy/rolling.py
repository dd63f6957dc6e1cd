"""Live streams and recordings through the load balancer while its replicas die and restart under them."""

from __future__ import annotations

import asyncio
import io
import threading
import wave
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from app.client import AudioFormat, Final, LiveClient, LiveOptions, Lost, Partial
from app.client.pacing import send_paced
from app.client.recordings import RecordingsClient
from app.errors import CrosstalkError
from tests.deploy.balancer import Balancer, Replica
from tests.engine.fake_worker import Line, meeting

WORDS = ("alpha bravo charlie delta echo foxtrot", "golf hotel alpha charlie echo golf")
VARIANTS = ((0, 3), (1, 4), (2, 5))


@dataclass
class Stream:
    """What one client saw: finals as (id, speaker, start, end, text); gap_s: longest wait from caption to caption, and
    when it began by the event loop's clock."""

    finals: list[tuple[object, ...]] = field(default_factory=list)
    gap_s: tuple[float, float] = (0.0, 0.0)
    lost: list[str] = field(default_factory=list)


def sound(variant: int, duration_s: float) -> bytes:
    """Two voices that talk in turns without a rest: 16-bit mono at 16 kHz."""
    voices = VARIANTS[variant % len(VARIANTS)]
    lines = [Line(0.3 + 2.0 * i, voices[i % 2], WORDS[i % 2]) for i in range(int((duration_s - 1.0) / 2.0))]
    return (meeting(lines, duration_s) * 32767).astype("<i2").tobytes()


def as_wav(pcm: bytes) -> bytes:
    """A WAV file of the sound."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(pcm)
    return buffer.getvalue()


async def stream(url: str, pcm: bytes, speed: float) -> Stream:
    """One client from its first sound to `done`."""
    seen = Stream()
    clock = asyncio.get_running_loop().time

    async def whole() -> AsyncIterator[bytes]:
        yield pcm

    async with LiveClient([url], LiveOptions(language="en")) as client, asyncio.TaskGroup() as group:

        async def play() -> None:
            await send_paced(client, whole(), AudioFormat(), speed)
            await client.stop()

        group.create_task(play())
        last_s: float | None = None
        async for event in client:
            if isinstance(event, Lost):
                seen.lost.append(event.reason)
            if isinstance(event, Final):
                it = event.segment
                seen.finals.append((it.id, it.speaker, it.start, it.end, it.text))
            if isinstance(event, Final) or (isinstance(event, Partial) and event.segments):
                now_s = clock()
                if last_s is not None:
                    seen.gap_s = max(seen.gap_s, (now_s - last_s, last_s))
                last_s = now_s
    return seen


async def streams(url: str, sounds: list[bytes], disturb: Coroutine[None, None, None]) -> list[Stream]:
    """All of them at the pace of speech, begun within two seconds, and what disturbs them meanwhile."""
    async with asyncio.TaskGroup() as group:
        group.create_task(disturb)
        tasks = []
        for pcm in sounds:
            tasks.append(group.create_task(stream(url, pcm, 1.0)))
            await asyncio.sleep(2.0 / len(sounds))
    return [task.result() for task in tasks]


@contextmanager
def cluster(folder: Path, environment: dict[str, str], replicas: int = 2) -> Iterator[tuple[Balancer, list[Replica]]]:
    """Replicas on one store behind nginx, ready."""
    running: list[Replica] = []
    balancer = None
    try:
        for _ in range(replicas):
            running.append(Replica(folder, environment))
        for replica in running:
            replica.wait_ready()
        balancer = Balancer(folder, [it.port for it in running])
        yield balancer, running
    finally:
        if balancer is not None:
            balancer.close()
        for replica in running:
            replica.close()


class Recordings(threading.Thread):
    """Uploads recordings through the load balancer, waits for each, and keeps the transcripts."""

    def __init__(self, url: str, files: list[Path]) -> None:
        super().__init__(name="recordings")
        self._url = url
        self._files = files
        self.texts: list[bytes] = []
        self.failure: BaseException | None = None

    def run(self) -> None:
        """One after the other."""
        try:
            with RecordingsClient(self._url) as client:
                for made in [client.submit(path) for path in self._files]:
                    done = client.wait(made.id)
                    assert done.state == "succeeded", done
                    self.texts.append(client.transcript(done.id, "txt").content)
        except (AssertionError, CrosstalkError) as error:
            self.failure = error
