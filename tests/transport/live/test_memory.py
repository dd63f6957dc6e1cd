"""A session of a working day, fast-forwarded: what it holds in memory does not grow.

The driver, the room, the store on disk and the client's mailbox are the real ones; only the models are recorded
answers. Now and then a voice is heard that nobody has, so that speakers' numbers are used up as in a noisy room, and
every so often a client marks, flushes and renames.
"""

from __future__ import annotations

import asyncio
import gc
import json
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from app.bench.recorded import RecordedEngine, load_recorded, record
from app.core.times import SAMPLE_RATE
from app.engine.log import MemoryLog
from app.live.session import LiveSession
from app.store import migrate, open_database
from app.transport.live.hub import LiveHub
from app.transport.live.limits import LiveLimits
from app.transport.live.mailbox import Closing, Mailbox
from app.transport.live.messages import parse_message
from app.transport.live.sql_store import SqlLiveStore
from tests.engine.fake_worker import Line, fake_engine, meeting
from tests.transport.live.talk import START

LINES = [Line(0.5 + 5.0 * turn, (0, 3, 5)[turn % 3], "alpha bravo charlie delta echo") for turn in range(6)]
LOOP = meeting(LINES, 32.0)
STRANGER_EVERY = 13
MINUTE = 60 * SAMPLE_RATE


class Noisy(RecordedEngine):
    """Every so many windows the voices are a stranger's."""

    def __init__(self, recorded):
        super().__init__(recorded)
        self._random = np.random.default_rng(0)

    async def diarize(self, window):
        heard = await super().diarize(window)
        if window.index % STRANGER_EVERY:
            return heard
        runs = []
        for run in heard.runs:
            voice = self._random.normal(size=run.voice.shape)
            runs.append(replace(run, voice=(voice / np.linalg.norm(voice)).astype(np.float32)))
        return replace(heard, runs=tuple(runs))


async def recorded(folder):
    inner, log = fake_engine(), MemoryLog()
    await record(inner, LOOP, log, folder)
    await inner.aclose()
    return await load_recorded(log)


async def read(mailbox, count, answered):
    """The client: reads everything."""
    while not isinstance(letter := await mailbox.get(60.0), Closing):
        if letter is not None:
            event = json.loads(letter.text)
            count[event["type"]] = count.get(event["type"], 0) + 1
            if event["type"] == "flushed" and event["id"] in answered:
                answered[event["id"]].set()


async def growth(folder, begin, minutes):
    """Bytes held more at the end than after the minute `begin`; what the client got; speakers' numbers used."""
    engine = Noisy(await recorded(folder))
    database = open_database(f"sqlite:///{folder / 'live.sqlite'}")
    migrate(database)
    hub = LiveHub(
        lambda options, snapshot: LiveSession(engine, options, resume=snapshot), SqlLiveStore(database), LiveLimits()
    )
    room, _ = await hub.open(parse_message(json.dumps(START)))
    mailbox, count = Mailbox(2_000), {}
    answered = {str(minute): asyncio.Event() for minute in (begin, minutes)}
    room.attach(mailbox)
    reader = asyncio.create_task(read(mailbox, count, answered))
    silence = np.zeros(SAMPLE_RATE // 10, np.float32)
    held = {}
    for minute in range(1, minutes + 1):
        for _ in range(MINUTE // len(silence)):
            await room.session.push(silence)
        await room.session.mark(str(minute))
        room.session.rename(minute % 7, f"name {minute}")
        if minute % 5 == 0 or minute in {begin, minutes}:
            await room.session.flush(str(minute))
        if minute in {begin, minutes}:
            await answered[str(minute)].wait()
            gc.collect()
            held[minute] = tracemalloc.get_traced_memory()[0]
    speakers = room.session._blocks._tracker.num_speakers
    await room.session.stop()
    await reader
    await room.ended.wait()
    await hub.aclose()
    await engine.aclose()
    database.close()
    return held[minutes] - held[begin], count, speakers


def measured(folder, begin, minutes):
    tracemalloc.start()
    try:
        return asyncio.run(growth(folder, begin, minutes))
    finally:
        tracemalloc.stop()


def test_memory_is_flat_after_five_minutes(tmp_path):
    grown, count, speakers = measured(tmp_path, 5, 8)
    assert count["final"] > 8 * 8
    assert speakers > 6
    assert grown < 1_000_000, f"{grown} bytes in three minutes"


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_memory_is_flat_over_a_working_day(tmp_path):
    grown, count, speakers = measured(tmp_path, 10, 8 * 60)
    print(f"grown by {grown / 1e6:.2f} MB from minute 10 to 480; {speakers} speakers' numbers; {count}")  # noqa: T201
    assert count["final"] > 480 * 10
    assert grown < 5_000_000
