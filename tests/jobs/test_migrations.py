"""The migrated schema is what the queries expect, on both databases; migrating is safe to do together and again."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from app.access import tables as access_tables
from app.errors import SetupError
from app.jobs import tables
from app.store import migrate, open_database
from app.store.migrate import revision
from app.transport.live import sql_store


def test_migrations_make_the_tables_that_the_queries_see(url):
    database = open_database(url)
    migrate(database)
    with database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, [tables.metadata, sql_store.metadata, access_tables.metadata]) == []
        keys = {key["referred_table"] for key in sa.inspect(connection).get_foreign_keys("window")}
    assert keys == {"job"}
    database.close()


def test_many_processes_migrate_at_once(url):
    databases = [open_database(url) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(migrate, databases))
    assert {revision(database) for database in databases} == {"0004"}
    for database in databases:
        database.close()


def test_a_newer_database_is_refused_and_left_alone(url):
    database = open_database(url)
    migrate(database)
    with database.write() as connection:
        connection.execute(sa.text("update alembic_version set version_num = '9999'"))
    with pytest.raises(SetupError, match="newer version"):
        migrate(database)
    database.close()
