"""The live store in SQL, on SQLite and PostgreSQL: one row for a session, one for each event of its transcript.

The tables are made by the store's migrations (app/store/migrations), as `metadata` describes them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Double,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    RowMapping,
    String,
    Table,
    Text,
    delete,
    insert,
    select,
    update,
)

from app.store import Database
from app.transport.live.store import Checkpoint, Fenced, Record, State, StoredEvent

T = TypeVar("T")

metadata = MetaData()
"""The tables of live sessions."""

_sessions = Table(
    "live_session",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("token_hash", String(64), nullable=False, unique=True),
    Column("share_hash", String(64), nullable=False),
    Column("asked", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("checkpoint_samples", BigInteger, nullable=False),
    Column("checkpoint_revision", Integer, nullable=False),
    Column("snapshot", LargeBinary, nullable=False),
    Column("expires_s", Float(53), nullable=False),
    Column("done", Text),
    Column("tenant", Text, nullable=False, server_default=""),
    Column("share_until_s", Double),
    Index("live_session_expires", "state", "expires_s"),
)
_events = Table(
    "live_event",
    metadata,
    Column("session", String(64), primary_key=True),
    Column("revision", Integer, primary_key=True, autoincrement=False),
    Column("body", Text, nullable=False),
)
_THREADS = 4


class SqlLiveStore:
    """Over a migrated database, which stays its owner's. Calls run in a few threads of its own."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="live-store")

    async def create(self, record: Record) -> None:
        """See LiveStore."""
        values = {
            "id": record.id,
            "token_hash": record.token_hash,
            "share_hash": record.share_hash,
            "asked": record.asked,
            "state": record.state,
            "epoch": record.epoch,
            "revision": record.revision,
            "expires_s": record.expires_s,
            "done": record.done,
            "tenant": record.tenant,
            "share_until_s": record.share_until_s,
            **_columns(record.checkpoint),
        }
        await self._run(lambda connection: connection.execute(insert(_sessions), [values]))

    async def find(self, session: str) -> Record | None:
        """See LiveStore."""
        row = await self._look(partial(_row, session))
        return None if row is None else _record(row)

    async def claim(self, token_hash: str, tenant: str, now_s: float) -> Record | None:
        """See LiveStore."""

        def work(connection: Connection) -> RowMapping | None:
            mine = (_sessions.c.token_hash == token_hash) & (_sessions.c.tenant == tenant)
            mine &= _sessions.c.expires_s >= now_s
            open_ = update(_sessions).where(mine & (_sessions.c.state == "open"))
            connection.execute(open_.values(epoch=_sessions.c.epoch + 1))
            return connection.execute(select(_sessions).where(mine)).mappings().one_or_none()

        row = await self._run(work)
        return None if row is None else _record(row)

    async def commit(
        self,
        session: str,
        epoch: int,
        events: Sequence[StoredEvent],
        checkpoint: Checkpoint | None,
        expires_s: float,
    ) -> None:
        """See LiveStore."""
        values: dict[str, Any] = {"expires_s": expires_s}
        if events:
            values["revision"] = events[-1].revision
        if checkpoint is not None:
            values |= _columns(checkpoint)
        rows = [{"session": session, "revision": event.revision, "body": event.text} for event in events]

        def work(connection: Connection) -> None:
            _write(connection, session, epoch, values)
            if rows:
                connection.execute(insert(_events), rows)

        await self._run(work)

    async def close(self, session: str, epoch: int, done: str, expires_s: float) -> None:
        """See LiveStore."""
        values = {"state": "closed", "done": done, "expires_s": expires_s}
        await self._run(lambda connection: _write(connection, session, epoch, values))

    async def events(self, session: str, after: int, limit: int) -> list[StoredEvent]:
        """See LiveStore."""
        wanted = (
            select(_events.c.revision, _events.c.body)
            .where((_events.c.session == session) & (_events.c.revision > after))
            .order_by(_events.c.revision)
            .limit(limit)
        )
        rows = await self._look(lambda connection: connection.execute(wanted).all())
        return [StoredEvent(revision, body) for revision, body in rows]

    async def end_share(self, session: str) -> None:
        """See LiveStore."""
        ended = update(_sessions).where(_sessions.c.id == session).values(share_until_s=0.0)
        await self._run(lambda connection: connection.execute(ended))

    async def sweep(self, now_s: float, keep_s: float) -> int:
        """See LiveStore."""

        def work(connection: Connection) -> int:
            abandoned = (_sessions.c.state == "open") & (_sessions.c.expires_s < now_s)
            connection.execute(update(_sessions).where(abandoned).values(state="closed"))
            gone = (_sessions.c.state == "closed") & (_sessions.c.expires_s < now_s - keep_s)
            connection.execute(delete(_events).where(_events.c.session.in_(select(_sessions.c.id).where(gone))))
            return connection.execute(delete(_sessions).where(gone)).rowcount

        return await self._run(work)

    async def aclose(self) -> None:
        """See LiveStore."""
        await asyncio.to_thread(self._threads.shutdown)

    async def _look(self, work: Callable[[Connection], T]) -> T:
        """One transaction that only reads: the many who follow a session never wait for SQLite's one writer."""
        return await self._in(self._database.read, work)

    async def _run(self, work: Callable[[Connection], T]) -> T:
        """One transaction that writes."""
        return await self._in(self._database.write, work)

    async def _in(self, begin: Callable[[], AbstractContextManager[Connection]], work: Callable[[Connection], T]) -> T:
        def transaction() -> T:
            with begin() as connection:
                return work(connection)

        # Shielded by the executor: a caller that is cancelled leaves a whole transaction behind, never half of one.
        return await asyncio.get_running_loop().run_in_executor(self._threads, transaction)


def _write(connection: Connection, session: str, epoch: int, values: dict[str, Any]) -> None:
    """Change a session's row while it is ours. Raises Fenced."""
    mine = (_sessions.c.id == session) & (_sessions.c.epoch == epoch) & (_sessions.c.state == "open")
    if connection.execute(update(_sessions).where(mine).values(**values)).rowcount != 1:
        raise Fenced(session)


def _row(session: str, connection: Connection) -> RowMapping | None:
    return connection.execute(select(_sessions).where(_sessions.c.id == session)).mappings().one_or_none()


def _columns(checkpoint: Checkpoint) -> dict[str, Any]:
    return {
        "checkpoint_samples": checkpoint.samples,
        "checkpoint_revision": checkpoint.revision,
        "snapshot": checkpoint.snapshot,
    }


def _record(row: RowMapping) -> Record:
    state: State = row["state"]
    return Record(
        id=row["id"],
        token_hash=row["token_hash"],
        share_hash=row["share_hash"],
        asked=row["asked"],
        expires_s=row["expires_s"],
        epoch=row["epoch"],
        state=state,
        revision=row["revision"],
        checkpoint=Checkpoint(row["checkpoint_samples"], row["checkpoint_revision"], bytes(row["snapshot"])),
        done=row["done"],
        tenant=row["tenant"],
        share_until_s=row["share_until_s"],
    )
