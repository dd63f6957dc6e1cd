"""The migrated schema is what the queries expect, on both databases; migrating is safe to do together and again."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from app.access import tables as access_tables
from app.errors import SetupError, StoreUnavailable
from app.jobs import tables
from app.jobs.types import JobState
from app.store import migrate, open_database
from app.store.migrate import MIGRATIONS, Patience, check_schema, revision, schema
from app.store.migrate import metadata as schema_tables
from app.transport.live import sql_store
from tests.jobs import worker_process
from tests.jobs.harness import FORKS, recording

ALL_TABLES = [tables.metadata, sql_store.metadata, access_tables.metadata, schema_tables]
REVISIONS = [it.revision for it in ScriptDirectory(str(MIGRATIONS)).walk_revisions()][::-1]


def test_migrations_make_the_tables_that_the_queries_see(url):
    database = open_database(url)
    migrate(database)
    with database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, ALL_TABLES) == []
        keys = {key["referred_table"] for key in sa.inspect(connection).get_foreign_keys("window")}
    assert keys == {"job"}
    database.close()


def test_processes_migrate_an_empty_database_at_once(url, tmp_path):
    log = tmp_path / "log"
    arguments = (["migrate", "upgrade"], {"CROSSTALK_STORE__URL": url}, str(log))
    running = [FORKS.Process(target=worker_process.run_command, args=arguments, daemon=True) for _ in range(3)]
    for process in running:
        process.start()
    for process in running:
        process.join(120)
        assert process.exitcode == 0, log.read_text()
    database = open_database(url)
    assert revision(database) == REVISIONS[-1]
    database.close()


@pytest.mark.parametrize("old", REVISIONS[:-1])
def test_what_an_older_revision_held_is_there_afterwards(url, old):
    database = open_database(url)
    migrate(database, old)
    before = filled(database)
    assert before
    migrate(database)
    for name, values in before.items():
        table = sa.Table(name, sa.MetaData(), autoload_with=database.engine)
        with database.read() as connection:
            (row,) = connection.execute(sa.select(table)).mappings().all()
        assert {key: value for key, value in row.items() if key in values} == values
    database.close()


def filled(database) -> dict[str, dict[str, object]]:
    """A row for every table: table -> column -> value."""
    metadata = sa.MetaData()
    metadata.reflect(database.engine)
    rows: dict[str, dict[str, object]] = {}
    with database.write() as connection:
        for table in metadata.sorted_tables:
            if table.name in ("alembic_version", "schema_compatible"):
                continue
            rows[table.name] = {column.name: value_for(column, rows) for column in table.columns}
            connection.execute(sa.insert(table).values(rows[table.name]))
    return rows


def value_for(column, rows):
    """A value of the column's type; a key of another table is that of its row."""
    for key in column.foreign_keys:
        return rows[key.column.table.name][key.column.name]
    kind = column.type.python_type
    return {int: 7, float: 1.5, bool: True, bytes: b"x"}.get(kind, f"a {column.name}"[:60])


def test_each_migration_says_which_older_code_works_with_it():
    for script in ScriptDirectory(str(MIGRATIONS)).walk_revisions():
        if script.revision >= "0005":
            assert script.module.compatible_since in REVISIONS, script.path
            assert script.module.compatible_since <= script.revision, script.path


def newer(folder: Path, **steps: tuple[str, str]) -> Path:
    """The migrations of a later version: ours, and revision=(the oldest code that works with it, what it does)."""
    shutil.copytree(MIGRATIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    before = REVISIONS[-1]
    for name, (since, what) in steps.items():
        number = name.removeprefix("r")
        text = (
            "import sqlalchemy as sa\nimport time\nfrom alembic import op\n"
            f"revision = {number!r}\ndown_revision = {before!r}\ncompatible_since = {since!r}\n"
            f"def upgrade():\n    {what}\n"
        )
        (folder / "versions" / f"{number}_later.py").write_text(text)
        before = number
    return folder


EXPAND = (REVISIONS[-1], 'op.add_column("job", sa.Column("mood", sa.Text))')
CONTRACT = ("9001", 'op.drop_column("job", "mood")')


def test_a_later_schema_that_only_adds_is_worked_with_and_one_that_takes_away_is_not(url, tmp_path):
    database = open_database(url)
    later = newer(tmp_path / "later", r9001=EXPAND, r9002=CONTRACT)
    assert migrate(database).works
    assert migrate(database, "9001", later).current == "9001"
    for found in (migrate(database), check_schema(database), schema(database)):
        assert (found.current, found.newer, found.works, found.pending) == ("9001", True, True, ())
    migrate(database, folder=later)
    assert not schema(database).works
    for look in (migrate, check_schema):
        with pytest.raises(SetupError, match=r"newer version .*9002, usable from 9001 on"):
            look(database)
    assert revision(database) == "9002"
    database.close()


def test_replicas_of_this_version_go_on_and_start_again_after_a_later_schema(site, tmp_path):
    first, second = (site.submit(recording(seed)) for seed in (1, 2))
    site.hold()
    worker = site.work()
    site.until(lambda: site.state(first) is JobState.RUNNING)
    migrate(site.store.database, folder=newer(tmp_path / "later", r9001=EXPAND))
    site.release()
    site.wait(first)
    worker.terminate()
    assert worker.wait(60) == 0
    site.work()
    site.wait(second)
    assert site.body(first)
    assert site.body(second)
    assert revision(site.store.database) == "9001"


def test_without_leave_to_migrate_an_old_schema_is_refused_and_left_alone(url):
    database = open_database(url)
    with pytest.raises(SetupError, match="crosstalk migrate upgrade"):
        check_schema(database)
    assert revision(database) is None
    database.close()


def test_a_broken_step_leaves_nothing_behind(url, tmp_path):
    database = open_database(url)
    broken = newer(tmp_path / "later", r9001=("9001", "raise RuntimeError"))
    with pytest.raises(RuntimeError):
        migrate(database, folder=broken)
    assert revision(database) is None
    migrate(database)
    database.close()


def test_a_process_that_freezes_while_it_migrates_holds_nobody_up_for_ever(postgres, tmp_path):
    url = postgres.database()
    stuck, other = open_database(url), open_database(url)
    freezes = newer(tmp_path / "later", r9001=("9001", 'open("FOLDER/within", "w").close(); time.sleep(4)'))
    step = freezes / "versions" / "9001_later.py"
    step.write_text(step.read_text().replace("FOLDER", str(tmp_path)))
    failures: list[Exception] = []

    def freeze():
        try:
            migrate(stuck, folder=freezes, patience=Patience(idle_s=1))
        except StoreUnavailable as error:
            failures.append(error)

    thread = threading.Thread(target=freeze)
    thread.start()
    while not (tmp_path / "within").exists():
        assert thread.is_alive()
        time.sleep(0.02)
    # In a process of its own, as within one only one thread migrates.
    command = [sys.executable, "-m", "app.cli", "migrate", "upgrade"]
    environment = os.environ | {"CROSSTALK_STORE__URL": url, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(command, env=environment, capture_output=True, timeout=120, check=False)
    thread.join(60)
    assert done.returncode == 0, done.stderr
    assert failures
    assert revision(other) == REVISIONS[-1]
    stuck.close()
    other.close()
