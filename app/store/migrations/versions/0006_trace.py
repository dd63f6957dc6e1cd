"""The trace that a recording was queued by."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None
compatible_since = "0003"


def upgrade() -> None:
    """Add the column of app/jobs/tables.py."""
    op.add_column("job", sa.Column("trace", sa.Text))
