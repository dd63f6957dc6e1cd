"""`crosstalk keys create|list|rotate|revoke`: the API keys of the store that the settings name."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated

import typer

from app.access import Access, AccessRules, ApiKey, KeyLimits, NewKey, Scope
from app.access.types import scopes_of
from app.cli.output import write_stdout
from app.observe import set_up_logging
from app.settings import load_settings
from app.wiring import store_from

_DAY_S = 86_400.0
_ACTOR = "cli"

command = typer.Typer(name="keys", no_args_is_help=True, help="API keys: who may use the server.")

KeyId = Annotated[str, typer.Argument(metavar="ID", help="As `crosstalk keys list` shows it.")]
Name = Annotated[str, typer.Option("--name", "-n", help="Whose it is, for people.")]
Tenant = Annotated[str, typer.Option(help="Whose recordings it sees; empty = the operator's.")]
Scopes = Annotated[
    list[str] | None,
    typer.Option("--scope", "-s", help=f"{', '.join(Scope)}; again for more."),
]
Days = Annotated[float | None, typer.Option("--days", min=0.0, help="Expires after so many days; never unless set.")]
Rate = Annotated[int, typer.Option("--requests-per-minute", min=0, help="0 = any number.")]
Together = Annotated[int, typer.Option("--concurrency", min=0, help="Requests at the same time; 0 = any number.")]
Minutes = Annotated[int, typer.Option("--audio-minutes-per-day", min=0, help="Minutes of sound; 0 = any number.")]
Overlap = Annotated[float, typer.Option("--overlap-hours", min=0.0, help="So long the old key works on.")]


@command.command()
def create(  # noqa: PLR0913 - one parameter per option is how typer reads a command line
    name: Name,
    tenant: Tenant = "",
    scope: Scopes = None,
    days: Days = None,
    requests_per_minute: Rate = 0,
    concurrency: Together = 0,
    audio_minutes_per_day: Minutes = 0,
) -> None:
    """Make a key; it goes to stdout, this once: only its hash is kept."""
    limits = KeyLimits(requests_per_minute, concurrency, audio_minutes_per_day)
    expires_at = None if days is None else time.time() + days * _DAY_S
    scopes = scopes_of(scope) if scope else NewKey("-").scopes
    with _access() as access:
        text, key = access.keys.create(NewKey(name, tenant, scopes, limits, expires_at))
        access.audit.record(_ACTOR, tenant, "key.create", key.id)
    write_stdout(f"{text}\n")


@command.command("list")
def list_keys() -> None:
    """Show every key, newest first, without its secret."""
    with _access() as access:
        keys = access.keys.list()
    rows = [("ID", "STATE", "TENANT", "SCOPES", "EXPIRES", "NAME"), *map(_row, keys)]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row[:5], widths, strict=True))
        write_stdout("  ".join((*cells, row[5])) + "\n")


@command.command()
def rotate(key_id: KeyId, overlap_hours: Overlap = 24.0) -> None:
    """Make a key in the place of another, which works on for a while; the new one goes to stdout, this once."""
    with _access() as access:
        text, key = access.keys.rotate(key_id, overlap_hours * 3600.0)
        access.audit.record(_ACTOR, key.tenant, "key.rotate", key_id)
    write_stdout(f"{text}\n")


@command.command()
def revoke(key_id: KeyId) -> None:
    """It opens nothing any more; running servers notice within seconds (access.cache_s)."""
    with _access() as access:
        key = access.keys.revoke(key_id)
        access.audit.record(_ACTOR, key.tenant, "key.revoke", key_id)


@contextmanager
def _access() -> Iterator[Access]:
    settings = load_settings()
    set_up_logging("warning", settings.log.format)
    store = store_from(settings)
    try:
        yield Access(store.database, AccessRules())
    finally:
        store.database.close()


def _row(key: ApiKey) -> tuple[str, ...]:
    state = "revoked" if key.revoked_at is not None else "works" if key.valid_at(time.time()) else "expired"
    state = "rotated" if state == "works" and key.replaced_by is not None else state
    ends = None if key.expires_at is None else datetime.fromtimestamp(key.expires_at, UTC)
    expires = "never" if ends is None else ends.strftime("%Y-%m-%d %H:%M")
    return (key.id, state, key.tenant or "-", ",".join(sorted(key.scopes)), expires, key.name)
