"""Uploads that come in parts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables `upload` and `upload_part` of app/jobs/tables.py."""
    op.create_table(
        "upload",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("length", sa.BigInteger, nullable=False),
        sa.Column("received", sa.BigInteger, nullable=False),
        sa.Column("parts", sa.Integer, nullable=False),
        sa.Column("file_name", sa.Text, nullable=False),
        sa.Column("metadata", sa.Text, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False),
        sa.Column("job_id", sa.Text, sa.ForeignKey("job.id", name="fk_upload_job_id_job", ondelete="CASCADE")),
    )
    op.create_index("ix_upload_expires_at", "upload", ["expires_at"])
    op.create_index("ix_upload_job_id", "upload", ["job_id"])
    op.create_index("ix_upload_tenant_expires_at", "upload", ["tenant", "expires_at"])
    op.create_table(
        "upload_part",
        sa.Column(
            "upload_id",
            sa.Text,
            sa.ForeignKey("upload.id", name="fk_upload_part_upload_id_upload", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("start", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("blob", sa.Text, nullable=False),
    )
    op.create_index("ix_upload_part_blob", "upload_part", ["blob"])
