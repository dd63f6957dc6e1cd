"""Recordings as jobs, their answers, events, transcripts, voices, and webhooks."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def _job() -> None:
    op.create_table(
        "job",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
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
        sa.Column("error_code", sa.Text),
        sa.Column("error_message", sa.Text),
        sa.Column("language", sa.Text),
        sa.Column("warnings", sa.Text, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("last_event", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_job"),
        sa.UniqueConstraint("tenant", "idempotency_key", name="uq_job_tenant_idempotency_key"),
    )
    op.create_index("ix_job_created_at_id", "job", ["created_at", "id"])
    op.create_index("ix_job_finished_at", "job", ["finished_at"])
    op.create_index("ix_job_flow_state_tag", "job", ["flow", "state", "tag"])
    op.create_index("ix_job_state_created_at_id", "job", ["state", "created_at", "id"])
    op.create_index("ix_job_state_tag_id", "job", ["state", "tag", "id"])
    op.create_index("ix_job_tenant_created_at_id", "job", ["tenant", "created_at", "id"])


def _speaker() -> None:
    op.create_table(
        "speaker",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("vector", sa.LargeBinary, nullable=False),
        sa.Column("source_job", sa.Text),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_speaker"),
    )
    op.create_index("ix_speaker_tenant_created_at_id", "speaker", ["tenant", "created_at", "id"])


def _trash() -> None:
    op.create_table(
        "trash",
        sa.Column("blob", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("blob", name="pk_trash"),
    )


def _worker() -> None:
    op.create_table(
        "worker",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("lease_until", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_worker"),
    )


def _delivery() -> None:
    op.create_table(
        "delivery",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("job_id", sa.Text, nullable=False),
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
        sa.PrimaryKeyConstraint("id", name="pk_delivery"),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name="fk_delivery_job_id", ondelete="CASCADE"),
    )
    op.create_index("ix_delivery_job_id_created_at", "delivery", ["job_id", "created_at"])
    op.create_index("ix_delivery_state_next_at", "delivery", ["state", "next_at"])


def _event() -> None:
    op.create_table(
        "event",
        sa.Column("job_id", sa.Text, nullable=False),
        sa.Column("id", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("key", sa.Text),
        sa.Column("data", sa.Text, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("job_id", "id", name="pk_event"),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name="fk_event_job_id", ondelete="CASCADE"),
        sa.UniqueConstraint("job_id", "key", name="uq_event_job_id_key"),
    )


def _transcript() -> None:
    op.create_table(
        "transcript",
        sa.Column("job_id", sa.Text, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("job_id", "revision", name="pk_transcript"),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name="fk_transcript_job_id", ondelete="CASCADE"),
    )


def _voice() -> None:
    op.create_table(
        "voice",
        sa.Column("job_id", sa.Text, nullable=False),
        sa.Column("speaker", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("vector", sa.LargeBinary, nullable=False),
        sa.Column("duration", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("job_id", "speaker", name="pk_voice"),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name="fk_voice_job_id", ondelete="CASCADE"),
    )


def _window() -> None:
    op.create_table(
        "window",
        sa.Column("job_id", sa.Text, nullable=False),
        sa.Column("part", sa.Integer, nullable=False),
        sa.Column("step", sa.Text, nullable=False),
        sa.Column("i", sa.Integer, nullable=False),
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column("out", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("job_id", "part", "step", "i", name="pk_window"),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name="fk_window_job_id", ondelete="CASCADE"),
    )


def upgrade() -> None:
    _job()
    _speaker()
    _trash()
    _worker()
    _delivery()
    _event()
    _transcript()
    _voice()
    _window()
