"""How fast and how steady live captions are: meetings replayed through a server's socket, beside the batch transcripts.

BenchItems -> a live session each, at some speed -> LiveMeasures and word scores -> LatencyReport (`live_report.py`).
Meetings run one after the other.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.audio import AudioLimits, open_recording
from app.audio.pcm16 import pcm16_of
from app.bench.corpora import BenchItem
from app.bench.live_trace import LiveMeasures, Seen, Trace, live_speech, measure
from app.bench.scoring import score
from app.bench.values import Scores
from app.bench.words import normalize_english
from app.client import LiveClient, LiveOptions, RetryRules
from app.client.pacing import send_paced
from app.core.times import to_seconds
from app.core.types import TranscriptView

Batch = Callable[[Path], Awaitable[TranscriptView]]
"""Transcribes a file as a recording, by the same models."""


@dataclass(frozen=True, slots=True)
class LiveItem:
    """One meeting's results. batch: None when it was not asked for."""

    session: str
    group: str
    measures: LiveMeasures
    live: Scores
    batch: Scores | None


@dataclass(frozen=True, slots=True)
class LatencyOptions:
    """urls: of the server; speed: of sending, 0 = as fast as accepted; language: None = detected."""

    urls: tuple[str, ...]
    speed: float = 1.0
    language: str | None = None


async def run_latency(
    items: Sequence[BenchItem],
    options: LatencyOptions,
    limits: AudioLimits,
    on_item: Callable[[LiveItem], None] | None = None,
) -> list[LiveItem]:
    """Replay all meetings; `batch` is filled in by `add_batch`. Raises LiveFailed and what reading a file raises."""
    found = []
    for item in items:
        trace = await replay(item.audio, options, limits)
        scores = score(item.reference, live_speech(trace), trace.duration_s)
        result = LiveItem(item.session, item.group, measure(trace, _normalize), scores, None)
        found.append(result)
        if on_item is not None:
            on_item(result)
    return found


async def add_batch(items: Sequence[BenchItem], found: Sequence[LiveItem], transcribe: Batch) -> list[LiveItem]:
    """The same meetings as recordings, scored beside the live ones. Raises what `transcribe` raises."""
    both = []
    for item, live in zip(items, found, strict=True):
        view = await transcribe(item.audio)
        scores = score(item.reference, view, to_seconds(view.duration))
        both.append(LiveItem(live.session, live.group, live.measures, live.live, scores))
    return both


async def replay(path: Path, options: LatencyOptions, limits: AudioLimits) -> Trace:
    """One file through the socket; every event with its time."""
    clock = asyncio.get_running_loop().time
    asked = LiveOptions(language=options.language)
    events: list[Seen] = []
    begun: list[float] = []
    with open_recording(path, limits) as recording:
        async with LiveClient(options.urls, asked, RetryRules()) as client:
            feeding = asyncio.create_task(_feed(client, _noting(pcm16_of(recording), begun), options))
            try:
                async for event in client:
                    events.append(Seen(clock() - (begun[0] if begun else clock()), event))
                duration_s = await feeding
            finally:
                feeding.cancel()
                await asyncio.gather(feeding, return_exceptions=True)
    return Trace(tuple(events), duration_s, options.speed, events[-1].at_s)


async def _noting(sound: AsyncIterator[bytes], begun: list[float]) -> AsyncIterator[bytes]:
    """The sound, with the time at which the first of it is there."""
    async for data in sound:
        if not begun:
            begun.append(asyncio.get_running_loop().time())
        yield data


async def _feed(client: LiveClient, sound: AsyncIterator[bytes], options: LatencyOptions) -> float:
    try:
        return await send_paced(client, sound, LiveOptions().audio, options.speed)
    finally:
        await client.stop()


@functools.cache
def _normalize(word: str) -> str:
    return normalize_english(word)
