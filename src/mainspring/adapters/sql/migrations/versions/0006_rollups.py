"""Figures by span of time, kept as work goes on.

Revision ID: 0006
"""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def _key(length: int) -> sa.String:
    return sa.String(length).with_variant(postgresql.VARCHAR(length, collation="C"), "postgresql")


def upgrade() -> None:
    """Make the table; what ended before is not counted, and a note says so."""
    op.create_table(
        "rollups",
        sa.Column("key", _key(1300), nullable=False),
        sa.Column("span", sa.String(32), nullable=False),
        sa.Column("platform_id", _key(300), nullable=False),
        sa.Column("job_id", _key(36), nullable=False),
        sa.Column("queue", _key(300), nullable=False),
        sa.Column("handler", _key(300), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("counts", sa.Text(), nullable=False),
        sa.Column("durations", sa.Text(), nullable=False),
        sa.Column("delays", sa.Text(), nullable=False),
        sa.Column("first_at", sa.BigInteger()),
        sa.Column("last_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("key", name="pk_rollups"),
    )
    op.create_index("ix_rollups_platform_id", "rollups", ["platform_id", "span", "job_id", "at"])
    op.create_index("ix_rollups_span", "rollups", ["span", "at"])
    now = datetime.now(UTC).isoformat()  # noqa: TID251 - a migration runs outside of any transaction of a store
    ended = sa.text("INSERT INTO notes SELECT 'rollups_since', :now WHERE EXISTS (SELECT 1 FROM executions)")
    op.execute(ended.bindparams(now=now))
    if op.get_bind().dialect.name == "postgresql":
        # Few rows, each written again and again: room for the next version beside it, and no index to touch.
        op.execute("ALTER TABLE rollups SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02)")


def downgrade() -> None:
    """Drop it."""
    op.drop_table("rollups")
