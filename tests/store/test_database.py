"""Transactions and their errors on SQLite; PostgreSQL's are in tests/jobs."""

from __future__ import annotations

import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from app.errors import SetupError, StoreFull, StoreUnavailable
from app.store import Database, open_database

TABLE = sa.Table("thing", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True), sa.Column("text", sa.Text))


@pytest.fixture
def database(tmp_path):
    it = open_database(f"sqlite:///{tmp_path / 'folder' / 'a.sqlite'}")
    with it.write() as connection:
        TABLE.create(connection)
    yield it
    it.close()


def count(database: Database) -> int:
    with database.read() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(TABLE)).scalar_one()


def test_sqlite_runs_in_wal_with_full_sync_and_foreign_keys(database):
    with database.read() as connection:
        values = [connection.exec_driver_sql(f"pragma {name}").scalar() for name in ("journal_mode", "synchronous")]
        assert values == ["wal", 2]
        assert connection.exec_driver_sql("pragma foreign_keys").scalar() == 1


def test_an_error_rolls_everything_back(database):
    def fail() -> None:
        with database.write() as connection:
            connection.execute(sa.insert(TABLE).values(id=1))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert count(database) == 0


def test_writers_wait_for_each_other(database):
    def add() -> None:
        for _ in range(20):
            with database.write() as connection:
                highest = connection.execute(sa.select(sa.func.coalesce(sa.func.max(TABLE.c.id), 0))).scalar_one()
                connection.execute(sa.insert(TABLE).values(id=highest + 1))

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count(database) == 80


def test_insert_or_ignore_counts_the_new_rows(database):
    with database.write() as connection:
        assert database.insert_or_ignore(connection, TABLE, [{"id": 1}, {"id": 2}]) == 2
        assert database.insert_or_ignore(connection, TABLE, [{"id": 2}, {"id": 3}]) == 1
        assert database.insert_or_ignore(connection, TABLE, []) == 0


def test_the_clock_is_unix_time(database):
    with database.read() as connection:
        assert abs(connection.execute(sa.select(database.now)).scalar_one() - time.time()) < 60


def test_a_locked_database_is_unavailable(tmp_path, monkeypatch):
    monkeypatch.setattr("app.store.database.BUSY_TIMEOUT_S", 0.05)
    database = open_database(f"sqlite:///{tmp_path / 'a.sqlite'}")
    holder = sqlite3.connect(tmp_path / "a.sqlite")
    holder.execute("pragma journal_mode=wal")
    holder.execute("begin immediate")
    with pytest.raises(StoreUnavailable, match="locked") as caught, database.write():
        pass
    assert caught.value.code == "store_unavailable"
    holder.close()
    database.close()


def test_many_who_open_a_new_file_at_once_all_get_it(tmp_path):
    """SQLite refuses some of those who switch a file to WAL at the same moment, whatever its busy timeout."""
    for number in range(40):
        databases = [open_database(f"sqlite:///{tmp_path / f'{number}.sqlite'}") for _ in range(6)]
        together = threading.Barrier(len(databases))

        def use(database, together=together):
            together.wait()
            with database.write() as connection:
                return connection.exec_driver_sql("pragma journal_mode").scalar()

        with ThreadPoolExecutor(len(databases)) as pool:
            assert list(pool.map(use, databases)) == ["wal"] * len(databases)
        for database in databases:
            database.close()


def test_a_full_database_is_told_apart(database):
    with database.read() as connection:
        pages = connection.exec_driver_sql("pragma page_count").scalar()

    def fill() -> None:
        with database.write() as connection:
            connection.exec_driver_sql(f"pragma max_page_count={pages}")
            connection.execute(sa.insert(TABLE).values(id=1, text="x" * 1_000_000))

    with pytest.raises(StoreFull):
        fill()
    assert count(database) == 0


def test_a_lost_server_is_unavailable():
    database = open_database("postgresql://nobody@127.0.0.1:1/none")
    with pytest.raises(StoreUnavailable), database.read():
        pass
    database.close()


@pytest.mark.parametrize("url", ["", "nonsense", "mysql://h/d", "sqlite://", "sqlite:///:memory:"])
def test_other_urls_are_refused(url):
    with pytest.raises(SetupError) as caught:
        open_database(url)
    assert caught.value.param == "CROSSTALK_STORE__URL"
