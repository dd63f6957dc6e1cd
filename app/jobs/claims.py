"""The jobs as their workers see them: claim with a lease, answer by answer, progress, and one of five ends.

Every claim raises the job's fence, and everything that a worker writes asks for its own fence in the same transaction.
So a worker that was thought dead and comes back can write nothing (ClaimLost): no answer twice, no end twice. The lease
is renewed by every answer and by the worker's heartbeat. All methods block and raise StoreUnavailable.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from app.core.times import SAMPLE_RATE
from app.core.types import FloatArray
from app.errors import AttemptsExhausted, CrosstalkError, LimitReached
from app.jobs import tables
from app.jobs.deliveries import tell_state
from app.jobs.events import add_event
from app.jobs.meter import Meter, unmetered
from app.jobs.rows import job_of
from app.jobs.speakers import dump_voice
from app.jobs.transcripts import add_revision
from app.jobs.types import Failure, Job, JobProgress, JobState, Revision
from app.store import Database

_T = tables.job
_LOCK = 0x434C4149
"""Of PostgreSQL's advisory locks; any number that nobody else takes."""


class ClaimLost(Exception):
    """The job is another worker's by now, or deleted; whoever meets this stops without a word."""


@dataclass(frozen=True, slots=True)
class ClaimRules:
    """lease_s: how long a silent worker keeps its jobs; max_attempts: runs in a row without an end before a job fails
    (a run that got well ahead starts the count anew); max_per_tenant: jobs of one tenant that run at once, over all
    workers (0 = any number)."""

    lease_s: float = 30.0
    max_attempts: int = 5
    max_per_tenant: int = 0


@dataclass(frozen=True, slots=True)
class Claim:
    """A worker's hold on a job."""

    job: Job
    fence: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """A finished transcript. body: transcript JSON; voices: speaker -> (voice, samples behind it)."""

    body: str
    language: str | None
    warnings: tuple[str, ...]
    duration: int
    voices: Mapping[int, tuple[FloatArray, int]] = field(default_factory=dict)


