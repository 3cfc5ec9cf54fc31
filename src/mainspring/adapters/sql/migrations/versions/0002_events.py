"""Events in full: extensions, what debounced jobs wait out, chains, webhooks and their deliveries, leases.

Revision ID: 0002
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _key(length: int) -> sa.String:
    return sa.String(length).with_variant(postgresql.VARCHAR(length, collation="C"), "postgresql")


def _partial(name: str, table: str, columns: list[str], where: str) -> None:
    condition = sa.text(where)
    op.create_index(name, table, columns, sqlite_where=condition, postgresql_where=condition)


def upgrade() -> None:
    """Add the columns and tables, and let paused event jobs be found as well."""
    for table in ("outbox", "inbox"):
        op.add_column(table, sa.Column("extensions", sa.Text(), server_default="{}", nullable=False))
    op.drop_index("ix_jobs_event", "jobs")
    _partial("ix_jobs_event", "jobs", ["platform_id", "name"], "type = 'event' AND status IN ('active', 'paused')")
    op.create_table(
        "pending_events",
        sa.Column("job_id", _key(36), nullable=False),
        sa.Column("platform_id", _key(300), nullable=False),
        sa.Column("source", _key(1024), nullable=False),
        sa.Column("event_id", _key(1024), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("job_id", name="pk_pending_events"),
    )
    op.create_table(
        "chains",
        sa.Column("execution_id", _key(36), nullable=False),
        sa.Column("job", _key(300), nullable=False),
        sa.Column("platform_id", _key(300), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("chained_id", _key(36)),
        sa.Column("problem", sa.Text()),
        sa.PrimaryKeyConstraint("execution_id", "job", name="pk_chains"),
    )
    op.create_index("ix_chains_at", "chains", ["at"])
    op.create_table(
        "leases",
        sa.Column("name", _key(300), nullable=False),
        sa.Column("holder", _key(300), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_leases"),
    )
    _webhooks()


def _webhooks() -> None:
    op.create_table(
        "webhooks",
        sa.Column("id", _key(36), nullable=False),
        sa.Column("platform_id", _key(300), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("events", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("secrets", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("disabled_reason", sa.Text()),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("failing_since", sa.BigInteger()),
        sa.Column("retry_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name="pk_webhooks"),
    )
    op.create_index("ix_webhooks_platform", "webhooks", ["platform_id", "id"])
    name = "webhook_deliveries"
    columns: list[Any] = [
        sa.Column("number", _NUMBER, nullable=False),
        sa.Column("id", _key(36), nullable=False),
        sa.Column("webhook_id", _key(36), nullable=False),
        sa.Column("platform_id", _key(300), nullable=False),
        sa.Column("event_id", _key(36), nullable=False),
        sa.Column("event_type", _key(300), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("available_at", sa.BigInteger(), nullable=False),
        sa.Column("subject", sa.Text()),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("failing_since", sa.BigInteger()),
        sa.Column("ended_at", sa.BigInteger()),
        sa.Column("detail", sa.Text()),
        sa.PrimaryKeyConstraint("number", name="pk_webhook_deliveries"),
        sa.UniqueConstraint("id", name="uq_webhook_deliveries_id"),
    ]
    op.create_table(name, *columns)
    _partial("ix_webhook_deliveries_ready", name, ["webhook_id", "available_at"], "state = 'ready'")
    _partial("ix_webhook_deliveries_open", name, ["webhook_id", "subject", "number"], "state IN ('held', 'ready')")
    op.create_index("ix_webhook_deliveries_webhook", name, ["webhook_id", "id"])
    _partial("ix_webhook_deliveries_ended", name, ["ended_at"], "ended_at IS NOT NULL")


def downgrade() -> None:
    """Drop what was added, and with it what is owed to webhooks."""
    for table in ("webhook_deliveries", "webhooks", "leases", "chains", "pending_events"):
        op.drop_table(table)
    op.drop_index("ix_jobs_event", "jobs")
    _partial("ix_jobs_event", "jobs", ["platform_id", "name"], "type = 'event' AND status = 'active'")
    for table in ("outbox", "inbox"):
        with op.batch_alter_table(table) as batch:
            batch.drop_column("extensions")
