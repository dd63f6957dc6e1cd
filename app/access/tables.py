"""The tables of access, as the queries see them; made by app/store/migrations. Secrets are stored hashed."""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData()

api_key = sa.Table(
    "api_key",
    metadata,
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
    sa.Index("ix_api_key_tenant_created_at", "tenant", "created_at"),
)
"""API keys. scopes: names joined by spaces."""

access_token = sa.Table(
    "access_token",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("hash", sa.Text, nullable=False),
    sa.Column("key_id", sa.Text, nullable=False),
    sa.Column("scopes", sa.Text, nullable=False),
    sa.Column("path", sa.Text),
    sa.Column("expires_at", sa.Double, nullable=False),
    sa.Index("ix_access_token_expires_at", "expires_at"),
)
"""Tokens that were handed out and not used. path: the one that it opens, any number of times; None = used up by use."""

share = sa.Table(
    "share",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("hash", sa.Text, nullable=False),
    sa.Column("session", sa.Text, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("expires_at", sa.Double, nullable=False),
    sa.Column("revoked_at", sa.Double),
    sa.Index("ix_share_session", "session"),
)
"""Links to a live session for viewers."""

usage = sa.Table(
    "key_usage",
    metadata,
    sa.Column("key_id", sa.Text, primary_key=True),
    sa.Column("day", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("audio_s", sa.Double, nullable=False),
)
"""Seconds of sound that a key handed in. day: days since 1970, UTC."""

audit = sa.Table(
    "audit",
    metadata,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("target", sa.Text, nullable=False),
    sa.Index("ix_audit_tenant_id", "tenant", "id"),
)
"""Who did what to what. actor: a key's id, `cli`, or '' where access is open; never a name, a text or a secret."""
