"""API keys, tokens, links for viewers, usage and the audit log; whose a live session is."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def _keys() -> None:
    op.create_table(
        "api_key",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("hash", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("requests_per_minute", sa.Integer, nullable=False),
        sa.Column("concurrency", sa.Integer, nullable=False),
        sa.Column("audio_minutes_per_day", sa.Integer, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("expires_at", sa.Double),
        sa.Column("revoked_at", sa.Double),
        sa.Column("replaced_by", sa.Text),
    )
    op.create_index("ix_api_key_tenant_created_at", "api_key", ["tenant", "created_at"])
    op.create_table(
        "access_token",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("hash", sa.Text, nullable=False),
        sa.Column("key_id", sa.Text, nullable=False),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("path", sa.Text),
        sa.Column("expires_at", sa.Double, nullable=False),
    )
    op.create_index("ix_access_token_expires_at", "access_token", ["expires_at"])


def _shares() -> None:
    op.create_table(
        "share",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("hash", sa.Text, nullable=False),
        sa.Column("session", sa.Text, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False),
        sa.Column("revoked_at", sa.Double),
    )
    op.create_index("ix_share_session", "share", ["session"])


def _logs() -> None:
    op.create_table(
        "key_usage",
        sa.Column("key_id", sa.Text, primary_key=True),
        sa.Column("day", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("audio_s", sa.Double, nullable=False),
    )
    op.create_table(
        "audit",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
    )
    op.create_index("ix_audit_tenant_id", "audit", ["tenant", "id"])


def upgrade() -> None:
    """Make the tables of app/access/tables.py, and the live sessions' new columns."""
    _keys()
    _shares()
    _logs()
    op.add_column("live_session", sa.Column("tenant", sa.Text, nullable=False, server_default=""))
    op.add_column("live_session", sa.Column("share_until_s", sa.Double))
