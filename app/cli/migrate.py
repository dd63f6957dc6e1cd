"""`crosstalk migrate status|upgrade`: the schema of the database that the settings name."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from app.cli.failures import ExitCode
from app.cli.output import write_stdout
from app.observe import set_up_logging
from app.settings import load_settings
from app.store import Database, open_database
from app.store.migrate import Schema, migrate, schema
from app.wiring import store_url

command = typer.Typer(name="migrate", no_args_is_help=True, help="The database's schema: how it stands, and forward.")

Json = Annotated[bool, typer.Option("--json", help="One JSON object.")]


@command.command()
def status(as_json: Json = False) -> None:
    """Tell the database's revision and what is to be done; exit status 1 when this version cannot work with it as it
    is."""
    with _database() as database:
        found = schema(database)
    if as_json:
        write_stdout(json.dumps(_fields(found)) + "\n")
    else:
        write_stdout(_text(found))
    if not found.works:
        raise typer.Exit(ExitCode.FAILED)


@command.command()
def upgrade() -> None:
    """Bring the schema forward; does nothing when that is done already, and may run while servers work."""
    with _database() as database:
        found = migrate(database)
    write_stdout(_text(found))


@contextmanager
def _database() -> Iterator[Database]:
    settings = load_settings()
    set_up_logging("warning", settings.log.format)
    database = open_database(store_url(settings))
    try:
        yield database
    finally:
        database.close()


def _fields(found: Schema) -> dict[str, object]:
    return {
        "current": found.current,
        "head": found.head,
        "pending": list(found.pending),
        "compatible_since": found.since,
        "newer": found.newer,
        "works": found.works,
    }


def _text(found: Schema) -> str:
    lines = [f"database: {found.current or 'empty'}", f"this version: {found.head}"]
    if found.since is not None:
        lines.append(f"usable by versions from {found.since} on")
    if found.pending:
        lines.append(f"to do: {', '.join(found.pending)} (crosstalk migrate upgrade)")
    elif found.newer:
        lines.append(
            "written by a newer version; " + ("this one works with it" if found.works else "too new for this one")
        )
    else:
        lines.append("up to date")
    return "\n".join(lines) + "\n"
