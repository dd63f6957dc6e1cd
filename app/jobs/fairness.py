"""In which order jobs run: one number, given when a job is queued, smaller first.

Within a priority this is self-clocked fair queueing (S. J. Golestani, INFOCOM 1994) over flows, a flow being one
tenant's short or one tenant's long recordings: a job's tag is the flow's last tag, or the tag of what runs now if that
is later, plus the job's length. So a tenant with a hundred recordings does not hold up one with a single recording, a
short recording does not wait behind a row of long ones, and nobody waits for ever. Over it stand priorities, strictly.
"""

from __future__ import annotations

import sqlalchemy as sa

from app.core.times import SAMPLE_RATE
from app.jobs import tables
from app.jobs.types import HIGHEST_PRIORITY, JobState

SHORT_S = 600.0
UNKNOWN_S = 3600.0
"""What a recording of unknown length counts as."""
BAND = 1e9
"""Tags of one priority lie within a band: 1e9 s of sound are beyond any queue."""


def size_of(duration: int | None) -> str:
    """`short` (up to ten minutes) or `long`; unknown counts as long."""
    return "short" if duration is not None and duration <= SHORT_S * SAMPLE_RATE else "long"


def flow_of(tenant: str, duration: int | None) -> str:
    """Who shares the machine with whom."""
    return f"{size_of(duration)}:{tenant}"


def next_tag(connection: sa.Connection, flow: str, priority: int, duration: int | None) -> float:
    """The tag of a job that is queued now, in the transaction that queues it."""
    low = (HIGHEST_PRIORITY - priority) * BAND
    band = tables.job.c.tag.between(low, low + BAND - 1)
    running = _one(connection, sa.func.max(tables.job.c.tag), band, tables.job.c.state == JobState.RUNNING)
    if running is None:
        running = _one(connection, sa.func.min(tables.job.c.tag), band, tables.job.c.state == JobState.QUEUED)
    mine = _one(
        connection,
        sa.func.max(tables.job.c.tag),
        band,
        tables.job.c.flow == flow,
        tables.job.c.state.in_([JobState.QUEUED, JobState.RUNNING]),
    )
    length_s = UNKNOWN_S if duration is None else max(duration / SAMPLE_RATE, 1.0)
    return min(max(running or low, mine or low) + length_s, low + BAND - 1)


def _one(connection: sa.Connection, value: sa.ColumnElement[float], *where: sa.ColumnElement[bool]) -> float | None:
    return connection.execute(sa.select(value).where(*where)).scalar()