class Claims:
    """What workers do to jobs."""

    def __init__(self, database: Database, rules: ClaimRules, meter: Meter = unmetered) -> None:
        self._database = database
        self._meter = meter
        self.rules = rules

    def claim_next(self, owner: str, *, short_only: bool = False) -> Claim | None:
        """The next job in fair order that may run now; None when there is none.

        short_only: leave long ones alone, so that a worker keeps a slot for short ones.
        """
        where = [_T.c.state == JobState.QUEUED, _T.c.not_before <= self._database.now]
        if short_only:
            where.append(_T.c.size == "short")
        if self.rules.max_per_tenant:
            full = (
                sa.select(_T.c.tenant)
                .where(_T.c.state == JobState.RUNNING)
                .group_by(_T.c.tenant)
                .having(sa.func.count() >= self.rules.max_per_tenant)
            )
            where.append(_T.c.tenant.not_in(full))
        first = sa.select(_T.c.id).where(*where).order_by(_T.c.tag, _T.c.id).limit(1)
        with self._database.read() as connection:
            if connection.execute(first).scalar() is None:
                return None  # the usual case costs no write lock
        with self._database.write() as connection:
            if self.rules.max_per_tenant and self._database.dialect == "postgresql":
                # Two who count at the same time would both find room; SQLite has one writer anyway.
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
            job_id = connection.execute(first.with_for_update(skip_locked=True)).scalar()
            return None if job_id is None else self._claim(connection, job_id, owner)

    def claim_ticket(self, ticket: str) -> Claim | None:
        """The job that an engine gave out by its ticket (`tickets`); None when the ticket is spent.

        Given out again, after its worker died, the run counts as one without an end.
        """
        job_id, _, fence = ticket.rpartition(".")
        with self._database.write() as connection:
            row = connection.execute(sa.select(_T).where(_T.c.id == job_id).with_for_update()).mappings().one_or_none()
            if row is None:
                return None
            again = row["state"] == JobState.RUNNING and row["owner"] == ticket
            if not again and (row["state"] != JobState.QUEUED or row["fence"] != int(fence)):
                return None
            if again and not self._count_attempt(connection, row):
                return None
            return self._claim(connection, job_id, ticket)

    def tickets(self, limit: int) -> list[tuple[str, float]]:
        """What an engine with a queue of its own should have: (ticket, tag) of the jobs that wait, in fair order.

        A ticket is `<job id>.<fence>`: spent by the claim it leads to, and a new one for every time a job is queued.
        """
        waiting = sa.and_(_T.c.state == JobState.QUEUED, _T.c.not_before <= self._database.now)
        statement = sa.select(_T.c.id, _T.c.fence, _T.c.tag).where(waiting).order_by(_T.c.tag, _T.c.id).limit(limit)
        with self._database.read() as connection:
            return [(f"{row[0]}.{row[1]}", float(row[2])) for row in connection.execute(statement)]

    def recover(self, grace_s: float = 0.0) -> tuple[str, ...]:
        """Queue the jobs of silent workers again, or fail those that had all their attempts; returns their ids.

        grace_s: leave a lease alone for so long after its end.
        """
        expired = sa.and_(_T.c.state == JobState.RUNNING, _T.c.lease_until + grace_s < self._database.now)
        with self._database.read() as connection:
            if connection.execute(sa.select(_T.c.id).where(expired).limit(1)).scalar() is None:
                return ()
        with self._database.write() as connection:
            rows = connection.execute(sa.select(_T).where(expired).with_for_update(skip_locked=True)).mappings().all()
            for row in rows:
                if self._count_attempt(connection, row):
                    now = self._now(connection)
                    add_event(connection, row["id"], "state", {"state": JobState.QUEUED}, now)
                    values = {"state": JobState.QUEUED, "owner": None, "lease_until": None, "updated_at": now}
                    connection.execute(sa.update(_T).where(_T.c.id == row["id"]).values(values))
        return tuple(row["id"] for row in rows)

    def beat(self, claims: Iterable[Claim]) -> dict[str, bool]:
        """Renew the leases; job id -> whether its cancelling was asked for. A job that is missing was lost."""
        told: dict[str, bool] = {}
        now = self._database.now
        held = sorted(claims, key=lambda claim: claim.job.id)
        if not held:
            return told
        with self._database.write() as connection:
            for claim in held:
                renewed = (
                    sa.update(_T)
                    .where(*_mine(claim))
                    .values(lease_until=now + self.rules.lease_s)
                    .returning(_T.c.cancel_requested)
                )
                cancel = connection.execute(renewed).scalar()
                if cancel is not None:
                    told[claim.job.id] = bool(cancel)
        return told

    def look(self, claims: Sequence[Claim]) -> dict[str, bool]:
        """The same without renewing: a cheap look, for cancelling soon."""
        fences = {claim.job.id: claim.fence for claim in claims}
        wanted = sa.select(_T.c.id, _T.c.fence, _T.c.cancel_requested).where(
            _T.c.id.in_(fences), _T.c.state == JobState.RUNNING
        )
        with self._database.read() as connection:
            rows = connection.execute(wanted).all()
        return {row[0]: bool(row[2]) for row in rows if fences[row[0]] == row[1]}

    def report(self, claim: Claim, progress: JobProgress, segments: Sequence[Mapping[str, Any]]) -> None:
        """Say how far the job is, and which segments are finished since the last report. Raises ClaimLost."""
        with self._database.write() as connection:
            now = self._now(connection)
            values = {
                "stage": progress.stage,
                "diarized": progress.diarized,
                "decoded": progress.decoded,
                "total": progress.total,
                "speed": progress.speed,
                "left_s": progress.left_s,
                "lease_until": now + self.rules.lease_s,
            }
            self._change(connection, claim, now, values)
            for segment in segments:
                add_event(connection, claim.job.id, "segment", segment, now, f"segment:{segment['id']}")
            add_event(connection, claim.job.id, "progress", progress_data(progress), now)

    def count(self, claim: Claim, samples: int) -> LimitReached | None:
        """So much of a job is decoded by now: count what is not counted yet. Raises ClaimLost.

        Given back is the error to raise where its key may hand in no more today; it is counted all the same.
        """
        with self._database.write() as connection:
            known = sa.select(sa.func.coalesce(_T.c.counted, 0)).where(*_mine(claim)).with_for_update()
            counted = connection.execute(known).scalar()
            if counted is None:
                raise ClaimLost(claim.job.id)
            if samples <= counted:
                return None
            connection.execute(sa.update(_T).where(*_mine(claim)).values(counted=samples))
            return self._meter(connection, claim.job.key_id, (samples - counted) / SAMPLE_RATE)

    def succeed(self, claim: Claim, outcome: Outcome) -> None:
        """The end that everybody wants: transcript, voices, webhook, state, in one transaction. Raises ClaimLost.

        The engine's answers are not needed any more and go.
        """
        job_id = claim.job.id
        with self._database.write() as connection:
            now = self._now(connection)
            values = {
                "state": JobState.SUCCEEDED,
                "finished_at": now,
                "language": outcome.language,
                "warnings": json.dumps(outcome.warnings, ensure_ascii=False),
                "stage": "done",
                "diarized": outcome.duration,
                "decoded": outcome.duration,
                "total": outcome.duration,
                "left_s": 0.0,
                "owner": None,
                "lease_until": None,
            }
            self._change(connection, claim, now, values)
            for speaker, (voice, duration) in sorted(outcome.voices.items()):
                row = {"job_id": job_id, "speaker": speaker, "vector": dump_voice(voice), "duration": duration}
                connection.execute(sa.insert(tables.voice).values(row))
            add_revision(connection, job_id, Revision(1, outcome.body, "", now))
            connection.execute(sa.delete(tables.window).where(tables.window.c.job_id == job_id))
            tell_state(connection, claim.job, JobState.SUCCEEDED, now)

    def fail(self, claim: Claim, failure: Failure) -> None:
        """It cannot be done. What was computed is kept for a retry. Raises ClaimLost."""
        with self._database.write() as connection:
            now = self._now(connection)
            self._change(connection, claim, now, _failed(failure, now))
            tell_state(connection, claim.job, JobState.FAILED, now, failure)

    def try_again(self, claim: Claim, failure: Failure, delay_s: float) -> bool:
        """A fault that may pass: queue the job again, not before `delay_s`; False = it had all its attempts and failed.

        Raises ClaimLost.
        """
        with self._database.write() as connection:
            now = self._now(connection)
            attempts = connection.execute(sa.select(_T.c.attempts).where(*_mine(claim))).scalar()
            if attempts is None:
                raise ClaimLost(claim.job.id)
            if attempts + 1 >= self.rules.max_attempts:
                self._change(connection, claim, now, _failed(failure, now) | {"attempts": attempts + 1})
                tell_state(connection, claim.job, JobState.FAILED, now, failure)
                return False
            values = {"attempts": attempts + 1, "not_before": now + delay_s}
            self._back(connection, claim, now, values)
            return True

    def hand_over(self, claim: Claim) -> None:
        """This worker stops: the job keeps its place, and nothing is counted against it. Raises ClaimLost."""
        with self._database.write() as connection:
            self._back(connection, claim, self._now(connection), {})

    def forget_answers(self, claim: Claim) -> None:
        """Start a job from nothing: other models run here than those that began it. Raises ClaimLost."""
        with self._database.write() as connection:
            self._change(connection, claim, self._now(connection), {"stage": "waiting", "diarized": 0, "decoded": 0})
            connection.execute(sa.delete(tables.window).where(tables.window.c.job_id == claim.job.id))
            told = (tables.event.c.job_id == claim.job.id, tables.event.c.kind == "segment")
            connection.execute(sa.delete(tables.event).where(*told))

    def cancelled(self, claim: Claim) -> None:
        """It was stopped, as its user asked. Raises ClaimLost."""
        with self._database.write() as connection:
            now = self._now(connection)
            values = {"state": JobState.CANCELLED, "finished_at": now, "owner": None, "lease_until": None}
            self._change(connection, claim, now, values)
            tell_state(connection, claim.job, JobState.CANCELLED, now)

    def _claim(self, connection: sa.Connection, job_id: str, owner: str) -> Claim:
        now = self._now(connection)
        statement = (
            sa.update(_T)
            .where(_T.c.id == job_id)
            .values(
                state=JobState.RUNNING,
                owner=owner,
                fence=_T.c.fence + 1,
                lease_until=now + self.rules.lease_s,
                started_at=sa.func.coalesce(_T.c.started_at, now),
                updated_at=now,
            )
            .returning(_T)
        )
        job = job_of(connection.execute(statement).mappings().one())
        if job.fence == 1:
            tell_state(connection, job, JobState.RUNNING, now)
        else:  # taken over or tried again: followers see it, a webhook is told of the beginning once
            add_event(connection, job_id, "state", {"state": JobState.RUNNING}, now)
        return Claim(job, job.fence)

    def _count_attempt(self, connection: sa.Connection, row: sa.RowMapping) -> bool:
        """A run ended without an end. False = it was the last one, and the job has failed."""
        attempts = row["attempts"] + 1
        values: dict[str, object] = {"attempts": attempts}
        failed = attempts >= self.rules.max_attempts
        now = self._now(connection)
        if failed:
            seconds = (row["decoded"] if row["stage"] == "decode" else row["diarized"]) / 16_000
            reason = (
                f"the worker ended {attempts} times while it ran this recording, "
                f"the last time in stage {row['stage']} near {seconds:.0f} s"
            )
            failure = Failure(AttemptsExhausted.code, reason)
            values |= _failed(failure, now)
        connection.execute(sa.update(_T).where(_T.c.id == row["id"]).values(values))
        if failed:
            tell_state(connection, job_of(row), JobState.FAILED, now, failure)
        return not failed

    def _back(self, connection: sa.Connection, claim: Claim, now: float, values: dict[str, object]) -> None:
        queued = {"state": JobState.QUEUED, "owner": None, "lease_until": None}
        self._change(connection, claim, now, queued | values)
        add_event(connection, claim.job.id, "state", {"state": JobState.QUEUED}, now)

    def _change(self, connection: sa.Connection, claim: Claim, now: float, values: Mapping[str, object]) -> None:
        statement = sa.update(_T).where(*_mine(claim)).values(**values, updated_at=now)
        if connection.execute(statement).rowcount == 0:
            raise ClaimLost(claim.job.id)

    def _now(self, connection: sa.Connection) -> float:
        return float(connection.execute(sa.select(self._database.now)).scalar_one())


def progress_data(progress: JobProgress) -> dict[str, object]:
    """Progress as events tell it, in seconds."""
    return {
        "stage": progress.stage,
        "diarized_s": progress.diarized / 16_000,
        "decoded_s": progress.decoded / 16_000,
        "total_s": None if progress.total is None else progress.total / 16_000,
        "speed": progress.speed,
        "left_s": progress.left_s,
    }


def failure_of(error: Exception) -> Failure:
    """An error as a job keeps it: our own with their code, others without a word of what they hold."""
    if isinstance(error, CrosstalkError):
        return Failure(error.code, error.message)
    return Failure(CrosstalkError.code, f"{type(error).__name__}; the worker's log says more")


def _failed(failure: Failure, now: float) -> dict[str, object]:
    return {
        "state": JobState.FAILED,
        "finished_at": now,
        "error_code": failure.code,
        "error_message": failure.message,
        "owner": None,
        "lease_until": None,
    }


def _mine(claim: Claim) -> tuple[sa.ColumnElement[bool], ...]:
    return (_T.c.id == claim.job.id, _T.c.fence == claim.fence, _T.c.state == JobState.RUNNING)
