"""Server-sent events: values in, bytes of a `text/event-stream` out, with comments while there is nothing to say.

OpenAI's dialect: only `data:` lines, each one JSON object (WHATWG HTML, "Server-sent events").
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import TypeVar

T = TypeVar("T")

MEDIA_TYPE = "text/event-stream"
HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
"""Tell caches and buffering proxies to pass events on at once."""

HEARTBEAT = b": still working\n\n"


def event(data: Mapping[str, object]) -> bytes:
    """One event."""
    return b"data: " + json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"


async def with_heartbeats(source: AsyncIterator[T], every_s: float) -> AsyncGenerator[T | None]:
    """The items of `source`, and None whenever it stayed silent for `every_s` seconds.

    `source` runs in one task of its own from start to end (a session may hold task-bound scopes), which is cancelled
    when this iterator is closed. What it raises is raised here.
    """
    queue: asyncio.Queue[T | _End] = asyncio.Queue()
    task = asyncio.create_task(_pump(source, queue))
    try:
        while True:
            try:
                async with asyncio.timeout(every_s):
                    item = await queue.get()
            except TimeoutError:
                yield None
                continue
            if isinstance(item, _End):
                break
            yield item
        await task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class _End:
    """Behind the last item of a queue."""


async def _pump(source: AsyncIterator[T], queue: asyncio.Queue[T | _End]) -> None:
    # The queue is unbounded: it can hold no more than the transcript, which the session keeps anyway.
    try:
        async for item in source:
            queue.put_nowait(item)
    finally:
        queue.put_nowait(_End())
