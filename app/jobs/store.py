"""The jobs as their users see them: queue, look, list, cancel, retry, delete. The workers' side is `claims.py`.

Every method is one transaction and blocks: a coroutine calls it in a thread. All raise StoreUnavailable when the
database cannot be used. Where a `tenant` may be given, another tenant's job is JobNotFound.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import sqlalchemy as sa

from app.context import current_trace
from app.core.times import SAMPLE_RATE
from app.errors import IdempotencyConflict, JobNotFound, JobStateInvalid, LimitReached, QueueFull
from app.jobs import tables
from app.jobs.blobs import Blobs
from app.jobs.deliveries import Deliveries, tell_state
from app.jobs.events import Events, add_event
from app.jobs.fairness import flow_of, next_tag, size_of
from app.jobs.meter import Meter, unmetered
from app.jobs.room import QueueRoom, QueueRules
from app.jobs.rows import job_of, new_id, read_cursor, write_cursor
from app.jobs.speakers import KnownSpeakers
from app.jobs.transcripts import Transcripts
from app.jobs.types import Job, JobPage, JobQuery, JobState, NewJob, check_move
from app.jobs.uploads import Uploads
from app.store import Database

_T = tables.job
MAX_PAGE = 200


@dataclass(frozen=True, slots=True)
class Store:
    """All that lasts, by subject. Made by `open_store`; closing the database is the caller's."""

    database: Database
    blobs: Blobs
    jobs: JobStore
    transcripts: Transcripts
    events: Events
    deliveries: Deliveries
    speakers: KnownSpeakers
    uploads: Uploads
    meter: Meter


def open_store(database: Database, blobs: Blobs, rules: QueueRules | None = None, meter: Meter = unmetered) -> Store:
    """The store over a migrated database and a blob store. rules: how many recordings may wait, None = any number"""
    jobs = JobStore(database, blobs, rules or QueueRules(), meter)
    return Store(
        database,
        blobs,
        jobs,
        Transcripts(database),
        Events(database),
        Deliveries(database),
        KnownSpeakers(database),
        Uploads(database, blobs, jobs.empty_trash),
        meter,
    )


