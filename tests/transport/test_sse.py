"""app/transport/sse.py: events, heartbeats, endings."""

from __future__ import annotations

import asyncio
import json

import pytest

from app.transport import sse


async def _slow(items, pause_s=0.0, error=None, log=None):
    try:
        for item in items:
            await asyncio.sleep(pause_s)
            yield item
        if error:
            raise error
    finally:
        if log is not None:
            await asyncio.sleep(0)
            log.append("closed")


async def _all(iterator):
    return [item async for item in iterator]


def test_an_event_is_one_line_whatever_its_text():
    data = sse.event({"text": "a\nb é \u2028"})
    assert data.count(b"\n") == 2
    assert json.loads(data.removeprefix(b"data: ")) == {"text": "a\nb é \u2028"}


def test_items_pass_in_order_without_heartbeats():
    assert asyncio.run(_all(sse.with_heartbeats(_slow(range(5)), 5))) == [0, 1, 2, 3, 4]


def test_silence_gives_heartbeats_and_loses_nothing():
    got = asyncio.run(_all(sse.with_heartbeats(_slow([1, 2], 0.12), 0.05)))
    assert [item for item in got if item is not None] == [1, 2]
    assert got.count(None) >= 2
    assert got[0] is None


def test_an_error_comes_after_what_was_there():
    async def run():
        got = []
        iterator = sse.with_heartbeats(_slow([1], error=ValueError("broken")), 5)
        got.append(await anext(iterator))
        with pytest.raises(ValueError, match="broken"):
            await anext(iterator)
        return got

    assert asyncio.run(run()) == [1]


def test_closing_ends_the_source_first():
    async def run():
        log = []
        iterator = sse.with_heartbeats(_slow([1, 2, 3], 0.01, log=log), 5)
        assert await anext(iterator) == 1
        await iterator.aclose()
        return log

    assert asyncio.run(run()) == ["closed"]


def test_cancelling_the_reader_ends_the_source():
    async def run():
        log = []
        task = asyncio.create_task(_all(sse.with_heartbeats(_slow([1], 10, log=log), 5)))
        await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return log

    assert asyncio.run(run()) == ["closed"]
