"""What a worker and its transport have done, as counters in its row.

Revision ID: 0007
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; a worker of an earlier version leaves it empty."""
    op.add_column("workers", sa.Column("stats", sa.Text(), server_default="{}", nullable=False))


def downgrade() -> None:
    """Drop it."""
    with op.batch_alter_table("workers") as batch:
        batch.drop_column("stats")
