"""Webhook messages: an outbox that is filled by the transaction that ends a job, and the log of what became of them."""

from __future__ import annotations

import json
from collections.abc import Collection

import sqlalchemy as sa

from app.jobs import tables
from app.jobs.events import add_event
from app.jobs.rows import delivery_of, new_id
from app.jobs.types import Delivery, DeliveryState, Failure, Job, JobState
from app.store import Database

_T = tables.delivery


class Deliveries:
    """The outbox. A sender claims what is due, sends it, and says what came of it; a dead sender's come back."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def claim_due(
        self, limit: int = 20, lease_s: float = 60.0, *, but_not: Collection[str] = ()
    ) -> tuple[Delivery, ...]:
        """Messages whose time has come, oldest first; nobody else gets them for `lease_s`. Counts a try each.

        but_not: beginnings of URLs whose messages are left alone.
        """
        now = self._database.now
        due = (
            sa.select(_T.c.id)
            .where(_T.c.state == DeliveryState.PENDING, _T.c.next_at <= now)
            .where(*(sa.not_(_T.c.url.startswith(it, autoescape=True)) for it in sorted(but_not)))
            .order_by(_T.c.next_at, _T.c.id)
            .limit(limit)
        )
        with self._database.read() as connection:
            if connection.execute(due.limit(1)).scalar() is None:
                return ()  # the usual case costs no write lock
        with self._database.write() as connection:
            ids = connection.execute(due.with_for_update(skip_locked=True)).scalars().all()
            if not ids:
                return ()
            claimed = (
                sa.update(_T)
                .where(_T.c.id.in_(ids))
                .values(next_at=now + lease_s, attempts=_T.c.attempts + 1, updated_at=now)
                .returning(_T)
            )
            rows = connection.execute(claimed).mappings().all()
        return tuple(sorted((delivery_of(row) for row in rows), key=lambda it: (it.created_at, it.id)))

    def delivered(self, delivery_id: str, status: int) -> None:
        """The receiver took it."""
        self._record(delivery_id, DeliveryState.DELIVERED, status, "")

    def failed(self, delivery_id: str, status: int | None, error: str, retry_in_s: float | None) -> None:
        """It did not work; tried again after `retry_in_s`, None = given up."""
        state = DeliveryState.FAILED if retry_in_s is None else DeliveryState.PENDING
        self._record(delivery_id, state, status, error, retry_in_s or 0.0)

    def of_job(self, job_id: str) -> tuple[Delivery, ...]:
        """The delivery log of a job, oldest first."""
        with self._database.read() as connection:
            rows = connection.execute(
                sa.select(_T).where(_T.c.job_id == job_id).order_by(_T.c.created_at, _T.c.id)
            ).mappings()
            return tuple(delivery_of(row) for row in rows)

    def again(self, delivery_id: str) -> None:
        """Send a message once more, now."""
        with self._database.write() as connection:
            values = {"state": DeliveryState.PENDING, "next_at": self._database.now, "updated_at": self._database.now}
            connection.execute(sa.update(_T).where(_T.c.id == delivery_id).values(values))

    def _record(
        self, delivery_id: str, state: DeliveryState, status: int | None, error: str, retry_in_s: float = 0.0
    ) -> None:
        now = self._database.now
        values = {"state": state, "status": status, "error": error, "next_at": now + retry_in_s, "updated_at": now}
        with self._database.write() as connection:
            connection.execute(sa.update(_T).where(_T.c.id == delivery_id).values(values))


def tell_state(
    connection: sa.Connection, job: Job, state: JobState, now: float, failure: Failure | None = None
) -> None:
    """A job's new state, in the caller's transaction: an event, and a message when its webhook wants it."""
    data: dict[str, object] = {"state": state}
    if failure is not None:
        data |= {"code": failure.code, "message": failure.message}
    add_event(connection, job.id, "state", data, now)
    if job.options.webhook is not None and state in job.options.events:
        kind = f"recording.{state}"
        body = json.dumps({"event": kind, "recording": {"id": job.id, **data}, "created_at": now})
        add_delivery(connection, job.id, job.options.webhook, kind, body, now)


def add_delivery(connection: sa.Connection, job_id: str, url: str, event: str, body: str, now: float) -> None:
    """Put a message into the outbox, in the caller's transaction."""
    values = {
        "id": new_id("whd"),
        "job_id": job_id,
        "url": url,
        "event": event,
        "body": body,
        "state": DeliveryState.PENDING,
        "attempts": 0,
        "next_at": now,
        "error": "",
        "created_at": now,
        "updated_at": now,
    }
    connection.execute(sa.insert(_T).values(values))
