"""Transcripts and their revisions: 1 is what the models wrote; every edit is one more, nothing is overwritten."""

from __future__ import annotations

import sqlalchemy as sa

from app.core.types import TranscriptView
from app.errors import JobNotFound, JobStateInvalid, RevisionConflict
from app.formats import transcript_json
from app.jobs import tables
from app.jobs.edits import edited
from app.jobs.events import add_event
from app.jobs.types import Edit, JobState, Revision
from app.store import Database

_T = tables.transcript


class Transcripts:
    """Finished transcripts by job; what a running job has so far is in `Events.segments`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, job_id: str, number: int | None = None) -> Revision:
        """The newest revision, or that of a number. Raises JobNotFound, JobStateInvalid (not finished; no such one)."""
        with self._database.read() as connection:
            state, newest = _state(connection, job_id)
            wanted = newest if number is None else number
            row = (
                connection.execute(sa.select(_T).where(_T.c.job_id == job_id, _T.c.revision == wanted))
                .mappings()
                .one_or_none()
            )
        if row is None:
            what = f"no transcript: it is {state}" if newest == 0 else f"no revision {wanted}"
            raise JobStateInvalid(f"recording {job_id} has {what}")
        return _revision(row)

    def view(self, job_id: str, number: int | None = None) -> TranscriptView:
        """The same, ready for any format."""
        return transcript_json.parse(self.get(job_id, number).body)

    def revisions(self, job_id: str) -> tuple[Revision, ...]:
        """All of them, oldest first. Raises JobNotFound."""
        with self._database.read() as connection:
            _state(connection, job_id)
            rows = connection.execute(sa.select(_T).where(_T.c.job_id == job_id).order_by(_T.c.revision)).mappings()
            return tuple(_revision(row) for row in rows)

    def edit(self, job_id: str, edit: Edit, expected: int | None, note: str = "") -> Revision:
        """Write a new revision with the changes.

        expected: the revision that the editor saw; None = whatever is there. Raises JobNotFound, JobStateInvalid (no
        transcript yet), RevisionConflict (somebody was faster), OptionInvalid (unknown segment or speaker, blank name).
        """
        with self._database.write() as connection:
            state, newest = _state(connection, job_id, lock=True)
            if newest == 0:
                raise JobStateInvalid(f"recording {job_id} has no transcript: it is {state}")
            if expected is not None and expected != newest:
                raise RevisionConflict(f"the transcript is at revision {newest} by now, not {expected}")
            body = connection.execute(
                sa.select(_T.c.body).where(_T.c.job_id == job_id, _T.c.revision == newest)
            ).scalar_one()
            now = float(connection.execute(sa.select(self._database.now)).scalar_one())
            after = transcript_json.render(edited(transcript_json.parse(body), edit))
            return add_revision(connection, job_id, Revision(newest + 1, after, note, now))


def add_revision(connection: sa.Connection, job_id: str, revision: Revision) -> Revision:
    """Write a revision in the caller's transaction; the job's row is locked or written already."""
    connection.execute(
        sa.insert(_T).values(
            job_id=job_id,
            revision=revision.number,
            body=revision.body,
            note=revision.note,
            created_at=revision.created_at,
        )
    )
    connection.execute(
        sa.update(tables.job)
        .where(tables.job.c.id == job_id)
        .values(revision=revision.number, updated_at=revision.created_at)
    )
    add_event(connection, job_id, "revision", {"revision": revision.number}, revision.created_at)
    return revision


def _state(connection: sa.Connection, job_id: str, *, lock: bool = False) -> tuple[JobState, int]:
    statement = sa.select(tables.job.c.state, tables.job.c.revision).where(tables.job.c.id == job_id)
    row = connection.execute(statement.with_for_update() if lock else statement).one_or_none()
    if row is None:
        raise JobNotFound(f"there is no recording {job_id}")
    return JobState(row[0]), int(row[1])


def _revision(row: sa.RowMapping) -> Revision:
    return Revision(row["revision"], row["body"], row["note"], row["created_at"])
