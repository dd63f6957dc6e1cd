"""Our tables, as the queries see them. They are made and changed by `app/store/migrations`; a test compares the two.

Deleting a job deletes its rows everywhere (`on delete cascade`). Times are Unix seconds of the database's clock.
"""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _of_job() -> sa.Column[str]:
    return sa.Column("job_id", sa.Text, sa.ForeignKey("job.id", ondelete="CASCADE"), primary_key=True)


job = sa.Table(
    "job",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("priority", sa.Integer, nullable=False),
    # Fair order within a priority: app/jobs/fairness.py.
    sa.Column("flow", sa.Text, nullable=False),
    sa.Column("size", sa.Text, nullable=False),
    sa.Column("tag", sa.Double, nullable=False),
    sa.Column("options", sa.Text, nullable=False),
    sa.Column("file_name", sa.Text, nullable=False),
    sa.Column("media_type", sa.Text, nullable=False),
    sa.Column("blob", sa.Text),
    sa.Column("blob_size", sa.BigInteger, nullable=False),
    sa.Column("idempotency_key", sa.Text),
    sa.Column("fingerprint", sa.Text, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("updated_at", sa.Double, nullable=False),
    sa.Column("started_at", sa.Double),
    sa.Column("finished_at", sa.Double),
    sa.Column("not_before", sa.Double, nullable=False),
    sa.Column("stage", sa.Text, nullable=False),
    sa.Column("diarized", sa.BigInteger, nullable=False),
    sa.Column("decoded", sa.BigInteger, nullable=False),
    sa.Column("total", sa.BigInteger),
    sa.Column("speed", sa.Double),
    sa.Column("left_s", sa.Double),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("generation", sa.Integer, nullable=False),
    sa.Column("fence", sa.Integer, nullable=False),
    sa.Column("owner", sa.Text),
    sa.Column("lease_until", sa.Double),
    sa.Column("cancel_requested", sa.Boolean, nullable=False),
    # Whose minutes it costs, null = nobody's; samples of it that are counted already.
    sa.Column("key_id", sa.Text),
    sa.Column("counted", sa.BigInteger),
    # W3C's traceparent of the request that queued it; null = not traced.
    sa.Column("trace", sa.Text),
    sa.Column("error_code", sa.Text),
    sa.Column("error_message", sa.Text),
    sa.Column("language", sa.Text),
    sa.Column("warnings", sa.Text, nullable=False),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("last_event", sa.Integer, nullable=False),
    sa.UniqueConstraint("tenant", "idempotency_key"),
    sa.Index(None, "created_at", "id"),
    sa.Index(None, "tenant", "created_at", "id"),
    sa.Index(None, "state", "created_at", "id"),
    sa.Index(None, "state", "tag", "id"),
    sa.Index(None, "flow", "state", "tag"),
    sa.Index(None, "finished_at"),
)
"""One row a recording."""

window = sa.Table(
    "window",
    metadata,
    _of_job(),
    sa.Column("part", sa.Integer, primary_key=True),
    sa.Column("step", sa.Text, primary_key=True),
    sa.Column("i", sa.Integer, primary_key=True),
    sa.Column("fingerprint", sa.Text, nullable=False),
    sa.Column("out", sa.LargeBinary, nullable=False),
)
"""The engine's answers of a job that is not over: (job, part, step, index). part: the channel, 0 when all are mixed."""

event = sa.Table(
    "event",
    metadata,
    _of_job(),
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("key", sa.Text),
    sa.Column("data", sa.Text, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.UniqueConstraint("job_id", "key"),
)
"""What happened to a job, for followers. key: what may happen only once (`segment:ID`)."""

transcript = sa.Table(
    "transcript",
    metadata,
    _of_job(),
    sa.Column("revision", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
)
"""Every revision of a transcript; 1 is what the models wrote."""

voice = sa.Table(
    "voice",
    metadata,
    _of_job(),
    sa.Column("speaker", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("vector", sa.LargeBinary, nullable=False),
    sa.Column("duration", sa.BigInteger, nullable=False),
)
"""How each speaker of a finished transcript sounds: (dim,) little-endian float32, L2-normalised; samples behind it."""

speaker = sa.Table(
    "speaker",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("vector", sa.LargeBinary, nullable=False),
    sa.Column("source_job", sa.Text),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Index(None, "tenant", "created_at", "id"),
)
"""Known speakers. source_job: the recording that the voice was taken from; outlives it on purpose."""

delivery = sa.Table(
    "delivery",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("job_id", sa.Text, sa.ForeignKey("job.id", ondelete="CASCADE"), nullable=False),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("event", sa.Text, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("next_at", sa.Double, nullable=False),
    sa.Column("status", sa.Integer),
    sa.Column("error", sa.Text, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("updated_at", sa.Double, nullable=False),
    sa.Index(None, "state", "next_at"),
    sa.Index(None, "job_id", "created_at"),
)
"""Webhook messages, written in the transaction that ends the job, so that none is lost; kept as the delivery log."""

upload = sa.Table(
    "upload",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("length", sa.BigInteger, nullable=False),
    sa.Column("received", sa.BigInteger, nullable=False),
    sa.Column("parts", sa.Integer, nullable=False),
    sa.Column("file_name", sa.Text, nullable=False),
    sa.Column("metadata", sa.Text, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("expires_at", sa.Double, nullable=False),
    sa.Column("job_id", sa.Text, sa.ForeignKey("job.id", ondelete="CASCADE")),
    sa.Index(None, "expires_at"),
    sa.Index(None, "job_id"),
    sa.Index(None, "tenant", "expires_at"),
)
"""Files that come in parts. received: bytes that are kept, the truth; job_id: the recording that was made of it."""

upload_part = sa.Table(
    "upload_part",
    metadata,
    sa.Column("upload_id", sa.Text, sa.ForeignKey("upload.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("start", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("blob", sa.Text, nullable=False),
    sa.Index(None, "blob"),
)
"""The parts of an upload, blobs each, without gaps. start: byte of the file."""

trash = sa.Table("trash", metadata, sa.Column("blob", sa.Text, primary_key=True))
"""Blobs whose job is deleted already: gone as soon as the blob store is told, also after a crash in between."""

worker = sa.Table(
    "worker",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("lease_until", sa.Double, nullable=False),
)
"""Leases of the workers' processes, for engines that must know who lives."""
