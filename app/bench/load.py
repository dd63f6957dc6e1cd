"""How many live streams a server carries: add streams, each in real time, until captions are too late.

A server's URL, a sound -> LoadStep per number of streams. The echo of a `mark` comes when all that was said before it
is final. How long that takes a stream that is alone depends on the sound alone (turns that must end, sound that must
follow); it is measured first, over the whole of the sound and the seam between its end and its begin. What it takes
longer with more streams, or beside other work, is their lag. Bounded in streams and in time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace

from app.bench.live_trace import percentile
from app.client import AudioFormat, Final, LiveClient, LiveFailed, LiveOptions, Problem, Ready, RetryRules
from app.client.pacing import send_paced

MARK_EVERY_S = 1.0
_STUCK_S = 10.0


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """max_streams: then it ends, whatever the lag; batch: streams added at once; hold_s: how long each number is
    measured; lag_limit_s: the lag that ends it"""

    urls: tuple[str, ...]
    max_streams: int = 100
    batch: int = 10
    hold_s: float = 15.0
    lag_limit_s: float = 2.0


@dataclass(frozen=True, slots=True)
class Usage:
    """Of the server, at a moment."""

    rss_bytes: int
    cpu_s: float


@dataclass(frozen=True, slots=True)
class LoadStep:
    """Measured with so many streams that play.

    echo: seconds from a mark to its echo; lag_s: by how much their p90 is above that of a stream alone
    finals: received meanwhile; lost: streams that failed so far; cores: the server's processor seconds per second;
    refused: streams that the server did not let in; beside_s: how long the other work took, None without any
    """

    streams: int
    echo_p50_s: float | None
    echo_p90_s: float | None
    echo_max_s: float | None
    lag_s: float
    finals: int
    lost: int
    rss_bytes: int | None = None
    cores: float | None = None
    refused: int = 0
    beside_s: float | None = None


@dataclass(slots=True)
class _Counts:
    """Of all streams, since the last step."""

    lags: list[float] = field(default_factory=list)
    pending: dict[int, float] = field(default_factory=dict)
    finals: int = 0
    failures: list[LiveFailed] = field(default_factory=list)
    refused: int = 0


async def run_load(
    loop_sound: bytes,
    options: LoadOptions,
    usage: Callable[[], Usage] | None = None,
    on_step: Callable[[LoadStep], None] | None = None,
    beside: Callable[[], Awaitable[None]] | None = None,
) -> list[LoadStep]:
    """Steps of growing numbers of streams, first one, all playing `loop_sound` (16-bit mono, 16 kHz) without an end.

    Ends after the first step whose lag is above the limit, or that lost a stream or had one refused, or at
    `max_streams`; then comes a step more with `beside`, work for the server that ends by itself.
    """
    steps: list[LoadStep] = []
    counts = _Counts()
    # Every step hears the whole sound, as the first one does: parts of it have longer turns than others.
    loop_s = AudioFormat().seconds_of(len(loop_sound))
    hold_s = max(options.hold_s, loop_s)

    def done(step: LoadStep) -> LoadStep:
        alone = steps[0] if steps else step
        step = replace(step, lag_s=max(0.0, (step.echo_p90_s or 0.0) - (alone.echo_p90_s or 0.0)))
        steps.append(step)
        if on_step is not None:
            on_step(step)
        return step

    async with AsyncExitStack() as stack:
        group = await stack.enter_async_context(_Streams(loop_sound, options.urls, counts))
        while len(group) < options.max_streams:
            for _ in range(min(options.batch, options.max_streams - len(group)) if steps else 1):
                group.add()
                # Meetings do not begin in step: spread over the second, so do their windows.
                await asyncio.sleep(1.0 / options.batch)
            if not steps:
                await asyncio.sleep(loop_s)  # from here on all steps hear the seam
            step = done(await _step(len(group), counts, asyncio.sleep(hold_s), usage))
            if step.lost or step.refused or step.lag_s > options.lag_limit_s:
                break
        if beside is not None:
            done(await _beside(len(group), counts, hold_s, usage, beside))
    return steps


async def _beside(
    streams: int,
    counts: _Counts,
    hold_s: float,
    usage: Callable[[], Usage] | None,
    beside: Callable[[], Awaitable[None]],
) -> LoadStep:
    took_s = 0.0

    async def work() -> None:
        nonlocal took_s
        begun_s = asyncio.get_running_loop().time()
        await beside()
        took_s = asyncio.get_running_loop().time() - begun_s

    async def both() -> None:
        await asyncio.gather(work(), asyncio.sleep(hold_s))

    return replace(await _step(streams, counts, both(), usage), beside_s=took_s)


async def _step(
    streams: int, counts: _Counts, meanwhile: Awaitable[None], usage: Callable[[], Usage] | None
) -> LoadStep:
    """Measured until `meanwhile` is over. streams: that were begun so far"""
    clock = asyncio.get_running_loop().time
    counts.lags.clear()
    counts.finals = 0
    before, begun = usage() if usage else None, clock()
    await meanwhile
    after, took = usage() if usage else None, clock() - begun
    # What has had no echo for longer than any turn lasts is at least so late already.
    lags = [*counts.lags, *(age for sent in counts.pending.values() if (age := clock() - sent) > _STUCK_S)]
    return LoadStep(
        streams=streams - len(counts.failures) - counts.refused,
        echo_p50_s=percentile(lags, 0.5),
        echo_p90_s=percentile(lags, 0.9),
        echo_max_s=max(lags, default=None),
        lag_s=0.0,
        finals=counts.finals,
        lost=len(counts.failures),
        rss_bytes=after.rss_bytes if after else None,
        cores=(after.cpu_s - before.cpu_s) / took if after and before else None,
        refused=counts.refused,
    )


class _Streams:
    """All streams; leaving the context ends them."""

    def __init__(self, loop_sound: bytes, urls: tuple[str, ...], counts: _Counts) -> None:
        self._sound = loop_sound
        self._urls = urls
        self._counts = counts
        self._tasks: list[asyncio.Task[None]] = []

    def __len__(self) -> int:
        return len(self._tasks)

    async def __aenter__(self) -> _Streams:
        return self

    async def __aexit__(self, *_error: object) -> None:
        for task in self._tasks:
            task.cancel()
        for ended in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(ended, Exception):
                raise ended

    def add(self) -> None:
        """One more."""
        self._tasks.append(asyncio.create_task(self._stream(len(self._tasks))))

    async def _stream(self, number: int) -> None:
        rules = RetryRules(give_up_s=5.0)
        let_in = refused = False
        try:
            async with (
                LiveClient(self._urls, LiveOptions(language="en"), rules) as client,
                asyncio.TaskGroup() as group,
            ):
                group.create_task(_play(client, self._sound))
                group.create_task(_marks(client, number, self._counts))
                async for event in client:
                    self._counts.finals += isinstance(event, Final)
                    let_in = let_in or isinstance(event, Ready)
                    if isinstance(event, Problem):
                        refused = not let_in and event.code == "overloaded"
        except* LiveFailed as failed:
            if refused:
                self._counts.refused += 1
            else:
                self._counts.failures.append(_first(failed))
        finally:
            self._counts.pending.pop(number, None)


def _first(group: BaseExceptionGroup[LiveFailed]) -> LiveFailed:
    inner = group.exceptions[0]
    return inner if isinstance(inner, LiveFailed) else _first(inner)


async def _play(client: LiveClient, sound: bytes) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield sound

    await send_paced(client, endless(), AudioFormat(), 1.0)


async def _marks(client: LiveClient, number: int, counts: _Counts) -> None:
    clock = asyncio.get_running_loop().time
    index = 0
    while True:
        await asyncio.sleep(MARK_EVERY_S)
        index += 1
        counts.pending[number] = clock()
        await client.mark(f"m{index}")
        counts.lags.append(clock() - counts.pending.pop(number))
