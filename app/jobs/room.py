"""Whether one more recording may wait: so many in the store, so many of one tenant. The refused are told when to come.

When a place will be free follows from the pace at which recordings left lately: their number over the time in which
they were worked on (the throughput X of the operational laws, Denning and Buzen 1978), of the tenant where its share is
full.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import sqlalchemy as sa

from app.errors import QueueFull, QueueShareFull
from app.jobs import tables
from app.jobs.types import JobState
from app.store import Database

PACE_S = 600.0
"""Over which the pace is measured."""
UNKNOWN_S = 60.0
"""Told while nothing has left and nothing that runs knows its end."""
MOST_S = 3600.0
_LOCK = 0x43524F53
"""Of PostgreSQL's advisory locks; any number that nobody else takes."""
_T = tables.job


@dataclass(frozen=True, slots=True)
class QueueRules:
    """max_queued: recordings that wait, over all servers; max_per_tenant: of one tenant; 0 = any number."""

    max_queued: int = 0
    max_per_tenant: int = 0


class QueueRoom:
    """The places of those that wait. Its methods run in the caller's transaction."""

    def __init__(self, database: Database, rules: QueueRules) -> None:
        self._database = database
        self.rules = rules

    def alone(self, connection: sa.Connection) -> None:
        """Let nobody else queue until the transaction ends, so that the limits hold to the recording.

        On SQLite a transaction that writes is alone anyway.
        """
        if self._database.dialect == "postgresql" and (self.rules.max_queued or self.rules.max_per_tenant):
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))

    def check(self, connection: sa.Connection, tenant: str, coming: int) -> None:
        """Raises QueueFull or QueueShareFull when those that wait, and `coming` more, are more than may."""
        rules = self.rules
        share = _T.c.tenant == tenant
        if rules.max_per_tenant and self._waiting(connection, rules.max_per_tenant + 1, share) + coming > (
            rules.max_per_tenant
        ):
            wait_s = self._free_in_s(connection, share)
            message = f"{rules.max_per_tenant} of your recordings wait already, and no more may; {_when(wait_s)}"
            raise QueueShareFull(message, retry_after_s=wait_s)
        if rules.max_queued and self._waiting(connection, rules.max_queued + 1) + coming > rules.max_queued:
            wait_s = self._free_in_s(connection)
            message = f"the queue is full: {rules.max_queued} recordings wait already; {_when(wait_s)}"
            raise QueueFull(message, retry_after_s=wait_s)

    def _waiting(self, connection: sa.Connection, most: int, *where: sa.ColumnElement[bool]) -> int:
        """How many wait, counted up to `most`: that is as much as a long queue costs."""
        found = sa.select(sa.literal(1)).where(_T.c.state == JobState.QUEUED, *where).limit(most).subquery()
        return int(connection.execute(sa.select(sa.func.count()).select_from(found)).scalar_one())

    def _free_in_s(self, connection: sa.Connection, *where: sa.ColumnElement[bool]) -> int:
        """Seconds until a place should be free, 1 to an hour."""
        now = self._database.now
        left = (_T.c.finished_at > now - PACE_S, _T.c.started_at.is_not(None), *where)
        number, span_s = connection.execute(
            sa.select(sa.func.count(), now - sa.func.min(_T.c.started_at)).where(*left)
        ).one()
        if number:
            wait_s = min(PACE_S, float(span_s)) / number
        else:
            running = sa.select(sa.func.min(_T.c.left_s)).where(_T.c.state == JobState.RUNNING, *where)
            wait_s = float(connection.execute(running).scalar() or UNKNOWN_S)
        return math.ceil(min(MOST_S, max(1.0, wait_s)))


def _when(wait_s: int) -> str:
    return f"a place should be free in about {wait_s} s"
