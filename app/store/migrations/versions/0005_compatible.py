"""Which code works with the schema: what lets replicas of two versions share a database."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None
compatible_since = "0003"


def upgrade() -> None:
    """Make the table of app/store/migrate.py, which fills it."""
    op.create_table("schema_compatible", sa.Column("since", sa.Text, primary_key=True))
