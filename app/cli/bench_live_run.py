"""What `crosstalk bench latency` and `bench load` do: a server, its clients, and the reports of what they saw.

Imported only when it runs: scoring comes with the extra `bench`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from app.audio import AudioLimits, open_recording
from app.audio.pcm16 import to_pcm16
from app.bench.corpora import BenchItem, find_items
from app.bench.latency import LatencyOptions, LiveItem, add_batch, run_latency
from app.bench.live_report import Row, latency_rows, render_json, render_markdown, run_facts
from app.bench.live_server import COMMAND, ServerProcess, own_server
from app.bench.live_trace import percentile
from app.bench.load import LoadOptions, LoadStep, Usage, run_load
from app.bench.recorded import RecordedEngine, load_recorded, record
from app.cli.progress import Display
from app.cli.tools import EngineBuilder
from app.client.recordings import RecordingsClient
from app.core.times import SAMPLE_RATE
from app.core.types import FloatArray, TranscriptView
from app.engine.base import Engine
from app.engine.log import FileLog, MemoryLog
from app.errors import EngineFailed
from app.recordings import Workplace, transcribe_file
from app.session import SessionOptions
from app.settings import Settings
from app.wiring import audio_limits, work_dir


@dataclass(frozen=True, slots=True)
class LatencyJob:
    """What was asked for. groups, urls: () = all, and a server of our own; language: None = detected."""

    data: Path
    groups: tuple[str, ...]
    urls: tuple[str, ...]
    speed: float
    max_meetings: int | None
    batch: bool
    language: str | None


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far a load test goes; meanings as in LoadOptions."""

    max_streams: int
    add: int
    hold_s: float
    lag_limit_s: float


@dataclass(frozen=True, slots=True)
class LoadJob:
    """What was asked for. engine: `local` or `replay`; recording: handed in at last, beside the streams."""

    sound: Path
    urls: tuple[str, ...]
    engine: str
    log: Path | None
    bounds: Bounds
    recording: Path | None = None


@dataclass(frozen=True, slots=True)
class Rendered:
    """A report in both its forms."""

    json: str
    markdown: str


async def measure_latency(
    job: LatencyJob, settings: Settings, build: EngineBuilder, environment: Mapping[str, str]
) -> Rendered:
    """Live through the socket, then, where wanted, the same files whole, by the same models. Raises CrosstalkError."""
    items = [item for item in find_items(job.data) if not job.groups or item.group in job.groups][: job.max_meetings]
    limits = audio_limits(settings)
    with Display() as display:

        def done(item: LiveItem) -> None:
            final = percentile(item.measures.final_s, 0.5)
            display.note(f"{item.session}: final p50 {final or 0:.2f} s")

        async with _server(job.urls, COMMAND, environment, display) as (urls, _):
            found = await run_latency(items, LatencyOptions(urls, job.speed, job.language), limits, done)
        if job.batch:
            found = await _with_batch(items, found, job, settings, build, display)
    chosen = settings.engine
    facts = run_facts(
        "Live latency",
        {
            "speed": f"{job.speed:g}",
            "language": job.language or "detected",
            "decoder": chosen.decoder,
            "device": chosen.device,
            "server": job.urls[0] if job.urls else "own",
        },
    )
    rows = latency_rows(found)
    return Rendered(render_json(facts, rows), render_markdown(facts, rows))


async def _with_batch(
    items: list[BenchItem],
    found: list[LiveItem],
    job: LatencyJob,
    settings: Settings,
    build: EngineBuilder,
    display: Display,
) -> list[LiveItem]:
    display.loading()
    engine = await build(settings)
    place = Workplace(engine, audio_limits(settings), work_dir(settings))

    async def whole(path: Path) -> TranscriptView:
        display.begin(path.name, None)
        return await transcribe_file(place, path, SessionOptions(language=job.language), display.update)

    try:
        return await add_batch(items, found, whole)
    finally:
        await engine.aclose()


