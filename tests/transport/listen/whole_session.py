"""A live session that writes at every flush and stop what the driver for recordings makes of the sound so far."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from app.audio.memory import from_array
from app.audio.spool import Spool
from app.core.types import Segment, TranscriptView
from app.live.updates import Final, Finished, Flushed, Partial, Progress
from app.session import Finished as Whole
from app.session import Session, SessionOptions


class WholeSession:
    """The part of LiveSession's interface that the endpoint uses."""

    def __init__(self, engine, options):
        self._engine = engine
        self._options = options
        self._sound = np.zeros(0, np.float32)
        self._given: set[int] = set()
        self._updates: asyncio.Queue = asyncio.Queue()

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_error):
        pass

    @property
    def received_samples(self):
        return len(self._sound)

    async def push(self, samples):
        self._sound = np.concatenate([self._sound, samples])

    async def flush(self, id=None):
        await self._write()
        self._updates.put_nowait(Flushed(id))

    async def stop(self):
        await self._write()
        self._updates.put_nowait(Finished(TranscriptView(len(self._sound), "en", (), ()), len(self._given)))

    async def updates(self):
        while True:
            update = await self._updates.get()
            if isinstance(update, Exception):
                raise update
            yield update
            if isinstance(update, Finished):
                return

    async def _write(self):
        async def frames():
            for item in from_array(self._sound):
                yield item

        segments: tuple[Segment, ...] = ()
        with tempfile.TemporaryDirectory() as folder, Spool(Path(folder)) as spool:
            async for update in Session(self._engine, SessionOptions(language="en"), spool).run(frames()):
                if isinstance(update, Whole):
                    segments = update.view.segments
        for segment in segments:
            if segment.start not in self._given:
                self._given.add(segment.start)
                if self._options.partials:
                    self._updates.put_nowait(Partial((replace(segment, id="open-1"),)))
                self._updates.put_nowait(Final(segment))
        self._updates.put_nowait(Partial(()))
        self._updates.put_nowait(Progress(len(self._sound), len(self._sound)))
