"""Events whose consequences are done while the bus is away.

Revision ID: 0005
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_INDEX = "ix_outbox_unapplied"


def upgrade() -> None:
    """Add the mark, and the index that finds what lacks it."""
    op.add_column("outbox", sa.Column("applied", sa.Boolean(), server_default=sa.false(), nullable=False))
    if op.get_bind().dialect.name == "postgresql":
        # Only the part that is not published is ever asked.
        op.create_index(_INDEX, "outbox_unpublished", ["number"], postgresql_where=sa.text("NOT applied"))
    else:
        op.create_index(_INDEX, "outbox", ["number"], sqlite_where=sa.text("published_at IS NULL AND applied = 0"))


def downgrade() -> None:
    """Drop both."""
    op.drop_index(_INDEX, "outbox_unpublished" if op.get_bind().dialect.name == "postgresql" else "outbox")
    with op.batch_alter_table("outbox") as batch:
        batch.drop_column("applied")
