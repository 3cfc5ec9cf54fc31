"""The tables. Columns carry the names of the fields of `mainspring.model`, in their order; durations end in ``_ms``.

There are no foreign keys: what belongs together is written and deleted in one transaction by one method, and checking
would cost every insert. Indexes on rows that move are partial, so that history does not weigh on what is live. A
query only uses a partial index if it repeats the index's condition word for word: take `live`, `queued` and their
like from here.

On PostgreSQL five of these are partitioned (see `partitions`), which the queries need not know but for one thing: one
that is to stay out of what has ended names the statuses it means as words of the statement, not as parameters.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from mainspring.adapters.sql.types import (
    ID,
    NAME,
    NUMBER,
    Day,
    Definition,
    ForAll,
    Instant,
    Json,
    Milliseconds,
    Plain,
    Prose,
    Retry,
    Wall,
    Word,
    Words,
    key,
)
from mainspring.model.access import Role
from mainspring.model.admin import OperationStatus
from mainspring.model.decision import Verdict
from mainspring.model.execution import Actor, Cause, Failure, Status
from mainspring.model.job import JobStatus, JobType
from mainspring.model.policy import Isolation
from mainspring.model.webhook import DeliveryState

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _required(name: str, kind: Any, **options: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False, **options)


def _partial(name: str, *columns: Any, where: sa.ColumnElement[bool], unique: bool = False) -> sa.Index:
    return sa.Index(name, *columns, sqlite_where=where, postgresql_where=where, unique=unique)


def is_(column: sa.ColumnElement[Any], *words: str) -> sa.ColumnElement[bool]:
    """Return a condition with its words written out, as the conditions of partial indexes are."""
    literals: list[sa.ColumnElement[Any]] = [sa.literal_column(f"'{word}'") for word in words]
    return column == literals[0] if len(literals) == 1 else column.in_(literals)


def still(column: sa.ColumnElement[Any], *words: str) -> sa.ColumnElement[bool]:
    """Return a condition no index is asked for: for a row that is looked up by its key, and then has to be so."""
    return sa.or_(*(column.is_not_distinct_from(sa.literal_column(f"'{word}'")) for word in words))


def not_ended(status: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
    """Return the condition `unended`, for a status under another name."""
    return status.not_in([sa.literal_column(f"'{word}'") for word in ("success", "failed", "cancelled", "expired")])


# -- jobs --------------------------------------------------------------------------------------------------------

jobs = sa.Table(
    "jobs",
    metadata,
    sa.Column("id", ID, primary_key=True),
    _required("platform_id", NAME),
    _required("definition", Definition),
    _required("status", Word(JobStatus)),
    _required("revision", sa.Integer),
    _required("created_at", Instant),
    _required("updated_at", Instant),
    _required("cursor_at", Instant),
    sa.Column("next_run_at", Instant),
    sa.Column("cursor_wall", Wall),
    sa.Column("tzdb_version", sa.String(32)),
    _required("scheduled_count", sa.BigInteger),
    sa.Column("status_reason", Prose),
    sa.Column("paused_at", Instant),
    sa.Column("paused_until", Instant),
    # Out of the definition, to search by.
    _required("name", NAME),
    _required("type", Word(JobType)),
    _required("handler", NAME),
)
kept_job = jobs.c.status != sa.literal_column("'archived'")
archived_job = is_(jobs.c.status, "archived")
due_job = is_(jobs.c.status, "active") & jobs.c.next_run_at.is_not(None)
paused_job = is_(jobs.c.status, "paused") & jobs.c.paused_until.is_not(None)
event_job = is_(jobs.c.type, "event") & is_(jobs.c.status, "active", "paused")
_partial("uq_jobs_platform_id_name", jobs.c.platform_id, jobs.c.name, where=kept_job, unique=True)
_partial("ix_jobs_archived", jobs.c.platform_id, jobs.c.name, jobs.c.id, where=archived_job)
_partial("ix_jobs_due", jobs.c.next_run_at, jobs.c.id, where=due_job)
_partial("ix_jobs_paused", jobs.c.paused_until, where=paused_job)
_partial("ix_jobs_event", jobs.c.platform_id, jobs.c.name, where=event_job)

job_revisions = sa.Table(
    "job_revisions",
    metadata,
    sa.Column("job_id", ID, primary_key=True),
    sa.Column("revision", sa.Integer, primary_key=True),
    _required("at", Instant),
    _required("actor", sa.Text),
    _required("definition", Definition),
)

job_stats = sa.Table(
    "job_stats",
    metadata,
    sa.Column("job_id", ID, primary_key=True),
    _required("total", sa.BigInteger),
    _required("success", sa.BigInteger),
    _required("failed", sa.BigInteger),
    _required("skipped", sa.BigInteger),
    _required("duration_ms", Milliseconds, key="duration"),
    _required("consecutive_failures", sa.BigInteger),
    sa.Column("last_run_at", Instant),
    sa.Column("last_status", Word(Status)),
)

decisions = sa.Table(
    "decisions",
    metadata,
    sa.Column("job_id", ID, primary_key=True),
    _required("platform_id", NAME),
    sa.Column("scheduled_at", Instant, primary_key=True),
    _required("decision", Word(Verdict)),
    _required("decided_at", Instant),
    _required("revision", sa.Integer),
    sa.Column("key", key(1024), primary_key=True),
    _required("late_ms", Milliseconds, key="late"),
    _required("reason", Json),
    sa.Column("dispatcher_id", sa.String(64)),
    sa.Column("execution_id", ID),
    sa.Column("into_at", Instant),
    sa.Column("until_at", Instant),
    sa.Column("count", sa.BigInteger),
    sqlite_with_rowid=False,  # the rows lie in the order of the key, which is how they are asked for
)
is_range = decisions.c.until_at.is_not(None)
of_execution = decisions.c.execution_id.is_not(None)
_partial("ix_decisions_range", decisions.c.job_id, decisions.c.key, decisions.c.scheduled_at, where=is_range)
_partial("ix_decisions_execution", decisions.c.execution_id, where=of_execution)
# Where rows are deleted one by one. PostgreSQL has it on the rows outside all partitions alone.
sa.Index("ix_decisions_decided", decisions.c.decided_at).ddl_if(dialect="sqlite")

# -- executions --------------------------------------------------------------------------------------------------

executions = sa.Table(
    "executions",
    metadata,
    sa.Column("id", ID, primary_key=True),
    _required("platform_id", NAME),
    _required("handler", NAME),
    _required("status", Word(Status)),
    _required("cause", Word(Cause)),
    _required("created_at", Instant),
    _required("available_at", Instant),
    _required("handler_type", sa.String(32)),
    sa.Column("job_id", ID),
    sa.Column("job_name", NAME),
    sa.Column("job_revision", sa.Integer),
    _required("payload", Json),
    sa.Column("event", Json),
    sa.Column("retry_of", ID),
    _required("chain_depth", sa.Integer),
    sa.Column("scheduled_at", Instant),
    sa.Column("start_deadline_at", Instant),
    _required("priority", sa.Integer),
    _required("queue", NAME),
    sa.Column("concurrency_key", NAME),
    sa.Column("concurrency_limit", sa.Integer),
    _required("timeout_ms", Milliseconds, key="timeout"),
    _required("retry", Retry),
    sa.Column("isolation", Word(Isolation)),
    sa.Column("idempotency_key", sa.Text),
    sa.Column("trace_id", sa.String(64)),
    sa.Column("span_id", sa.String(64)),
    _required("buffered", sa.Boolean),
    sa.Column("blocked_by", NAME),
    sa.Column("queued_at", Instant),
    sa.Column("started_at", Instant),
    sa.Column("finished_at", Instant),
    sa.Column("deadline_at", Instant),
    sa.Column("lease_until", Instant),
    sa.Column("worker_id", NAME),
    _required("attempt", sa.Integer),
    _required("failures", sa.Integer),
    _required("losses", sa.Integer),
    _required("fence", sa.BigInteger),
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
_partial("ix_executions_job", _e.job_id, _e.id, where=_e.job_id.is_not(None))
_partial("ix_executions_job_live", _e.job_id, where=live & _e.job_id.is_not(None))
_partial("ix_executions_retry_of", _e.retry_of, _e.id, where=_e.retry_of.is_not(None))
_partial("ix_executions_queued", _e.queue, *TURN, where=queued)
_partial("ix_executions_free", _e.available_at, where=free)
_partial("ix_executions_blocked", _e.platform_id, _e.blocked_by, _e.held_job, *TURN, where=blocked)
_partial("ix_executions_under_way", _e.worker_id, where=under_way)
_partial(
    "ix_executions_key",
    _e.platform_id,
    _e.concurrency_key,
    _e.id,
    where=occupying & _e.concurrency_key.is_not(None),
)
_partial(
    "ix_executions_start_deadline",
    _e.start_deadline_at,
    where=is_(_status, "pending", "queued", "retrying") & _e.start_deadline_at.is_not(None),
)
_partial("ix_executions_finished", _e.finished_at, where=_e.finished_at.is_not(None))

attempts = sa.Table(
    "attempts",
    metadata,
    sa.Column("execution_id", ID, primary_key=True),
    sa.Column("fence", sa.BigInteger, primary_key=True, autoincrement=False),
    _required("attempt", sa.Integer),
    _required("outcome", sa.String(32)),
    _required("ended_at", Instant),
    sa.Column("worker_id", NAME),
    sa.Column("started_at", Instant),
    sa.Column("error", Json),
)

transitions = sa.Table(
    "transitions",
    metadata,
    sa.Column("number", NUMBER, primary_key=True),
    _required("execution_id", ID, index=True),
    sa.Column("source", Word(Status)),
    _required("to", Word(Status)),
    _required("actor", Word(Actor)),
    _required("fence", sa.BigInteger),
    _required("at", Instant),
)

execution_logs = sa.Table(
    "execution_logs",
    metadata,
    sa.Column("execution_id", ID, primary_key=True),
    sa.Column("line", sa.Integer, primary_key=True, autoincrement=False),
    _required("at", Instant),
    _required("level", Plain),
    _required("message", Prose),
    _required("fields", Json),
    sa.Column("attempt", sa.Integer),
    _required("external", sa.Boolean),
)

dead_letters = sa.Table(
    "dead_letters",
    metadata,
    sa.Column("execution_id", ID, primary_key=True),
    _required("platform_id", NAME),
    _required("handler", NAME),
    _required("failure", Word(Failure)),
    _required("created_at", Instant),
    _required("fingerprint", sa.String(64)),
    sa.Column("job_id", ID),
    sa.Column("job_name", NAME),
    sa.Column("error", Json),
    _required("status", sa.String(32)),
    sa.Column("resolved_at", Instant),
    sa.Column("reason", Prose),
    sa.Column("redriven_as", ID),
)
sa.Index("ix_dead_letters_status", dead_letters.c.platform_id, dead_letters.c.status, dead_letters.c.execution_id)
sa.Index("ix_dead_letters_platform", dead_letters.c.platform_id, dead_letters.c.execution_id)

# -- events ------------------------------------------------------------------------------------------------------

outbox = sa.Table(
    "outbox",
    metadata,
    sa.Column("number", NUMBER, primary_key=True),
    _required("id", ID, unique=True),
    _required("type", Plain),
    _required("platform_id", NAME),
    _required("at", Instant),
    _required("source", sa.Text),
    sa.Column("subject", sa.Text),
    _required("data", Json),
    sa.Column("published_at", Instant),
    _required("extensions", Json, server_default="{}"),
    # What follows from it is done although it is not published: the bus is away.
    _required("applied", sa.Boolean, server_default=sa.false()),
)
unpublished = outbox.c.published_at.is_(None)
unapplied = unpublished & ~outbox.c.applied
_partial("ix_outbox_unpublished", outbox.c.number, where=unpublished)
_partial("ix_outbox_unapplied", outbox.c.number, where=unapplied)
_partial("ix_outbox_published", outbox.c.published_at, where=outbox.c.published_at.is_not(None))

inbox = sa.Table(
    "inbox",
    metadata,
    sa.Column("id", key(1024), primary_key=True),
    _required("type", Plain),
    sa.Column("platform_id", NAME, primary_key=True),
    _required("at", Instant),
    sa.Column("source", key(1024), primary_key=True),
    sa.Column("subject", sa.Text),
    _required("data", Json),
    _required("extensions", Json, server_default="{}"),
)

pending_events = sa.Table(
    "pending_events",
    metadata,
    sa.Column("job_id", ID, primary_key=True),
    _required("platform_id", NAME),
    _required("source", key(1024)),
    _required("event_id", key(1024)),
    _required("at", Instant),
)

chains = sa.Table(
    "chains",
    metadata,
    sa.Column("execution_id", ID, primary_key=True),
    sa.Column("job", NAME, primary_key=True),
    _required("platform_id", NAME),
    _required("at", Instant, index=True),
    sa.Column("chained_id", ID),
    sa.Column("problem", Prose),
)

webhooks = sa.Table(
    "webhooks",
    metadata,
    sa.Column("id", ID, primary_key=True),
    _required("platform_id", NAME),
    _required("url", sa.Text),
    _required("events", Words),
    _required("created_at", Instant),
    _required("updated_at", Instant),
    _required("secrets", Json),
    _required("description", Prose),
    _required("enabled", sa.Boolean),
    sa.Column("disabled_reason", Prose),
    _required("failures", sa.Integer),
    sa.Column("failing_since", Instant),
    sa.Column("retry_at", Instant),
)
sa.Index("ix_webhooks_platform", webhooks.c.platform_id, webhooks.c.id)

webhook_deliveries = sa.Table(
    "webhook_deliveries",
    metadata,
    sa.Column("number", NUMBER, primary_key=True),
    _required("id", ID, unique=True),
    _required("webhook_id", ID),
    _required("platform_id", NAME),
    _required("event_id", ID),
    _required("event_type", Plain),
    _required("body", Prose),
    _required("created_at", Instant),
    _required("available_at", Instant),
    sa.Column("subject", sa.Text),
    _required("state", Word(DeliveryState)),
    _required("attempts", sa.Integer),
    sa.Column("failing_since", Instant),
    sa.Column("ended_at", Instant),
    sa.Column("detail", Prose),
)
_o = webhook_deliveries.c
ready_delivery = is_(_o.state, "ready")
open_delivery = is_(_o.state, "held", "ready")
_partial("ix_webhook_deliveries_ready", _o.webhook_id, _o.available_at, where=ready_delivery)
_partial("ix_webhook_deliveries_open", _o.webhook_id, _o.subject, _o.number, where=open_delivery)
sa.Index("ix_webhook_deliveries_webhook", _o.webhook_id, _o.id)
_partial("ix_webhook_deliveries_ended", _o.ended_at, where=_o.ended_at.is_not(None))

# -- the fleet and its platforms ---------------------------------------------------------------------------------

workers = sa.Table(
    "workers",
    metadata,
    sa.Column("id", NAME, primary_key=True),
    _required("host", sa.Text),
    _required("pid", sa.BigInteger),
    _required("started_at", Instant),
    _required("seen_at", Instant),
    _required("version", sa.String(64)),
    _required("queues", Json),
    _required("handlers", Words),
    _required("status", sa.String(32)),
    _required("running", sa.Integer),
    _required("poisoned", sa.Integer),
)

dispatchers = sa.Table(
    "dispatchers",
    metadata,
    sa.Column("id", NAME, primary_key=True),
    _required("host", sa.Text),
    _required("pid", sa.BigInteger),
    _required("started_at", Instant),
    _required("seen_at", Instant),
    _required("version", sa.String(64)),
    _required("tzdb_version", sa.String(32)),
    _required("status", sa.String(32)),
    _required("stats", Json),
)

handlers = sa.Table(
    "handlers",
    metadata,
    sa.Column("name", NAME, primary_key=True),
    _required("type", sa.String(32)),
    _required("announced_at", Instant),
    _required("description", Prose),
    _required("schema", Json),
    _required("defaults", Json),
    sa.Column("platform_id", ForAll, primary_key=True),
)

platforms = sa.Table(
    "platforms",
    metadata,
    sa.Column("id", NAME, primary_key=True),
    sa.Column("timezone", sa.String(64)),
    sa.Column("description", Prose),
    sa.Column("created_at", Instant),
)

limits = sa.Table(
    "limits",
    metadata,
    sa.Column("platform_id", NAME, primary_key=True),
    sa.Column("scope", key(32), primary_key=True),
    sa.Column("name", NAME, primary_key=True),
    sa.Column("max_running", sa.BigInteger),
    sa.Column("rate", sa.BigInteger),
    _required("rate_per", sa.Double),
    sa.Column("max_pending", sa.BigInteger),
    sa.Column("max_jobs", sa.BigInteger),
    sa.Column("min_interval_ms", sa.BigInteger),
)

# What a rate has let through: counted here, so that no index on executions has to remember when each was queued.
admissions = sa.Table(
    "admissions",
    metadata,
    sa.Column("number", NUMBER, primary_key=True),
    _required("platform_id", NAME),
    _required("queue", NAME),
    _required("at", Instant),
    _required("count", sa.BigInteger),
)
sa.Index("ix_admissions_queue", admissions.c.platform_id, admissions.c.queue, admissions.c.at)

calendars = sa.Table(
    "calendars",
    metadata,
    sa.Column("platform_id", NAME, primary_key=True),
    sa.Column("name", NAME, primary_key=True),
    _required("source", sa.Text),
    _required("updated_at", Instant),
)

calendar_dates = sa.Table(
    "calendar_dates",
    metadata,
    sa.Column("platform_id", NAME, primary_key=True),
    sa.Column("calendar", NAME, primary_key=True),
    sa.Column("date", Day, primary_key=True),
    _required("name", Prose),
)

idempotency_keys = sa.Table(
    "idempotency_keys",
    metadata,
    sa.Column("platform_id", NAME, primary_key=True),
    sa.Column("key", key(1024), primary_key=True),
    _required("created_at", Instant, index=True),
    _required("request_hash", sa.String(128)),
    _required("execution_id", ID),
)

leases = sa.Table(
    "leases",
    metadata,
    sa.Column("name", NAME, primary_key=True),
    _required("holder", NAME),
    _required("until", Instant),
)

notes = sa.Table("notes", metadata, sa.Column("name", NAME, primary_key=True), _required("value", sa.Text))

# -- who may do what, and what they did --------------------------------------------------------------------------

api_keys = sa.Table(
    "api_keys",
    metadata,
    sa.Column("id", ID, primary_key=True),
    _required("platform_id", ForAll),
    _required("name", Prose),
    _required("role", Word(Role)),
    _required("digest", sa.String(64)),
    _required("created_at", Instant),
    _required("created_by", Prose),
    _required("scopes", Words),
    sa.Column("expires_at", Instant),
    sa.Column("revoked_at", Instant),
    sa.Column("last_used_at", Instant),
    sa.Column("old_digest", sa.String(64)),
    sa.Column("old_until", Instant),
)
sa.Index("ix_api_keys_platform", api_keys.c.platform_id, api_keys.c.id)

audit_entries = sa.Table(
    "audit_entries",
    metadata,
    sa.Column("id", ID, primary_key=True),
    _required("platform_id", NAME),
    _required("at", Instant),
    _required("actor", Prose),
    _required("via", sa.String(32)),
    _required("action", sa.String(64)),
    _required("target", Prose),
    sa.Column("address", sa.String(64)),
    sa.Column("request_id", sa.String(64)),
    sa.Column("before", Json),
    sa.Column("after", Json),
)
sa.Index("ix_audit_entries_platform", audit_entries.c.platform_id, audit_entries.c.id)

answers = sa.Table(
    "answers",
    metadata,
    sa.Column("platform_id", NAME, primary_key=True),
    sa.Column("principal", NAME, primary_key=True),
    sa.Column("key", key(256), primary_key=True),
    _required("fingerprint", sa.String(64)),
    _required("created_at", Instant, index=True),
    _required("status", sa.Integer),
    _required("body", sa.Text),
    sa.Column("etag", sa.String(64)),
)

operations = sa.Table(
    "operations",
    metadata,
    sa.Column("id", ID, primary_key=True),
    _required("platform_id", NAME),
    _required("kind", sa.String(64)),
    _required("status", Word(OperationStatus)),
    _required("actor", Prose),
    _required("created_at", Instant),
    _required("updated_at", Instant),
    _required("next_at", Instant),
    _required("params", Json),
    _required("total", sa.BigInteger),
    _required("total_at_least", sa.Boolean),
    _required("done", sa.BigInteger),
    _required("failed", sa.BigInteger),
    sa.Column("cursor", sa.Text),
    _required("errors", Words),
    sa.Column("reason", Prose),
    sa.Column("finished_at", Instant),
)
running_operation = is_(operations.c.status, "running")
sa.Index("ix_operations_platform", operations.c.platform_id, operations.c.id)
_partial("ix_operations_running", operations.c.next_at, operations.c.id, where=running_operation)
