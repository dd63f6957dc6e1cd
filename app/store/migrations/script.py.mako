"""${message}."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = None
depends_on = None
# The oldest revision whose code works with the schema that this leaves (docs/operations.md): that of the migration before,
# unless something is taken away here.
compatible_since = ${repr(down_revision)}


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}
