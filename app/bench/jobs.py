"""What the job queue itself costs: time per window, share of a job's time, and listing a long queue.

queue      the same meeting through a session alone and through a queued job (engine: `SteadyEngine`, which answers
           after a fixed time); the difference is the queue's
listing    pages of a store with many queued jobs, the way the API lists them
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
import wave
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from app.audio import AudioLimits
from app.core.times import SAMPLE_RATE
from app.core.types import (
    Decoded,
    DecodedTurn,
    DecodeRequest,
    EngineSpec,
    FrameGrid,
    LocalDiarization,
    VoiceRun,
    Window,
    Word,
)
from app.jobs.store import Store
from app.jobs.types import Blob, JobQuery, JobState, NewJob
from app.jobs.worker import Worker, WorkerRules
from app.recordings import Workplace, transcribe_file
from app.session import SessionOptions

_FRAMES, _DIM = 589, 192
_PAGE = 50
_POLL_S = 0.005


class SteadyEngine:
    """An Engine that answers after a fixed time: one voice that always speaks. Answers are as large as real ones."""

    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self._lock = asyncio.Lock()
        self._voice = np.full(_DIM, _DIM**-0.5, np.float32)
        self.spec = EngineSpec(10 * SAMPLE_RATE, FrameGrid(270, 721), 3, "steady", 30 * SAMPLE_RATE)
        self.asked = 0

    async def diarize(self, window: Window) -> LocalDiarization:
        """See Engine."""
        await self._work()
        activity = np.random.default_rng(window.index).uniform(0, 0.1, (_FRAMES, 3)).astype(np.float32)
        activity[:, 0] = 0.9
        runs = (VoiceRun(0, window.own_start, window.own_end, self._voice),)
        return LocalDiarization(window.start, window.end, activity, runs)

    async def decode(self, request: DecodeRequest) -> Decoded:
        """See Engine."""
        await self._work()
        turns = tuple(
            DecodedTurn(turn, (Word("word", turn.start, turn.end, 0.9),)) for turn in request.turns if turn.ask
        )
        return Decoded(turns, "en")

    async def aclose(self) -> None:
        """See Engine."""

    async def _work(self) -> None:
        self.asked += 1
        async with self._lock:  # one device
            await asyncio.sleep(self._window_s)


@dataclass(frozen=True, slots=True)
class QueueCost:
    """windows: asked of the engine in one run; alone_s, queued_s: wall time without and with the queue."""

    windows: int
    alone_s: float
    queued_s: float

    @property
    def per_window_ms(self) -> float:
        return 1000 * (self.queued_s - self.alone_s) / self.windows

    @property
    def share(self) -> float:
        """Of the job's time."""
        return (self.queued_s - self.alone_s) / self.queued_s


@dataclass(frozen=True, slots=True)
class ListingCost:
    """Milliseconds, over all repeats."""

    jobs: int
    first_page_p95_ms: float
    deep_page_p95_ms: float
    filtered_p95_ms: float
    create_p50_ms: float


async def queue_cost(store: Store, url: str, *, minutes: float, window_s: float) -> QueueCost:
    """Run one meeting both ways. The poll before the job is found is not part of a window and not counted."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "meeting.wav"
        await asyncio.to_thread(_write_meeting, path, minutes)
        engine = SteadyEngine(window_s)
        place = Workplace(engine, AudioLimits(), Path(folder))
        began_s = time.perf_counter()
        await transcribe_file(place, path, SessionOptions())
        alone_s, windows = time.perf_counter() - began_s, engine.asked
        blob = await asyncio.to_thread(store.blobs.put_file, path)
        job, _ = await asyncio.to_thread(store.jobs.create, NewJob(blob, "meeting.wav"))
        worker = Worker(store, place, WorkerRules(url, slots=1, poll_s=0.02))
        await worker.start()
        try:
            while not (found := await asyncio.to_thread(store.jobs.get, job.id)).state.over:  # noqa: ASYNC110
                await asyncio.sleep(_POLL_S)
        finally:
            await worker.aclose()
    if found.state is not JobState.SUCCEEDED or found.started_at is None or found.finished_at is None:
        raise RuntimeError(f"the benchmark's job ended as {found.state}: {found.failure}")
    return QueueCost(windows, alone_s, found.finished_at - found.started_at)


def listing_cost(store: Store, *, jobs: int, repeats: int = 100) -> ListingCost:
    """Queue `jobs` recordings of twenty tenants and list them."""
    created = [
        _ms(lambda i=i: store.jobs.create(NewJob(Blob(f"{i:064x}.0", 1), f"meeting {i}.wav", tenant=f"t{i % 20}")))  # type: ignore[misc]
        for i in range(jobs)
    ]
    cursor = None
    for _ in range(jobs // (2 * _PAGE)):
        cursor = store.jobs.list(JobQuery(cursor=cursor, limit=_PAGE)).cursor
    queries = (
        JobQuery(limit=_PAGE),
        JobQuery(limit=_PAGE, cursor=cursor),
        JobQuery(limit=_PAGE, tenant="t7", states=(JobState.QUEUED,)),
    )
    found = [_p95([_ms(lambda q=query: store.jobs.list(q)) for _ in range(repeats)]) for query in queries]  # type: ignore[misc]
    return ListingCost(jobs, found[0], found[1], found[2], statistics.median(created))


def to_markdown(url: str, queue: QueueCost, listing: ListingCost) -> str:
    """The figures as a table."""
    rows = (
        ("database", url.partition(":")[0]),
        ("windows of one meeting", f"{queue.windows}"),
        ("without the queue", f"{queue.alone_s:.2f} s"),
        ("as a job", f"{queue.queued_s:.2f} s"),
        ("the queue adds per window", f"{queue.per_window_ms:.2f} ms"),
        ("the queue's share of the job's time", f"{queue.share:.2%}"),
        (f"a page of {_PAGE} of {listing.jobs} queued jobs, p95", f"{listing.first_page_p95_ms:.1f} ms"),
        ("the same, in the middle of the list, p95", f"{listing.deep_page_p95_ms:.1f} ms"),
        ("the same, of one tenant and state, p95", f"{listing.filtered_p95_ms:.1f} ms"),
        ("queueing one recording, median", f"{listing.create_p50_ms:.1f} ms"),
    )
    return "| what | figure |\n|---|---|\n" + "".join(f"| {what} | {figure} |\n" for what, figure in rows)


def _write_meeting(path: Path, minutes: float) -> None:
    noise = np.random.default_rng(0).normal(0, 1000, SAMPLE_RATE).astype("<i2").tobytes()
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        for _ in range(int(minutes * 60)):
            file.writeframes(noise)


def _ms(call: Callable[[], object]) -> float:
    began_s = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - began_s)


def _p95(values: list[float]) -> float:
    return statistics.quantiles(values, n=20)[-1]