class JobStore:
    """Jobs of all tenants."""

    def __init__(self, database: Database, blobs: Blobs, rules: QueueRules, meter: Meter) -> None:
        self._meter = meter
        self._database = database
        self._blobs = blobs
        self._room = QueueRoom(database, rules)

    @property
    def most_queued(self) -> int:
        """How many recordings may wait, over all servers; 0 = any number."""
        return self._room.rules.max_queued

    def check_room(self, tenant: str, idempotency_key: str | None = None) -> None:
        """Tell, before anything is sent, who would be refused afterwards. Raises QueueFull, QueueShareFull.

        Not who asks again with a key that made a recording already.
        """
        with self._database.read() as connection:
            if idempotency_key is not None:
                known = sa.and_(_T.c.tenant == tenant, _T.c.idempotency_key == idempotency_key)
                if connection.execute(sa.select(_T.c.id).where(known)).scalar() is not None:
                    return
            self._room.check(connection, tenant, coming=1)

    def create(self, new: NewJob) -> tuple[Job, bool]:
        """Queue a recording; (job, True), or (the earlier job, False) for a key that was used for the same request.

        The blob is the job's from here on; of a request that was known already or is refused, it is removed.
        Raises IdempotencyConflict when the key was used for another file or other options, QueueFull, QueueShareFull,
        LimitReached when what is counted at once is more than the key may hand in today.
        """
        try:
            return self._create(new)
        except (QueueFull, LimitReached):
            self._blobs.delete(new.blob.id)
            raise

    def _create(self, new: NewJob) -> tuple[Job, bool]:
        job_id, fingerprint = new_id("rec"), _fingerprint(new)
        with self._database.write() as connection:
            self._room.alone(connection)
            now = connection.execute(sa.select(self._database.now)).scalar_one()
            flow = flow_of(new.tenant, new.duration)
            values = {
                "id": job_id,
                "tenant": new.tenant,
                "state": JobState.QUEUED,
                "priority": new.priority,
                "flow": flow,
                "size": size_of(new.duration),
                "tag": next_tag(connection, flow, new.priority, new.duration),
                "options": new.options.to_json(),
                "file_name": new.file_name,
                "media_type": new.media_type,
                "blob": new.blob.id,
                "blob_size": new.blob.size,
                "idempotency_key": new.idempotency_key,
                "fingerprint": fingerprint,
                "created_at": now,
                "updated_at": now,
                "not_before": now,
                "stage": "waiting",
                "diarized": 0,
                "decoded": 0,
                "total": new.duration,
                "attempts": 0,
                "generation": 1,
                "fence": 0,
                "cancel_requested": False,
                "trace": current_trace() or None,
                "key_id": new.key_id or None,
                "counted": new.counted,
                "warnings": "[]",
                "revision": 0,
                "last_event": 0,
            }
            made = self._database.insert_or_ignore(connection, _T, values) == 1
            if made:
                self._room.check(connection, new.tenant, coming=0)
                self._count(connection, new)
                add_event(connection, job_id, "state", {"state": JobState.QUEUED}, now)
                where = _T.c.id == job_id
            else:
                where = sa.and_(_T.c.tenant == new.tenant, _T.c.idempotency_key == new.idempotency_key)
            row = connection.execute(sa.select(_T).where(where)).mappings().one()
        if not made:
            self._blobs.delete(new.blob.id)
            if row["fingerprint"] != fingerprint:
                raise IdempotencyConflict(
                    "this Idempotency-Key was used for another recording", param="Idempotency-Key"
                )
        return job_of(row), made

    def _count(self, connection: sa.Connection, new: NewJob) -> None:
        """With the job or not at all, so that many at once cannot take more than there is."""
        if not new.key_id or not new.counted:
            return
        error = self._meter(connection, new.key_id, new.counted / SAMPLE_RATE)
        if error is not None:
            raise error

    def get(self, job_id: str, tenant: str | None = None) -> Job:
        """Raises JobNotFound."""
        with self._database.read() as connection:
            return job_of(_row(connection, job_id, tenant))

    def list(self, query: JobQuery) -> JobPage:
        """A page, newest first. Raises OptionInvalid for a cursor that is none."""
        limit = max(1, min(query.limit, MAX_PAGE))
        statement = (
            sa.select(_T).where(*_filters(query)).order_by(_T.c.created_at.desc(), _T.c.id.desc()).limit(limit + 1)
        )
        with self._database.read() as connection:
            rows = connection.execute(statement).mappings().all()
        jobs = tuple(job_of(row) for row in rows[:limit])
        more = len(rows) > limit
        return JobPage(jobs, write_cursor(jobs[-1].created_at, jobs[-1].id) if more else None)

    def position(self, job: Job) -> int | None:
        """How many jobs run before this one, from 1; None when it does not wait."""
        if job.state is not JobState.QUEUED:
            return None
        mine = sa.select(_T.c.tag).where(_T.c.id == job.id).scalar_subquery()
        ahead = sa.or_(_T.c.tag < mine, sa.and_(_T.c.tag == mine, _T.c.id < job.id))
        with self._database.read() as connection:
            count = sa.select(sa.func.count()).where(_T.c.state == JobState.QUEUED, ahead)
            return int(connection.execute(count).scalar_one()) + 1

    def counts(self) -> dict[JobState, int]:
        """How many jobs are in each state."""
        with self._database.read() as connection:
            rows = connection.execute(sa.select(_T.c.state, sa.func.count()).group_by(_T.c.state)).all()
        return {JobState(state): int(count) for state, count in rows}

    def oldest_wait_s(self) -> float:
        """How long the recording has waited that could run now and waits longest; 0 = there is none."""
        now = self._database.now
        waiting = sa.and_(_T.c.state == JobState.QUEUED, _T.c.not_before <= now)
        with self._database.read() as connection:
            waited = connection.execute(sa.select(now - sa.func.min(_T.c.not_before)).where(waiting)).scalar()
        return max(0.0, float(waited or 0.0))

    def cancel(self, job_id: str, tenant: str | None = None) -> Job:
        """Stop a job: at once when it waits, within seconds when it runs (`cancel_requested` until then).

        A job that is cancelled already is given back as it is. Raises JobNotFound, JobStateInvalid (it is over).
        """
        with self._database.write() as connection:
            row = _row(connection, job_id, tenant, lock=True)
            state, now = JobState(row["state"]), self._now(connection)
            if state is JobState.QUEUED:
                values = {"state": JobState.CANCELLED, "finished_at": now, "cancel_requested": True}
                tell_state(connection, job_of(row), JobState.CANCELLED, now)
            elif state is JobState.RUNNING:
                values = {"cancel_requested": True}
            elif state is JobState.CANCELLED:
                return job_of(row)
            else:
                raise JobStateInvalid(f"recording {job_id} is {state} and cannot be cancelled")
            return self._change(connection, job_id, now, values)

    def retry(self, job_id: str, tenant: str | None = None) -> Job:
        """Queue a failed or cancelled job again; answers that were computed are kept.

        Raises JobNotFound, JobStateInvalid (queued, running or succeeded, or its sound is deleted), QueueFull,
        QueueShareFull.
        """
        with self._database.write() as connection:
            self._room.alone(connection)
            row = _row(connection, job_id, tenant, lock=True)
            check_move(job_id, JobState(row["state"]), JobState.QUEUED)
            if JobState(row["state"]) is JobState.RUNNING:
                raise JobStateInvalid(f"recording {job_id} is running")
            if row["blob"] is None:
                raise JobStateInvalid(f"the sound of recording {job_id} is deleted")
            self._room.check(connection, row["tenant"], coming=1)
            now = self._now(connection)
            add_event(connection, job_id, "state", {"state": JobState.QUEUED}, now)
            values = {
                "state": JobState.QUEUED,
                "tag": next_tag(connection, row["flow"], row["priority"], row["total"]),
                "generation": row["generation"] + 1,
                "attempts": 0,
                "cancel_requested": False,
                "not_before": now,
                "finished_at": None,
                "error_code": None,
                "error_message": None,
            }
            return self._change(connection, job_id, now, values)

    def delete(self, job_id: str, tenant: str | None = None) -> None:
        """Remove a job with every trace: rows, transcripts, answers, voices, events, deliveries, sound.

        A worker that runs it stops at its next word to the database. Raises JobNotFound; StoreError when the blob store
        cannot be reached: the rows are gone then, and the sound goes with the next sweep.
        """
        with self._database.write() as connection:
            row = _row(connection, job_id, tenant, lock=True)
            if row["blob"] is not None:
                self._database.insert_or_ignore(connection, tables.trash, {"blob": row["blob"]})
            connection.execute(sa.delete(_T).where(_T.c.id == job_id))
        if row["blob"] is not None:
            self.empty_trash(row["blob"])

    def drop_audio(self, job_id: str) -> None:
        """Delete the sound of a job that is over, and keep the rest. Raises JobNotFound, JobStateInvalid."""
        with self._database.write() as connection:
            row = _row(connection, job_id, None, lock=True)
            if not JobState(row["state"]).over:
                raise JobStateInvalid(f"recording {job_id} is {row['state']}; its sound is needed")
            if row["blob"] is None:
                return
            self._database.insert_or_ignore(connection, tables.trash, {"blob": row["blob"]})
            connection.execute(sa.delete(tables.window).where(tables.window.c.job_id == job_id))
            self._change(connection, job_id, self._now(connection), {"blob": None})
        self.empty_trash(row["blob"])

    def empty_trash(self, blob_id: str) -> None:
        """Delete a blob that no job owns any more. Raises StoreError."""
        self._blobs.delete(blob_id)
        with self._database.write() as connection:
            connection.execute(sa.delete(tables.trash).where(tables.trash.c.blob == blob_id))

    def _now(self, connection: sa.Connection) -> float:
        return float(connection.execute(sa.select(self._database.now)).scalar_one())

    def _change(self, connection: sa.Connection, job_id: str, now: float, values: dict[str, object]) -> Job:
        statement = sa.update(_T).where(_T.c.id == job_id).values(**values, updated_at=now).returning(_T)
        return job_of(connection.execute(statement).mappings().one())


