"""A database URL -> transactions. SQLite and PostgreSQL alike.

SQLite runs in WAL mode with full sync and a busy timeout, and every writing transaction takes the write lock at its
beginning (`begin immediate`), so that two processes wait for each other instead of failing half-way. Times are Unix
seconds on the database's own clock: workers on several machines need not agree on theirs.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError, TimeoutError

from app.errors import SetupError, StoreFull, StoreUnavailable
from app.observers import Observer, Unobserved

BUSY_TIMEOUT_S = 30.0
_WAL_RETRY_S = 0.02
_WRITE = "crosstalk_write"
_NOW = {
    "sqlite": "((julianday('now') - 2440587.5) * 86400.0)",
    "postgresql": "cast(extract(epoch from clock_timestamp()) as double precision)",
}
_FULL = ("disk is full", "no space left", "disk full", "disk i/o error")


class Database:
    """An open database. Safe to use from many threads; blocking, so a coroutine calls it in a thread."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self.observer: Observer = Unobserved()
        """Is told of every transaction."""

    @property
    def engine(self) -> sa.Engine:
        """SQLAlchemy's engine, for what needs it itself (migrations)."""
        return self._engine

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self._engine.dialect.name

    @property
    def now(self) -> sa.ColumnElement[float]:
        """The database's clock as an SQL expression: Unix seconds, with fractions."""
        return sa.literal_column(_NOW[self.dialect], sa.Double)

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A transaction that only reads. Raises StoreUnavailable."""
        with self._told("read"), _errors(), self._engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """A transaction that writes; committed at the end of the block, rolled back by an error in it.

        Raises StoreUnavailable, StoreFull. A commit that was lost with the connection may or may not stand: what is
        done again must be harmless (`on conflict do nothing`, fences).
        """
        with self._told("write"), _errors(), self._engine.connect() as plain:
            connection = plain.execution_options(**{_WRITE: True})
            with connection.begin():
                yield connection

    @contextmanager
    def _told(self, kind: str) -> Iterator[None]:
        began_s, code = time.monotonic(), ""
        try:
            yield
        except StoreUnavailable as error:
            code = error.code
            raise
        finally:
            self.observer.transaction(kind, time.monotonic() - began_s, code)

    def insert_or_ignore(
        self, connection: sa.Connection, table: sa.Table, values: Mapping[str, Any] | Sequence[Mapping[str, Any]]
    ) -> int:
        """Insert rows that are not there yet; returns how many were new."""
        rows = [values] if isinstance(values, Mapping) else list(values)
        if not rows:
            return 0
        statement: Any
        if self.dialect == "sqlite":
            from sqlalchemy.dialects import sqlite

            statement = sqlite.insert(table).on_conflict_do_nothing().returning(sa.literal(1))
        else:
            from sqlalchemy.dialects import postgresql

            statement = postgresql.insert(table).on_conflict_do_nothing().returning(sa.literal(1))
        return sum(len(connection.execute(statement, dict(row)).all()) for row in rows)

    def close(self) -> None:
        """Give the connections back. May be called again."""
        self._engine.dispose()


def open_database(url: str, *, pool_size: int = 10) -> Database:
    """Open a database; nothing is connected before the first transaction.

    url: `sqlite:///PATH` or `postgresql://USER@HOST/NAME`. Raises SetupError for another kind of URL.
    """
    parsed = _parse(url)
    if parsed.get_backend_name() == "sqlite":
        engine = _sqlite(parsed)
    else:
        # pre_ping: a connection that a restart of the database killed is replaced unseen.
        engine = sa.create_engine(
            parsed,
            pool_size=pool_size,
            max_overflow=pool_size,
            pool_pre_ping=True,
            connect_args={"connect_timeout": 10},
        )
    return Database(engine)


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise SetupError("the store's URL is not a database URL", param="CROSSTALK_STORE__URL") from error
    backend = parsed.get_backend_name()
    if backend == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    if backend == "sqlite":
        if not parsed.database or parsed.database == ":memory:":
            raise SetupError("the store needs an SQLite file, not memory", param="CROSSTALK_STORE__URL")
        return parsed.set(drivername="sqlite+pysqlite")
    raise SetupError(f"the store runs on sqlite or postgresql, not {backend}", param="CROSSTALK_STORE__URL")


def _sqlite(url: URL) -> sa.Engine:
    path = Path(str(url.database))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SetupError(f"the store's folder {path.parent} cannot be made: {error.strerror}") from error
    engine = sa.create_engine(
        url, connect_args={"timeout": BUSY_TIMEOUT_S, "check_same_thread": False}, pool_size=16, max_overflow=48
    )

    @event.listens_for(engine, "connect")
    def _on_connect(raw: DBAPIConnection, _record: object) -> None:
        setattr(raw, "isolation_level", None)  # noqa: B010 - SQLite's own; transactions are begun below, not by it
        cursor = raw.cursor()
        _use_wal(cursor)
        for pragma in ("synchronous=full", "foreign_keys=on", "secure_delete=on"):
            cursor.execute(f"pragma {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _on_begin(connection: sa.Connection) -> None:
        writes = connection.get_execution_options().get(_WRITE, False)
        connection.exec_driver_sql("begin immediate" if writes else "begin")

    return engine


def _use_wal(cursor: DBAPICursor) -> None:
    """Put the file into WAL mode. SQLite itself does not wait where two processes that start together both want to."""
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            cursor.execute("pragma journal_mode=wal")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
        time.sleep(_WAL_RETRY_S)


@contextmanager
def _errors() -> Iterator[None]:
    """The driver's errors of a lost, locked or full database as ours; errors of our SQL stay what they are."""
    try:
        yield
    except (OperationalError, InterfaceError, TimeoutError) as error:
        raise _translated(error) from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise _translated(error) from error
        raise


def _translated(error: Exception) -> StoreUnavailable:
    # The statement and its values may hold personal data, so only the driver's own first line is told.
    reason = str(getattr(error, "orig", None) or error).strip().splitlines()
    first = reason[0] if reason else type(error).__name__
    if any(mark in first.lower() for mark in _FULL):
        return StoreFull(f"the database has no room left: {first}")
    return StoreUnavailable(f"the database cannot be used now: {first}")
