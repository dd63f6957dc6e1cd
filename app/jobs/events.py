"""What happened to a job, in order, for those who follow it: server-sent events and the partial transcript.

Bounded: of several progress events only the newest is kept, a segment is told once, and a job's events go with it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from app.jobs import tables
from app.jobs.rows import event_of
from app.jobs.types import JobEvent
from app.store import Database

_T = tables.event


class Events:
    """Reading events; they are written by the transactions that make them happen."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def since(self, job_id: str, last_id: int = 0, limit: int = 1000) -> tuple[JobEvent, ...]:
        """Events after `last_id`, in order; none for a job that is not there."""
        statement = sa.select(_T).where(_T.c.job_id == job_id, _T.c.id > last_id).order_by(_T.c.id).limit(limit)
        with self._database.read() as connection:
            return tuple(event_of(row) for row in connection.execute(statement).mappings())

    def segments(self, job_id: str) -> tuple[Mapping[str, Any], ...]:
        """The segments that a running job has finished, in order: its partial transcript."""
        statement = sa.select(_T.c.data).where(_T.c.job_id == job_id, _T.c.kind == "segment").order_by(_T.c.id)
        with self._database.read() as connection:
            return tuple(json.loads(data) for data in connection.execute(statement).scalars())


def add_event(
    connection: sa.Connection, job_id: str, kind: str, data: Mapping[str, Any], now: float, key: str | None = None
) -> None:
    """Write an event in the caller's transaction, unless one of the same key is there."""
    if key is not None and _has(connection, job_id, key):
        return
    if kind == "progress":
        connection.execute(sa.delete(_T).where(_T.c.job_id == job_id, _T.c.kind == "progress"))
    raised = (
        sa.update(tables.job)
        .where(tables.job.c.id == job_id)
        .values(last_event=tables.job.c.last_event + 1)
        .returning(tables.job.c.last_event)
    )
    number = connection.execute(raised).scalar_one()
    text = json.dumps(dict(data), ensure_ascii=False, allow_nan=False)
    connection.execute(sa.insert(_T).values(job_id=job_id, id=number, kind=kind, key=key, data=text, created_at=now))


def _has(connection: sa.Connection, job_id: str, key: str) -> bool:
    found = sa.select(sa.literal(1)).where(_T.c.job_id == job_id, _T.c.key == key)
    return connection.execute(found).scalar() is not None
