"""What is too old goes: sound, transcripts, unfinished uploads, remains. Every worker sweeps; twice is harmless."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import sqlalchemy as sa

from app.errors import JobError
from app.jobs import tables
from app.jobs.store import Store
from app.jobs.types import JobState

_log = logging.getLogger(__name__)
_BATCH = 200
ORPHAN_AGE_S = 24 * 3600.0
"""A blob without a job may be an upload that is still on its way; after a day it is none."""


@dataclass(frozen=True, slots=True)
class RetentionRules:
    """Seconds from a job's end until its sound, or all of it, is deleted; 0 = kept until a user deletes it."""

    audio_ttl_s: float = 0.0
    transcript_ttl_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Swept:
    """What one sweep deleted."""

    audio: int = 0
    jobs: int = 0
    trash: int = 0
    orphans: int = 0
    uploads: int = 0


def sweep(store: Store, rules: RetentionRules, forget: Callable[[str], None]) -> Swept:
    """Enforce the rules once; blocks. forget: removes an engine's own traces of a job.

    Raises StoreError; what was deleted until then stays deleted.
    """
    jobs = audio = 0
    if rules.transcript_ttl_s:
        for job_id in _ended(store, rules.transcript_ttl_s):
            jobs += _quietly(partial(delete_job, store, job_id, forget))
    if rules.audio_ttl_s:
        for job_id in _ended(store, rules.audio_ttl_s, with_audio=True):
            audio += _quietly(partial(store.jobs.drop_audio, job_id))
    uploads = store.uploads.expire(_BATCH)
    with store.database.read() as connection:
        trash = connection.execute(sa.select(tables.trash.c.blob)).scalars().all()
    for blob_id in trash:
        store.jobs.empty_trash(blob_id)
    swept = Swept(audio, jobs, len(trash), _remove_orphans(store), uploads)
    if swept != Swept():
        _log.info("retention removed %s", swept)
    return swept


def delete_job(store: Store, job_id: str, forget: Callable[[str], None], tenant: str | None = None) -> None:
    """Delete a job with every trace, an engine's included. Raises JobNotFound, StoreError."""
    store.jobs.delete(job_id, tenant)
    forget(job_id)


def _quietly(call: Callable[[], None]) -> bool:
    """A job that somebody deleted or queued again a moment ago needs no sweeping."""
    try:
        call()
    except JobError:
        return False
    return True


def _ended(store: Store, ttl_s: float, *, with_audio: bool = False) -> Sequence[str]:
    job = tables.job
    where = [
        job.c.state.in_([JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED]),
        job.c.finished_at < store.database.now - ttl_s,
    ]
    if with_audio:
        where.append(job.c.blob.is_not(None))
    with store.database.read() as connection:
        return (
            connection.execute(sa.select(job.c.id).where(*where).order_by(job.c.finished_at).limit(_BATCH))
            .scalars()
            .all()
        )


def _remove_orphans(store: Store) -> int:
    """Blobs that came and belong to nothing: the server ended before the row was written."""
    old = sorted(store.blobs.older_than(ORPHAN_AGE_S))
    removed = 0
    for start in range(0, len(old), _BATCH):
        ids = old[start : start + _BATCH]
        with store.database.read() as connection:
            owned = {
                owner
                for column in (tables.job.c.blob, tables.upload_part.c.blob)
                for owner in connection.execute(sa.select(column).where(column.in_(ids))).scalars()
            }
        for blob_id in ids:
            if blob_id not in owned:
                store.blobs.delete(blob_id)
                removed += 1
    return removed
