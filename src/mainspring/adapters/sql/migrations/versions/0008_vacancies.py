"""Slots that workers lend to whoever queues work.

Revision ID: 0008
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def _key(length: int) -> sa.String:
    return sa.String(length).with_variant(postgresql.VARCHAR(length, collation="C"), "postgresql")


def upgrade() -> None:
    """Make the table: what is in it outlives no crash of the server, and need not."""
    on_postgres = op.get_bind().dialect.name == "postgresql"
    op.create_table(
        "vacancies",
        sa.Column("queue", _key(300), nullable=False),
        sa.Column("worker_id", _key(300), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("room", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("lease", sa.BigInteger(), nullable=False),
        sa.Column("handlers", sa.Text(), nullable=False),
        sa.Column("address", sa.String(64), nullable=False),
        sa.Column("execution_id", _key(36)),
        sa.Column("fence", sa.BigInteger()),
        sa.PrimaryKeyConstraint("queue", "worker_id", name="pk_vacancies"),
        prefixes=["UNLOGGED"] if on_postgres else [],
    )
    if on_postgres:
        # A row of each worker, written again and again: room for the next version beside it.
        op.execute("ALTER TABLE vacancies SET (fillfactor = 50)")


def downgrade() -> None:
    """Drop it."""
    op.drop_table("vacancies")
