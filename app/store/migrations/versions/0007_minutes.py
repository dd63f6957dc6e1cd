"""Whose minutes a recording costs, and how much of it is counted."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None
compatible_since = "0003"


def upgrade() -> None:
    """Add the columns of app/jobs/tables.py."""
    op.add_column("job", sa.Column("key_id", sa.Text))
    op.add_column("job", sa.Column("counted", sa.BigInteger))