def _row(connection: sa.Connection, job_id: str, tenant: str | None, *, lock: bool = False) -> sa.RowMapping:
    statement = sa.select(_T).where(_T.c.id == job_id)
    if tenant is not None:
        statement = statement.where(_T.c.tenant == tenant)
    row = connection.execute(statement.with_for_update() if lock else statement).mappings().one_or_none()
    if row is None:
        raise JobNotFound(f"there is no recording {job_id}")
    return row


def _filters(query: JobQuery) -> list[sa.ColumnElement[bool]]:
    where: list[sa.ColumnElement[bool]] = []
    if query.tenant is not None:
        where.append(_T.c.tenant == query.tenant)
    if query.states:
        where.append(_T.c.state.in_(query.states))
    if query.name:
        where.append(_T.c.file_name.icontains(query.name, autoescape=True))
    if query.created_after is not None:
        where.append(_T.c.created_at > query.created_after)
    if query.created_before is not None:
        where.append(_T.c.created_at < query.created_before)
    if query.cursor is not None:
        where.append(sa.tuple_(_T.c.created_at, _T.c.id) < sa.tuple_(*map(sa.literal, read_cursor(query.cursor))))
    return where


def _fingerprint(new: NewJob) -> str:
    """What makes a request the same as an earlier one: content and options, not the file's name."""
    return hashlib.sha256(f"{new.blob.sha256} {new.priority} {new.options.to_json()}".encode()).hexdigest()
