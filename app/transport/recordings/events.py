"""A recording's events as a stream that can be taken up again (WHATWG HTML, "Server-sent events")."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

from app.errors import JobNotFound
from app.jobs.store import Store
from app.jobs.types import JobEvent
from app.transport import sse

POLL_S = 0.3


async def stream(store: Store, job_id: str, last_id: int, heartbeat_s: float) -> AsyncIterator[bytes]:
    """The events after `last_id` until the recording is over or deleted."""
    async with aclosing(sse.with_heartbeats(_events(store, job_id, last_id), heartbeat_s)) as events:
        async for event in events:
            yield sse.HEARTBEAT if event is None else _written(event)


async def _events(store: Store, job_id: str, last_id: int) -> AsyncIterator[JobEvent]:
    while True:
        try:
            # Asked before the events: what ended the job is then among them.
            over = (await asyncio.to_thread(store.jobs.get, job_id)).state.over
        except JobNotFound:
            return
        found = await asyncio.to_thread(store.events.since, job_id, last_id)
        for event in found:
            last_id = event.id
            yield event
        if over and not found:
            return
        if not found:
            await asyncio.sleep(POLL_S)


def _written(event: JobEvent) -> bytes:
    return f"id: {event.id}\nevent: {event.kind}\n".encode() + sse.event(event.data)
