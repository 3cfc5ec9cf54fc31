"""Executions, and what is kept of them: attempts, transitions, logs and dead letters."""

from __future__ import annotations

import sqlalchemy as sa

from mainspring.adapters.sql.tables.building import is_, metadata, not_ended, partial, required
from mainspring.adapters.sql.types import ID, NAME, NUMBER, Instant, Json, Milliseconds, Plain, Prose, Retry, Word
from mainspring.model.execution import Actor, Cause, Failure, Status
from mainspring.model.policy import Isolation

executions = sa.Table(
    "executions",
    metadata,
    sa.Column("id", ID, primary_key=True),
    required("platform_id", NAME),
    required("handler", NAME),
    required("status", Word(Status)),
    required("cause", Word(Cause)),
    required("created_at", Instant),
    required("available_at", Instant),
    required("handler_type", sa.String(32)),
    sa.Column("job_id", ID),
    sa.Column("job_name", NAME),
    sa.Column("job_revision", sa.Integer),
    required("payload", Json),
    sa.Column("event", Json),
    sa.Column("retry_of", ID),
    required("chain_depth", sa.Integer),
    sa.Column("scheduled_at", Instant),
    sa.Column("start_deadline_at", Instant),
    required("priority", sa.Integer),
    required("queue", NAME),
    sa.Column("concurrency_key", NAME),
    sa.Column("concurrency_limit", sa.Integer),
    required("timeout_ms", Milliseconds, key="timeout"),
    required("retry", Retry),
    sa.Column("isolation", Word(Isolation)),
    sa.Column("idempotency_key", sa.Text),
    sa.Column("trace_id", sa.String(64)),
    sa.Column("span_id", sa.String(64)),
    required("buffered", sa.Boolean),
    sa.Column("blocked_by", NAME),
    sa.Column("queued_at", Instant),
    sa.Column("started_at", Instant),
    sa.Column("finished_at", Instant),
    sa.Column("deadline_at", Instant),
    sa.Column("lease_until", Instant),
    sa.Column("worker_id", NAME),
    required("attempt", sa.Integer),
    required("failures", sa.Integer),
    required("losses", sa.Integer),
    required("fence", sa.BigInteger),
    sa.Column("cancel_requested_at", Instant),
    sa.Column("cancel_reason", Prose),
    sa.Column("external_ref", sa.Text),
    sa.Column("failure", Word(Failure)),
    sa.Column("result", Json),
    sa.Column("error", Json),
    sa.Column("progress", Json),
    sa.Column("usage", Json),
    # When its turn is among equals, and the job where it is the job that holds it: kept by the database itself.
    sa.Column("turn_at", Instant, sa.Computed("coalesce(scheduled_at, created_at)", persisted=True)),
    sa.Column(
        "held_job",
        ID,
        sa.Computed("CASE WHEN blocked_by IN ('overlap', 'job') THEN coalesce(job_id, '') ELSE '' END", persisted=True),
    ),
)
_status, _e = executions.c.status, executions.c
live = is_(_status, "pending", "queued", "running", "retrying", "waiting")
ended = is_(_status, "success", "failed", "cancelled", "expired")
# The same two, as conditions that no index answers to: PostgreSQL's planner leaves partitions out for them, and cannot
# take an index by status for one by key.
unended = not_ended(_status)
unlive = _status.not_in(
    [sa.literal_column(f"'{word}'") for word in ("pending", "queued", "running", "retrying", "waiting")]
)
queued = is_(_status, "queued")
unqueued = is_(_status, "pending", "retrying")
under_way = is_(_status, "running", "waiting")
occupying = is_(_status, "queued", "running")
free = unqueued & _e.blocked_by.is_(None)
blocked = unqueued & _e.blocked_by.is_not(None)
#: The order of queues: priority, then the older instant, then the older execution.
TURN = (_e.priority.desc(), _e.turn_at, _e.id)

sa.Index("ix_executions_platform", _e.platform_id, _e.id)
sa.Index("ix_executions_status", _e.platform_id, _status, _e.id)
partial("ix_executions_job", _e.job_id, _e.id, where=_e.job_id.is_not(None))
partial("ix_executions_job_live", _e.job_id, where=live & _e.job_id.is_not(None))
partial("ix_executions_retry_of", _e.retry_of, _e.id, where=_e.retry_of.is_not(None))
partial("ix_executions_queued", _e.queue, *TURN, where=queued)
partial("ix_executions_free", _e.available_at, where=free)
partial("ix_executions_blocked", _e.platform_id, _e.blocked_by, _e.held_job, *TURN, where=blocked)
partial("ix_executions_under_way", _e.worker_id, where=under_way)
partial(
    "ix_executions_key",
    _e.platform_id,
    _e.concurrency_key,
    _e.id,
    where=occupying & _e.concurrency_key.is_not(None),
)
partial(
    "ix_executions_start_deadline",
    _e.start_deadline_at,
    where=is_(_status, "pending", "queued", "retrying") & _e.start_deadline_at.is_not(None),
)
partial("ix_executions_finished", _e.finished_at, where=_e.finished_at.is_not(None))

attempts = sa.Table(
    "attempts",
    metadata,
    sa.Column("execution_id", ID, primary_key=True),
    sa.Column("fence", sa.BigInteger, primary_key=True, autoincrement=False),
    required("attempt", sa.Integer),
    required("outcome", sa.String(32)),
    required("ended_at", Instant),
    sa.Column("worker_id", NAME),
    sa.Column("started_at", Instant),
    sa.Column("error", Json),
)

transitions = sa.Table(
    "transitions",
    metadata,
    sa.Column("number", NUMBER, primary_key=True),
    required("execution_id", ID, index=True),
    sa.Column("source", Word(Status)),
    required("to", Word(Status)),
    required("actor", Word(Actor)),
    required("fence", sa.BigInteger),
    required("at", Instant),
)

execution_logs = sa.Table(
    "execution_logs",
    metadata,
    sa.Column("execution_id", ID, primary_key=True),
    sa.Column("line", sa.Integer, primary_key=True, autoincrement=False),
    required("at", Instant),
    required("level", Plain),
    required("message", Prose),
    required("fields", Json),
    sa.Column("attempt", sa.Integer),
    required("external", sa.Boolean),
)

dead_letters = sa.Table(
    "dead_letters",
    metadata,
    sa.Column("execution_id", ID, primary_key=True),
    required("platform_id", NAME),
    required("handler", NAME),
    required("failure", Word(Failure)),
    required("created_at", Instant),
    required("fingerprint", sa.String(64)),
    sa.Column("job_id", ID),
    sa.Column("job_name", NAME),
    sa.Column("error", Json),
    required("status", sa.String(32)),
    sa.Column("resolved_at", Instant),
    sa.Column("reason", Prose),
    sa.Column("redriven_as", ID),
)
sa.Index("ix_dead_letters_status", dead_letters.c.platform_id, dead_letters.c.status, dead_letters.c.execution_id)
sa.Index("ix_dead_letters_platform", dead_letters.c.platform_id, dead_letters.c.execution_id)
