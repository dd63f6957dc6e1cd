"""Engine, data folder and limits -> the live service: store, hub and routes' state, for as long as the server runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from sqlalchemy import Engine as Database
from sqlalchemy import create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from app.audio.limits import AudioLimits
from app.core.times import to_samples
from app.engine.base import Engine
from app.live.rules import LiveRules
from app.live.session import LiveSession
from app.live.snapshot import Snapshot
from app.live.updates import LiveOptions
from app.transport.live.endpoint import LiveService
from app.transport.live.hub import LiveHub
from app.transport.live.limits import LiveLimits
from app.transport.live.sql_store import SqlLiveStore

_BUSY_S = 15


def sqlite_database(path: Path) -> Database:
    """A database in one file that several processes may share. Blocks."""
    path.parent.mkdir(parents=True, exist_ok=True)
    database = create_engine(f"sqlite:///{path}", connect_args={"timeout": _BUSY_S})

    @event.listens_for(database, "connect")
    def _set(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        # What was committed survives the death of a process; NORMAL leaves only a failing power supply.
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=NORMAL")
        cursor.close()

    return database


def live_rules(limits: LiveLimits) -> LiveRules:
    """How the driver is set under these limits."""
    return LiveRules(max_ahead_samples=to_samples(limits.max_ahead_s))


@asynccontextmanager
async def running(
    engine: Engine, database: Database, limits: LiveLimits, audio: AudioLimits, origins: tuple[str, ...] = ()
) -> AsyncIterator[LiveService]:
    """The service; sessions that are open at the end stay in the store. The database stays the caller's."""
    rules = live_rules(limits)

    def open_session(options: LiveOptions, snapshot: Snapshot | None) -> LiveSession:
        return LiveSession(engine, options, rules, snapshot)

    store = SqlLiveStore(database)
    await asyncio.to_thread(store.create_tables)
    hub = LiveHub(open_session, store, limits)
    hub.start()
    try:
        yield LiveService(hub, audio, origins, retry_after_s=10)
    finally:
        await hub.aclose()
