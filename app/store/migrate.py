"""Bring the database's schema forward to what this version needs; run by every process at its start.

All steps run in one transaction under a lock, so processes that start together do it once, and a broken step leaves
nothing behind. A schema that needs nothing is only read.

Replicas of two versions work on one database while a new version is rolled out. So a migration only adds (*expand*);
what is no longer used is taken away by a later one (*contract*). Each says by `compatible_since` which revision's code
still works with the schema that it leaves; the database keeps that, and older code goes on, and starts again, as long
as it is not older than that (docs/operations.md).
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from app.errors import SetupError
from app.store.database import Database

_log = logging.getLogger(__name__)

MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK = 0x63726F7373  # any number that is ours alone
_IN_PROCESS = threading.Lock()
"""alembic keeps what it is doing in module variables, so one thread at a time."""

metadata = sa.MetaData()
COMPATIBLE = sa.Table("schema_compatible", metadata, sa.Column("since", sa.Text, primary_key=True))
"""One row: the oldest revision whose code works with the present schema."""


@dataclass(frozen=True, slots=True)
class Patience:
    """PostgreSQL's limits while migrating, in seconds.

    others: how long another process that migrates is waited for
    table: how long a table that somebody works with is waited for; who waits for it holds up everybody behind
    idle: how long this process may do nothing half-way; a frozen one must not hold up the others for ever
    """

    others_s: int = 120
    table_s: int = 10
    idle_s: int = 60


@dataclass(frozen=True, slots=True)
class Schema:
    """How a database stands to this version.

    current: its revision, None = empty; head: that of this version; pending: revisions between the two, in order
    since: the oldest revision whose code works with it, None = only its own
    newer: a later version has written it; works: this version can work with it as it is
    """

    current: str | None
    head: str
    pending: tuple[str, ...]
    since: str | None
    newer: bool
    works: bool


def schema(database: Database, folder: Path = MIGRATIONS) -> Schema:
    """Look, and change nothing. Raises StoreUnavailable."""
    with database.read() as connection:
        return _schema(connection, ScriptDirectory(str(folder)))


def migrate(
    database: Database, target: str = "head", folder: Path = MIGRATIONS, patience: Patience | None = None
) -> Schema:
    """Migrate forward if need be; the schema as it is then.

    Raises StoreUnavailable, and SetupError when a later version has written the database and this one cannot use it.
    """
    scripts = ScriptDirectory(str(folder))
    with database.read() as connection:
        found = _schema(connection, scripts)
    if not found.pending:
        return _usable(found)
    with _IN_PROCESS, database.write() as connection:
        if database.dialect == "postgresql":
            _lock(connection, patience or Patience())
        # Read again: another process may have migrated meanwhile.
        if _usable(_schema(connection, scripts)).pending:
            _upgrade(connection, folder, target)
            _keep_since(connection, scripts)
        after = _schema(connection, scripts)
    if after.current != found.current:
        _log.info("the database's schema is now of revision %s", after.current)
    return after


def check_schema(database: Database) -> Schema:
    """Raises StoreUnavailable, and SetupError when the schema is not one that this version works with."""
    found = _usable(schema(database))
    if found.pending:
        message = (
            f"the database is of revision {found.current or 'none'}, this version needs {found.head}:"
            " run crosstalk migrate upgrade, or set CROSSTALK_STORE__AUTO_MIGRATE=true"
        )
        raise SetupError(message, param="CROSSTALK_STORE__AUTO_MIGRATE")
    return found


def revision(database: Database) -> str | None:
    """The database's present revision; None = empty."""
    return schema(database).current


def _schema(connection: sa.Connection, scripts: ScriptDirectory) -> Schema:
    head = str(scripts.get_current_head())
    known = [script.revision for script in scripts.walk_revisions()][::-1]
    current = MigrationContext.configure(connection).get_current_revision()
    since = None
    if sa.inspect(connection).has_table(COMPATIBLE.name):
        since = connection.execute(sa.select(COMPATIBLE.c.since)).scalar()
    newer = current is not None and current not in known
    pending = () if newer else tuple(known[known.index(current) + 1 if current is not None else 0 :])
    return Schema(current, head, pending, since, newer, works=not pending and (not newer or since in known))


def _usable(found: Schema) -> Schema:
    if not found.newer:
        return found
    if not found.works:
        message = (
            f"the database was written by a newer version of Crosstalk (revision {found.current}, usable from"
            f" {found.since or found.current} on), and this version is of {found.head}"
        )
        raise SetupError(message, param="CROSSTALK_STORE__URL")
    _log.warning("the database is of a newer revision, %s, which this version works with", found.current)
    return found


def _lock(connection: sa.Connection, patience: Patience) -> None:
    limits = {
        "idle_in_transaction_session_timeout": patience.idle_s,
        "lock_timeout": patience.others_s,
    }
    for name, seconds in limits.items():
        connection.execute(sa.text(f"set local {name} = '{seconds}s'"))
    connection.execute(sa.text("select pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    connection.execute(sa.text(f"set local lock_timeout = '{patience.table_s}s'"))


def _upgrade(connection: sa.Connection, folder: Path, target: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, target)


def _keep_since(connection: sa.Connection, scripts: ScriptDirectory) -> None:
    """Keep what the newest migration says of older code."""
    current = MigrationContext.configure(connection).get_current_revision()
    script = None if current is None else scripts.get_revision(current)
    since = None if script is None else getattr(script.module, "compatible_since", None)
    if since is None:
        return  # an early revision, before there was a place for it
    connection.execute(sa.delete(COMPATIBLE))
    connection.execute(sa.insert(COMPATIBLE).values(since=since))
