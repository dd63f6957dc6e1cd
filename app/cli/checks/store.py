"""The database, its schema, and where sound is kept."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import make_url

from app.cli.checks.finding import Finding, fail, ok, warn
from app.errors import CrosstalkError, SetupError
from app.settings import Settings
from app.store import Database, open_database
from app.store.migrate import Schema, schema
from app.wiring import blobs_from, store_url

_LEAST_POSTGRES = 120000
_NETWORK = frozenset({"nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "9p", "glusterfs", "ceph"})
_PROBE = b"crosstalk doctor"


def check_store(settings: Settings) -> Iterator[Finding]:
    """Reachable, of a schema that this version works with; sound can be written, read and deleted."""
    yield from _database(settings)
    yield _blobs(settings)


def sqlite_file(url: str) -> Path | None:
    """The file of an SQLite URL; None for another kind. Raises SetupError."""
    try:
        parsed = make_url(url)
    except sa.exc.ArgumentError as error:
        raise SetupError("CROSSTALK_STORE__URL is not a database URL") from error
    return Path(str(parsed.database)) if parsed.get_backend_name() == "sqlite" else None


def file_system(path: Path, mounts: Path = Path("/proc/mounts")) -> str:
    """The kind of file system that a path lies on; empty where it cannot be told."""
    try:
        lines = [line.split() for line in mounts.read_text(encoding="utf-8").splitlines()]
    except OSError:
        return ""
    kinds = {Path(line[1]): line[2] for line in lines if len(line) > 2}
    return next((kinds[parent] for parent in (path, *path.parents) if parent in kinds), "")


def _database(settings: Settings) -> Iterator[Finding]:
    url = store_url(settings)
    try:
        file = sqlite_file(url)
        if file is not None and (kind := file_system(file.absolute())) in _NETWORK:
            yield fail("store", f"{file} lies on {kind}", "SQLite needs a local disk: move it, or use PostgreSQL")
        if file is not None and not file.exists():
            yield ok("store", f"{file} is made at the first start")
            return
        database = open_database(url)
        try:
            yield _server(database)
            yield _schema(schema(database), settings.store.auto_migrate)
        finally:
            database.close()
    except CrosstalkError as error:
        advice = "is it running, and are address, user and password of CROSSTALK_STORE__URL right?"
        yield fail("store", error.message, advice)
    except sa.exc.DBAPIError as error:
        yield fail("store", f"the database cannot be read: {error.orig}", "bring back a backup (docs/operations.md)")


def _server(database: Database) -> Finding:
    if database.dialect == "sqlite":
        with database.read() as connection:
            intact = connection.execute(sa.text("pragma quick_check(1)")).scalar()
        if intact != "ok":
            return fail("store", f"the SQLite file is damaged: {intact}", "bring back a backup (docs/operations.md)")
        return ok("store", f"SQLite, {database.engine.url.database}")
    with database.read() as connection:
        number, version = connection.execute(
            sa.text("select current_setting('server_version_num')::int, current_setting('server_version')")
        ).one()
    if number < _LEAST_POSTGRES:
        return fail("store", f"PostgreSQL {version}", "use PostgreSQL 12 or later")
    return ok("store", f"PostgreSQL {version} at {database.engine.url.host}")


def _schema(found: Schema, auto_migrate: bool) -> Finding:
    if found.works and found.newer:
        return warn("schema", f"revision {found.current} is newer than {found.head}", "upgrade this replica too")
    if found.works:
        return ok("schema", f"revision {found.current}")
    if found.newer:
        said = f"revision {found.current} is too new for this version ({found.head})"
        return fail("schema", said, "use the version of Crosstalk that wrote it, or a backup")
    said = f"revision {found.current or 'none'}, this version needs {found.head}"
    if auto_migrate:
        return warn("schema", said, "the next start migrates; or crosstalk migrate upgrade")
    return fail("schema", said, "crosstalk migrate upgrade")


def _blobs(settings: Settings) -> Finding:
    advice = "check CROSSTALK_STORE__BLOBS_URL, the rights of this user, and room on the disk"
    try:
        blobs = blobs_from(settings)
        blob = blobs.put_stream([_PROBE], len(_PROBE))
        try:
            if b"".join(blobs.read(blob.id)) != _PROBE:
                return fail("sound", "what was written came back as something else", advice)
        finally:
            blobs.delete(blob.id)
    except CrosstalkError as error:
        return fail("sound", error.message, advice)
    return ok("sound", f"{blobs.url}: written, read and deleted")
