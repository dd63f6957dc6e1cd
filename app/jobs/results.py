"""The log of an engine's answers in the store: what makes a job go on where it ended, on any machine.

A ResultLog (app/engine/log.py) over the table `window`, for one part (channel) of one job under one claim. Answers that
come close together are written in one transaction, by one thread at a time: with many windows in flight the disk syncs
once for all of them.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Sequence
from functools import partial

import sqlalchemy as sa

from app.engine.log import Key, Record
from app.errors import EngineClosed, EngineFailed
from app.jobs import tables
from app.jobs.claims import Claim, ClaimLost
from app.jobs.patience import patiently
from app.jobs.types import JobState
from app.store import Database

_W = tables.window
_LEVEL = 1
AHEAD = 32
"""A run that added so many answers, twice what a session has in flight, is no run in vain."""


class SqlResultLog:
    """See the module. `pending` counts answers that are not on disk yet; made by `open_log`."""

    def __init__(self, database: Database, claim: Claim, part: int, lease_s: float, known: set[Key]) -> None:
        self._database = database
        self._claim = claim
        self._part = part
        self._lease_s = lease_s
        self._known = known
        self._added = 0
        self._waiting: list[tuple[Key, Record, asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def pending(self) -> int:
        """Answers on their way to the disk."""
        return len(self._waiting) + (0 if self._writing is None or self._writing.done() else 1)

    async def get(self, key: Key) -> Record | None:
        """See ResultLog. Only this claim writes, so a key that was not there at the start and not put is a gap."""
        self._check_open()
        if key not in self._known:
            return None
        return await asyncio.to_thread(self._read, key)

    async def put(self, key: Key, record: Record) -> Record:
        """See ResultLog. Raises ClaimLost, StoreUnavailable."""
        self._check_open()
        if key in self._known:
            return await asyncio.to_thread(self._read, key)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((key, record, done))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write_waiting())
        await done
        return record

    async def aclose(self) -> None:
        """See ResultLog. What waits to be written is written first."""
        self._closed = True
        if self._writing is not None:
            await asyncio.wait([self._writing])

    async def _write_waiting(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            error: Exception | None = None
            try:
                await patiently(partial(self._write, [(key, record) for key, record, _ in batch]))
            except Exception as raised:  # noqa: BLE001 - every waiting answer gets it, none is left hanging
                error = raised
            for key, _, done in batch:
                if error is None:
                    self._known.add(key)
                if done.done():
                    continue  # its session was cancelled meanwhile; the answer is kept all the same
                if error is None:
                    done.set_result(None)
                else:
                    done.set_exception(error)

    def _write(self, records: Sequence[tuple[Key, Record]]) -> None:
        job, now = tables.job, self._database.now
        held = (job.c.id == self._claim.job.id, job.c.fence == self._claim.fence, job.c.state == JobState.RUNNING)
        rows = [self._row(key, record) for key, record in records]
        with self._database.write() as connection:
            values: dict[str, object] = {"lease_until": now + self._lease_s}
            if self._added >= AHEAD:
                values["attempts"] = 0
            if connection.execute(sa.update(job).where(*held).values(values)).rowcount == 0:
                raise ClaimLost(self._claim.job.id)
            self._added += self._database.insert_or_ignore(connection, _W, rows)

    def _row(self, key: Key, record: Record) -> dict[str, object]:
        return {
            "job_id": self._claim.job.id,
            "part": self._part,
            "step": key.step,
            "i": key.index,
            "fingerprint": record.fingerprint,
            "out": zlib.compress(record.payload, _LEVEL),
        }

    def _read(self, key: Key) -> Record:
        where = (
            _W.c.job_id == self._claim.job.id,
            _W.c.part == self._part,
            _W.c.step == key.step,
            _W.c.i == key.index,
        )
        with self._database.read() as connection:
            row = connection.execute(sa.select(_W.c.fingerprint, _W.c.out).where(*where)).one_or_none()
        if row is None:
            raise ClaimLost(self._claim.job.id)  # only a deleted or finished job loses answers
        try:
            return Record(row[0], zlib.decompress(row[1]))
        except zlib.error as error:
            raise EngineFailed(f"the stored answer of {key} is damaged: {error}") from error

    def _check_open(self) -> None:
        if self._closed:
            raise EngineClosed("the log of answers is closed")


def open_log(database: Database, claim: Claim, part: int, lease_s: float) -> SqlResultLog:
    """The log of one part of a claimed job, with what is there already. Blocks. Raises StoreUnavailable."""
    return SqlResultLog(database, claim, part, lease_s, _keys(database, claim.job.id, part))


def _keys(database: Database, job_id: str, part: int) -> set[Key]:
    statement = sa.select(_W.c.step, _W.c.i).where(_W.c.job_id == job_id, _W.c.part == part)
    with database.read() as connection:
        return {Key(step, index) for step, index in connection.execute(statement)}


def answers(database: Database, job_id: str, part: int, step: str) -> list[bytes]:
    """The recorded answers of one step in order of their index (`app/engine/wire.py`). Raises StoreUnavailable."""
    where = (_W.c.job_id == job_id, _W.c.part == part, _W.c.step == step)
    with database.read() as connection:
        rows = connection.execute(sa.select(_W.c.out).where(*where).order_by(_W.c.i)).scalars()
        return [zlib.decompress(out) for out in rows]