async def measure_load(
    job: LoadJob, settings: Settings, environment: Mapping[str, str], program: tuple[str, ...] = COMMAND[:-1]
) -> Rendered:
    """Steps of growing load. program: what a server of our own is started with. Raises CrosstalkError."""
    loop = to_pcm16(read_loop(job.sound, audio_limits(settings)))
    command = (*program, "serve")
    if job.engine == "replay":
        log = ("--log", str(job.log)) if job.log is not None else ()
        command = (*program, "bench", "serve-recorded", "--sound", str(job.sound), *log)
    with Display() as display:

        def stepped(step: LoadStep) -> None:
            what = f"{step.streams} streams" + ("" if step.beside_s is None else " beside a recording")
            display.note(f"{what}: lag {step.lag_s:.2f} s, {step.refused} refused, {step.lost} lost")

        # A server of our own is to be limited by what it can do, not by its setting.
        room = {"CROSSTALK_LIVE__MAX_SESSIONS": str(job.bounds.max_streams), **environment}
        async with _server(job.urls, command, room, display) as (urls, server):
            before = server.rss_bytes() if server else None
            bounds = job.bounds
            options = LoadOptions(urls, bounds.max_streams, bounds.add, bounds.hold_s, bounds.lag_limit_s)
            usage = (lambda: Usage(server.rss_bytes(), server.cpu_s())) if server else None
            beside = None if job.recording is None else partial(_transcribed, urls[0], job.recording)
            steps = await run_load(loop, options, usage, stepped, beside)
    facts = run_facts(
        "Live load",
        {
            "engine": job.engine,
            "decoder": settings.engine.decoder,
            "lag limit": f"{bounds.lag_limit_s:g} s",
            "hold": f"{bounds.hold_s:g} s",
            "streams carried": str(carried(steps, bounds.lag_limit_s)),
            "sound": job.sound.name,
            "server": job.urls[0] if job.urls else "own, on the machine of the clients",
        },
    )
    rows = [_load_row(step, before, job.recording) for step in steps]
    return Rendered(render_json(facts, rows), render_markdown(facts, rows))


async def _transcribed(live_url: str, recording: Path) -> None:
    """Hand a recording in at the server of a live URL and wait for its end. Raises CrosstalkError."""
    parts = urlsplit(live_url)
    base = f"{'https' if parts.scheme == 'wss' else 'http'}://{parts.netloc}"

    def whole() -> None:
        with RecordingsClient(base) as client:
            made = client.submit(recording)
            done = client.wait(made.id)
        if done.state != "succeeded":
            raise EngineFailed(f"the recording beside the streams {done.state}")

    await asyncio.to_thread(whole)


def carried(steps: list[LoadStep], lag_limit_s: float) -> int:
    """The most streams that were carried within the limit, without other work beside them."""
    good = [step.streams for step in steps if not step.lost and step.lag_s <= lag_limit_s and step.beside_s is None]
    return max(good, default=0)


def _load_row(step: LoadStep, before: int | None, recording: Path | None) -> Row:
    each = (step.rss_bytes - before) / step.streams if step.rss_bytes is not None and before is not None else None
    return {
        "streams": step.streams,
        "beside": "-" if recording is None or step.beside_s is None else f"{recording.name}, {step.beside_s:.0f} s",
        "lag s": step.lag_s,
        "mark echo p50 s": step.echo_p50_s,
        "mark echo p90 s": step.echo_p90_s,
        "mark echo max s": step.echo_max_s,
        "finals": step.finals,
        "streams refused": step.refused,
        "streams lost": step.lost,
        "server MiB": None if step.rss_bytes is None else step.rss_bytes / 2**20,
        "MiB per stream": None if each is None else each / 2**20,
        "server cores": step.cores,
    }


def read_loop(path: Path, limits: AudioLimits) -> FloatArray:
    """The sound that streams play over and over: whole seconds, (samples,) float32. Raises InputError."""
    with open_recording(path, limits) as recording:
        samples = np.concatenate([np.zeros(0, np.float32), *(frames.samples for frames in recording.frames())])
    whole = max(1, len(samples) // SAMPLE_RATE) * SAMPLE_RATE
    return np.resize(samples, whole) if len(samples) < whole else samples[:whole]


async def serve_recorded(sound: Path, log: Path | None, settings: Settings, build: EngineBuilder) -> None:
    """Record what the models say of `sound`, unless the log has it, then serve it. Raises CrosstalkError."""
    from app.cli.serve import serve_engine

    store = MemoryLog() if log is None else FileLog(log)
    try:
        inner = await build(settings)
        try:
            await record(inner, read_loop(sound, audio_limits(settings)), store, work_dir(settings))
        finally:
            await inner.aclose()
        engine: Engine = RecordedEngine(await load_recorded(store))
    finally:
        await store.aclose()
    await serve_engine(settings, engine)


@asynccontextmanager
async def _server(
    urls: tuple[str, ...], command: tuple[str, ...], environment: Mapping[str, str], display: Display
) -> AsyncIterator[tuple[tuple[str, ...], ServerProcess | None]]:
    if urls:
        yield urls, None
        return
    display.note("starting a server")
    async with own_server(environment, command) as server:
        yield (server.live_url,), server
