"""What it costs to have the models elsewhere: time and CPU time per call, and of a whole recording, against the same
models in this process. `crosstalk bench engine` shows the table.

Calls are windows of soft noise, diarized, and ten seconds of it, decoded. CPU time is that of this process and of the
processes that are named (with their children), so what passes the calls on counts too.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import psutil

from app.core.times import SAMPLE_RATE
from app.core.types import DecodeRequest, DecodeTurn, FloatArray, TranscriptView, Window
from app.engine.base import Engine
from app.errors import EngineUnavailable
from app.recordings import Workplace, transcribe_file
from app.session import SessionOptions

_DECODE_S = 10
_WARM_UP = 8


@dataclass(frozen=True, slots=True)
class Site:
    """Where the models are. pids: processes of this machine that answer, () = this one alone."""

    name: str
    engine: Engine
    pids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class CallCost:
    """Of one step at one site. cpu_ms: per call, of all processes together"""

    site: str
    step: str
    in_flight: int
    median_ms: float
    p95_ms: float
    calls_per_s: float
    cpu_ms: float


@dataclass(frozen=True, slots=True)
class WholeCost:
    """Of a whole recording at one site. same: whether its transcript is that of the first site"""

    site: str
    wall_s: float
    cpu_s: float
    same: bool


async def call_costs(site: Site, calls: int, in_flight: Sequence[int]) -> list[CallCost]:
    """Both steps, with so many calls in flight. Raises EngineError."""
    window, request = _requests(site.engine)

    async def diarize(index: int) -> None:
        await site.engine.diarize(replace(window, index=index))

    async def decode(index: int) -> None:
        await site.engine.decode(replace(request, index=index))

    costs = []
    for step, call in (("diarize", diarize), ("decode", decode)):
        await _calls(call, _WARM_UP, 2)
        for at_once in in_flight:
            cpu_s, began_s = _cpu_s(site), time.perf_counter()
            took_s = sorted(await _calls(call, calls, at_once))
            wall_s, used_s = time.perf_counter() - began_s, _cpu_s(site) - cpu_s
            median_ms, p95_ms = 1000 * statistics.median(took_s), 1000 * took_s[int(0.95 * (len(took_s) - 1))]
            costs.append(CallCost(site.name, step, at_once, median_ms, p95_ms, calls / wall_s, 1000 * used_s / calls))
    return costs


async def whole_cost(
    site: Site, place: Workplace, recording: Path, first: TranscriptView | None
) -> tuple[WholeCost, TranscriptView]:
    """A recording from its file to its transcript; first: the transcript of the first site. Raises CrosstalkError."""
    cpu_s, began_s = _cpu_s(site), time.perf_counter()
    view = await transcribe_file(replace(place, engine=site.engine), recording, SessionOptions())
    wall_s, used_s = time.perf_counter() - began_s, _cpu_s(site) - cpu_s
    return WholeCost(site.name, wall_s, used_s, first is None or view == first), view


def to_markdown(costs: Sequence[CallCost], wholes: Sequence[WholeCost], machine: str) -> str:
    """Two tables; the first site is what the others are compared with."""
    base = {(cost.step, cost.in_flight): cost for cost in costs if cost.site == costs[0].site}
    lines = [
        machine,
        "",
        "| models | step | in flight | median | 95 % | added | calls/s | CPU per call | added CPU |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for cost in costs:
        than = base[cost.step, cost.in_flight]
        added, added_cpu = cost.median_ms - than.median_ms, cost.cpu_ms - than.cpu_ms
        lines.append(
            f"| {cost.site} | {cost.step} | {cost.in_flight} | {cost.median_ms:.1f} ms | {cost.p95_ms:.1f} ms "
            f"| {added:+.1f} ms ({cost.median_ms / than.median_ms:.2f} x) | {cost.calls_per_s:.0f} "
            f"| {cost.cpu_ms:.1f} ms | {added_cpu:+.1f} ms ({_times(cost.cpu_ms, than.cpu_ms)}) |"
        )
    if wholes:
        lines += ["", "| models | recording | CPU time | transcript |", "|---|---|---|---|"]
    for whole in wholes:
        same = "the same" if whole.same else "ANOTHER"
        wall = f"{whole.wall_s:.1f} s ({whole.wall_s / wholes[0].wall_s:.2f} x)"
        lines.append(
            f"| {whole.site} | {wall} | {whole.cpu_s:.1f} s ({_times(whole.cpu_s, wholes[0].cpu_s)}) | {same} |"
        )
    return "\n".join(lines) + "\n"


async def _calls(call: Callable[[int], Awaitable[None]], number: int, in_flight: int) -> list[float]:
    """Seconds that each call took; as soon as one is answered the next is made."""
    took_s: list[float] = []
    waiting = iter(range(number))

    async def client() -> None:
        for index in waiting:
            began_s = time.perf_counter()
            await call(index)
            took_s.append(time.perf_counter() - began_s)

    await asyncio.gather(*(client() for _ in range(in_flight)))
    return took_s


def _requests(engine: Engine) -> tuple[Window, DecodeRequest]:
    spec = engine.spec
    size = spec.window_samples
    sound = _noise(min(_DECODE_S * SAMPLE_RATE, spec.max_decode_samples))
    turn = DecodeTurn(0, len(sound), 0)
    return Window(0, 0, _noise(size), size, 0, size), DecodeRequest(0, 0, sound, (turn,), "en")


def _noise(samples: int) -> FloatArray:
    """(samples,) float32, soft, of whole 16-bit values as from most recordings."""
    return (np.random.default_rng(0).integers(-1500, 1500, samples) / 32768).astype(np.float32)


def _cpu_s(site: Site) -> float:
    """CPU time so far of this process and of those that answer. Raises EngineUnavailable when one has ended."""
    found = {psutil.Process()}
    try:
        for pid in site.pids:
            process = psutil.Process(pid)
            found |= {process, *process.children(recursive=True)}
        times = [process.cpu_times() for process in found]
    except psutil.Error as error:
        raise EngineUnavailable(f"a process of {site.name!r} cannot be looked at: {error}") from error
    return float(sum(spent.user + spent.system for spent in times))


def _times(used: float, than: float) -> str:
    """Processor time against other processor time; the system counts in steps, so that little may be none."""
    return f"{used / than:.2f} x" if than > 0 else "no measurable time before"
