"""Bring the database's schema forward to what this version needs; run by every process at its start.

All steps run in one transaction under a lock, so processes that start together do it once, and a broken step leaves
nothing behind.
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from app.errors import SetupError
from app.store.database import Database

_FOLDER = Path(__file__).parent / "migrations"
_LOCK = 0x63726F7373  # any number that is ours alone


def migrate(database: Database, target: str = "head") -> None:
    """Migrate forward. Raises StoreUnavailable, and SetupError when a newer version has written the database."""
    with database.write() as connection:
        if database.dialect == "postgresql":
            connection.execute(sa.text("select pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        config = Config()
        config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
        config.attributes["connection"] = connection
        if _is_newer(connection, config):
            raise SetupError("the database was written by a newer version of Crosstalk", param="CROSSTALK_STORE__URL")
        command.upgrade(config, target)


def revision(database: Database) -> str | None:
    """The database's present revision; None = empty."""
    with database.read() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def _is_newer(connection: sa.Connection, config: Config) -> bool:
    current = MigrationContext.configure(connection).get_current_revision()
    if current is None:
        return False
    try:
        return ScriptDirectory.from_config(config).get_revision(current) is None
    except CommandError:
        return True
