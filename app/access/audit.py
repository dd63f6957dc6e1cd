"""Who did what: one row and one log line for every change of keys, recordings, voices and links. Ids only. Blocks."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import sqlalchemy as sa

from app.access import tables
from app.store import Database

_log = logging.getLogger(__name__)
_T = tables.audit
_MAX_TARGET = 200


@dataclass(frozen=True, slots=True)
class Entry:
    """One act. actor: a key's id, `cli`, or '' where access is open."""

    id: int
    at: float
    tenant: str
    actor: str
    action: str
    target: str


class Audit:
    """The log of all tenants. All raise StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, actor: str, tenant: str, action: str, target: str) -> None:
        """Note an act that has been done."""
        target = target[:_MAX_TARGET]
        extra = {"actor": actor or "anybody", "tenant": tenant, "action": action, "target": target}
        _log.info("audit: %s %s by %s", action, target, actor or "anybody", extra=extra)
        with self._database.write() as connection:
            values = {"at": self._database.now, "tenant": tenant, "actor": actor, "action": action, "target": target}
            connection.execute(sa.insert(_T).values(values))

    def list(self, tenant: str | None = None, before: int | None = None, limit: int = 100) -> tuple[Entry, ...]:
        """The newest acts, those before an id."""
        where = [] if tenant is None else [_T.c.tenant == tenant]
        if before is not None:
            where.append(_T.c.id < before)
        with self._database.read() as connection:
            rows = connection.execute(sa.select(_T).where(*where).order_by(_T.c.id.desc()).limit(limit)).mappings()
            return tuple(Entry(**row) for row in rows)
