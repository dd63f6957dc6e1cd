"""Live sessions: what a resume goes on from, and the events that were sent."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables of app/transport/live/sql_store.py."""
    op.create_table(
        "live_session",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("token_hash", sa.String(64), nullable=False, unique=True),
        sa.Column("share_hash", sa.String(64), nullable=False),
        sa.Column("asked", sa.Text, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("checkpoint_samples", sa.BigInteger, nullable=False),
        sa.Column("checkpoint_revision", sa.Integer, nullable=False),
        sa.Column("snapshot", sa.LargeBinary, nullable=False),
        sa.Column("expires_s", sa.Float(53), nullable=False),
        sa.Column("done", sa.Text),
    )
    op.create_index("live_session_expires", "live_session", ["state", "expires_s"])
    op.create_table(
        "live_event",
        sa.Column("session", sa.String(64), primary_key=True),
        sa.Column("revision", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("body", sa.Text, nullable=False),
    )
