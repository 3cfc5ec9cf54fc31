"""The first tables.

Revision ID: 0001
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _key(length: int) -> sa.String:
    return sa.String(length).with_variant(postgresql.VARCHAR(length, collation="C"), "postgresql")


def _index(name: str, table: str, columns: list[Any], *, where: str | None = None, unique: bool = False) -> None:
    if where is None:
        op.create_index(name, table, columns, unique=unique)
    else:
        condition = sa.text(where)
        op.create_index(name, table, columns, unique=unique, sqlite_where=condition, postgresql_where=condition)


def upgrade() -> None:
    """Make every table and its indexes."""
    op.create_table(
        "attempts",
        sa.Column("execution_id", _key(36), nullable=False),
        sa.Column("fence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.String(length=32), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=False),
        sa.Column("worker_id", _key(300)),
        sa.Column("started_at", sa.BigInteger()),
        sa.Column("error", sa.Text()),
        sa.PrimaryKeyConstraint("execution_id", "fence", name="pk_attempts"),
    )
    op.create_table(
        "calendar_dates",
        sa.Column("platform_id", _key(300), nullable=False),
        sa.Column("calendar", _key(300), nullable=False),
        sa.Column("date", sa.String(length=10), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("platform_id", "calendar", "date", name="pk_calendar_dates"),
    )
    op.create_table(
        "calendars",
        sa.Column("platform_id", _key(300), nullable=False),
        sa.Column("name", _key(300), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("platform_id", "name", name="pk_calendars"),
    )
    op.create_table(
        "dead_letters",
        sa.Column("execution_id", _key(36), nullable=False),
        sa.Column("platform_id", _key(300), nullable=False),
        sa.Column("handler", _key(300), nullable=False),
        sa.Column("failure", sa.String(length=32), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("job_id", _key(36)),
        sa.Column("job_name", _key(300)),
        sa.Column("error", sa.Text()),
        sa.Column("status", sa.String(length=32), nullable=False),
        sa.Column("resolved_at", sa.BigInteger()),
        sa.Column("reason", sa.Text()),
        sa.Column("redriven_as", _key(36)),
        sa.PrimaryKeyConstraint("execution_id", name="pk_dead_letters"),
    )
    _index("ix_dead_letters_platform", "dead_letters", ["platform_id", "execution_id"])
    _index("ix_dead_letters_status", "dead_letters", ["platform_id", "status", "execution_id"])
    op.create_table(
        "decisions",
        sa.Column("job_id", _key(36), nullable=False),
        sa.Column("platform_id", _key(300), nullable=False),
        sa.Column("scheduled_at", sa.BigInteger(), nullable=False),
        sa.Column("decision", sa.String(length=32), nullable=False),
        sa.Column("decided_at", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("key", _key(1024), nullable=False),
        sa.Column("late_ms", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("dispatcher_id", sa.String(length=64)),
        sa.Column("execution_id", _key(36)),
        sa.Column("into_at", sa.BigInteger()),
        sa.Column("until_at", sa.BigInteger()),
        sa.Column("count", sa.BigInteger()),
        sa.PrimaryKeyConstraint("job_id", "scheduled_at", "key", name="pk_decisions"),
        sqlite_with_rowid=False,
    )
    _index("ix_decisions_execution", "decisions", ["execution_id"], where="execution_id IS NOT NULL")
    _index("ix_decisions_range", "decisions", ["job_id", "key", "scheduled_at"], where="until_at IS NOT NULL")
    op.create_table(
        "dispatchers",
        sa.Column("id", _key(300), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.String(length=64), nullable=False),
        sa.Column("tzdb_version", sa.String(length=32), nullable=False),
        sa.Column("status", sa.String(length=32), nullable=False),
        sa.Column("stats", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_dispatchers"),
    )
    op.create_table(
        "execution_logs",
        sa.Column("execution_id", _key(36), nullable=False),
        sa.Column("line", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("level", _key(300), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("fields", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer()),
        sa.Column("external", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("execution_id", "line", name="pk_execution_logs"),
    )
    op.create_table(
        "executions",
        sa.Column("id", _key(36), nullable=False),
        sa.Column("platform_id", _key(300), nullable=False),
        sa.Column("handler", _key(300), nullable=False),
        sa.Column("status", sa.String(length=32), nullable=False),
        sa.Column("cause", sa.String(length=32), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("available_at", sa.BigInteger(), nullable=False),
        sa.Column("handler_type", sa.String(length=32), nullable=False),
        sa.Column("job_id", _key(36)),
        sa.Column("job_name", _key(300)),
        sa.Column("job_revision", sa.Integer()),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("event", sa.Text()),
        sa.Column("retry_of", _key(36)),
        sa.Column("chain_depth", sa.Integer(), nullable=False),
        sa.Column("scheduled_at", sa.BigInteger()),
        sa.Column("start_deadline_at", sa.BigInteger()),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("queue", _key(300), nullable=False),
        sa.Column("concurrency_key", _key(300)),
        sa.Column("concurrency_limit", sa.Integer()),
        sa.Column("timeout_ms", sa.BigInteger(), nullable=False),
        sa.Column("retry", sa.Text(), nullable=False),
        sa.Column("isolation", sa.String(length=32)),
        sa.Column("idempotency_key", sa.Text()),
        sa.Column("trace_id", sa.String(length=64)),
        sa.Column("span_id", sa.String(length=64)),
        sa.Column("buffered", sa.Boolean(), nullable=False),
        sa.Column("blocked_by", _key(300)),
        sa.Column("queued_at", sa.BigInteger()),
        sa.Column("started_at", sa.BigInteger()),
        sa.Column("finished_at", sa.BigInteger()),
        sa.Column("deadline_at", sa.BigInteger()),
        sa.Column("lease_until", sa.BigInteger()),
        sa.Column("worker_id", _key(300)),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("losses", sa.Integer(), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("cancel_requested_at", sa.BigInteger()),
        sa.Column("cancel_reason", sa.Text()),
        sa.Column("external_ref", sa.Text()),
        sa.Column("failure", sa.String(length=32)),
        sa.Column("result", sa.Text()),
        sa.Column("error", sa.Text()),
        sa.Column("progress", sa.Text()),
        sa.Column("usage", sa.Text()),
        sa.Column("turn_at", sa.BigInteger(), sa.Computed("coalesce(scheduled_at, created_at)", persisted=True)),
        sa.Column(
            "held_job",
            _key(36),
            sa.Computed(
                "CASE WHEN blocked_by IN ('overlap', 'job') THEN coalesce(job_id, '') ELSE '' END", persisted=True
            ),
        ),
        sa.PrimaryKeyConstraint("id", name="pk_executions"),
    )
    _index(
        "ix_executions_blocked",
        "executions",
        ["platform_id", "blocked_by", "held_job", sa.text("priority DESC"), "turn_at", "id"],
        where="status IN ('pending', 'retrying') AND blocked_by IS NOT NULL",
    )
    _index("ix_executions_finished", "executions", ["finished_at"], where="finished_at IS NOT NULL")
    _index(
        "ix_executions_free",
        "executions",
        ["available_at"],
        where="status IN ('pending', 'retrying') AND blocked_by IS NULL",
    )
    _index("ix_executions_job", "executions", ["job_id", "id"], where="job_id IS NOT NULL")
    _index(
        "ix_executions_job_live",
        "executions",
        ["job_id"],
        where="status IN ('pending', 'queued', 'running', 'retrying', 'waiting') AND job_id IS NOT NULL",
    )
    _index(
        "ix_executions_key",
        "executions",
        ["platform_id", "concurrency_key", "id"],
        where="status IN ('queued', 'running') AND concurrency_key IS NOT NULL",
    )
    _index("ix_executions_platform", "executions", ["platform_id", "id"])
    _index(
        "ix_executions_queued",
        "executions",
        ["queue", sa.text("priority DESC"), "turn_at", "id"],
        where="status = 'queued'",
    )
    _index(
        "ix_executions_queued_at", "executions", ["platform_id", "queue", "queued_at"], where="queued_at IS NOT NULL"
    )
    _index("ix_executions_retry_of", "executions", ["retry_of", "id"], where="retry_of IS NOT NULL")
    _index(
        "ix_executions_start_deadline",
        "executions",
        ["start_deadline_at"],
        where="status IN ('pending', 'queued', 'retrying') AND start_deadline_at IS NOT NULL",
    )
    _index("ix_executions_status", "executions", ["platform_id", "status", "id"])
    _index("ix_executions_under_way", "executions", ["worker_id"], where="status IN ('running', 'waiting')")
    op.create_table(
        "handlers",
        sa.Column("name", _key(300), nullable=False),
        sa.Column("type", sa.String(length=32), nullable=False),
        sa.Column("announced_at", sa.BigInteger(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("schema", sa.Text(), nullable=False),
        sa.Column("defaults", sa.Text(), nullable=False),
        sa.Column("platform_id", _key(300), nullable=False),
        sa.PrimaryKeyConstraint("name", "platform_id", name="pk_handlers"),
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("platform_id", _key(300), nullable=False),
        sa.Column("key", _key(1024), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("request_hash", sa.String(length=128), nullable=False),
        sa.Column("execution_id", _key(36), nullable=False),
        sa.PrimaryKeyConstraint("platform_id", "key", name="pk_idempotency_keys"),
    )
    _index("ix_idempotency_keys_created_at", "idempotency_keys", ["created_at"])
    op.create_table(
        "inbox",
        sa.Column("id", _key(1024), nullable=False),
        sa.Column("type", _key(300), nullable=False),
        sa.Column("platform_id", _key(300), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("source", _key(1024), nullable=False),
        sa.Column("subject", sa.Text()),
        sa.Column("data", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", "platform_id", "source", name="pk_inbox"),
    )
    op.create_table(
        "job_revisions",
        sa.Column("job_id", _key(36), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("definition", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("job_id", "revision", name="pk_job_revisions"),
    )
    op.create_table(
        "job_stats",
        sa.Column("job_id", _key(36), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("success", sa.BigInteger(), nullable=False),
        sa.Column("failed", sa.BigInteger(), nullable=False),
        sa.Column("skipped", sa.BigInteger(), nullable=False),
        sa.Column("duration_ms", sa.BigInteger(), nullable=False),
        sa.Column("consecutive_failures", sa.BigInteger(), nullable=False),
        sa.Column("last_run_at", sa.BigInteger()),
        sa.Column("last_status", sa.String(length=32)),
        sa.PrimaryKeyConstraint("job_id", name="pk_job_stats"),
    )
    op.create_table(
        "jobs",
        sa.Column("id", _key(36), nullable=False),
        sa.Column("platform_id", _key(300), nullable=False),
        sa.Column("definition", sa.Text(), nullable=False),
        sa.Column("status", sa.String(length=32), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("cursor_at", sa.BigInteger(), nullable=False),
        sa.Column("next_run_at", sa.BigInteger()),
        sa.Column("cursor_wall", sa.String(length=32)),
        sa.Column("tzdb_version", sa.String(length=32)),
        sa.Column("scheduled_count", sa.BigInteger(), nullable=False),
        sa.Column("status_reason", sa.Text()),
        sa.Column("paused_at", sa.BigInteger()),
        sa.Column("paused_until", sa.BigInteger()),
        sa.Column("name", _key(300), nullable=False),
        sa.Column("type", sa.String(length=32), nullable=False),
        sa.Column("handler", _key(300), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_jobs"),
    )
    _index("ix_jobs_archived", "jobs", ["platform_id", "name", "id"], where="status = 'archived'")
    _index("ix_jobs_due", "jobs", ["next_run_at", "id"], where="status = 'active' AND next_run_at IS NOT NULL")
    _index("ix_jobs_event", "jobs", ["platform_id", "name"], where="type = 'event' AND status = 'active'")
    _index("ix_jobs_paused", "jobs", ["paused_until"], where="status = 'paused' AND paused_until IS NOT NULL")
    _index("uq_jobs_platform_id_name", "jobs", ["platform_id", "name"], unique=True, where="status != 'archived'")
    op.create_table(
        "limits",
        sa.Column("platform_id", _key(300), nullable=False),
        sa.Column("scope", _key(32), nullable=False),
        sa.Column("name", _key(300), nullable=False),
        sa.Column("max_running", sa.BigInteger()),
        sa.Column("rate", sa.BigInteger()),
        sa.Column("rate_per", sa.Double(), nullable=False),
        sa.Column("max_pending", sa.BigInteger()),
        sa.Column("max_jobs", sa.BigInteger()),
        sa.Column("min_interval_ms", sa.BigInteger()),
        sa.PrimaryKeyConstraint("platform_id", "scope", "name", name="pk_limits"),
    )
    op.create_table(
        "notes",
        sa.Column("name", _key(300), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_notes"),
    )
    op.create_table(
        "outbox",
        sa.Column("number", _NUMBER, nullable=False),
        sa.Column("id", _key(36), nullable=False),
        sa.Column("type", _key(300), nullable=False),
        sa.Column("platform_id", _key(300), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text()),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("published_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("number", name="pk_outbox"),
        sa.UniqueConstraint("id", name="uq_outbox_id"),
    )
    _index("ix_outbox_published", "outbox", ["published_at"], where="published_at IS NOT NULL")
    _index("ix_outbox_unpublished", "outbox", ["number"], where="published_at IS NULL")
    op.create_table(
        "platforms",
        sa.Column("id", _key(300), nullable=False),
        sa.Column("timezone", sa.String(length=64)),
        sa.PrimaryKeyConstraint("id", name="pk_platforms"),
    )
    op.create_table(
        "transitions",
        sa.Column("number", _NUMBER, nullable=False),
        sa.Column("execution_id", _key(36), nullable=False),
        sa.Column("source", sa.String(length=32)),
        sa.Column("to", sa.String(length=32), nullable=False),
        sa.Column("actor", sa.String(length=32), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_transitions"),
    )
    _index("ix_transitions_execution_id", "transitions", ["execution_id"])
    op.create_table(
        "workers",
        sa.Column("id", _key(300), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.String(length=64), nullable=False),
        sa.Column("queues", sa.Text(), nullable=False),
        sa.Column("handlers", sa.Text(), nullable=False),
        sa.Column("status", sa.String(length=32), nullable=False),
        sa.Column("running", sa.Integer(), nullable=False),
        sa.Column("poisoned", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_workers"),
    )


def downgrade() -> None:
    """Drop every table, and with them all that is recorded."""
    for table in (
        "attempts",
        "calendar_dates",
        "calendars",
        "dead_letters",
        "decisions",
        "dispatchers",
        "execution_logs",
        "executions",
        "handlers",
        "idempotency_keys",
        "inbox",
        "job_revisions",
        "job_stats",
        "jobs",
        "limits",
        "notes",
        "outbox",
        "platforms",
        "transitions",
        "workers",
    ):
        op.drop_table(table)
