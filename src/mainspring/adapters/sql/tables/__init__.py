"""The tables. Columns carry the names of the fields of `mainspring.model`, in their order; durations end in ``_ms``.

There are no foreign keys: what belongs together is written and deleted in one transaction by one method, and checking
would cost every insert. Indexes on rows that move are partial, so that history does not weigh on what is live. A
query only uses a partial index if it repeats the index's condition word for word: take `live`, `queued` and their
like from here.

On PostgreSQL five of these are partitioned (see `partitions`), which the queries need not know but for one thing: one
that is to stay out of what has ended names the statuses it means as words of the statement, not as parameters.
"""

from mainspring.adapters.sql.tables.access import answers, api_keys, audit_entries, operations, running_operation
from mainspring.adapters.sql.tables.building import is_, metadata, not_ended, still
from mainspring.adapters.sql.tables.events import chains, inbox, outbox, pending_events, unapplied, unpublished
from mainspring.adapters.sql.tables.executions import (
    TURN,
    attempts,
    blocked,
    dead_letters,
    execution_logs,
    executions,
    free,
    live,
    occupying,
    queued,
    transitions,
    under_way,
    unended,
    unlive,
)
from mainspring.adapters.sql.tables.fleet import (
    admissions,
    calendar_dates,
    calendars,
    dispatchers,
    handlers,
    idempotency_keys,
    leases,
    limits,
    notes,
    platforms,
    vacancies,
    workers,
)
from mainspring.adapters.sql.tables.jobs import (
    archived_job,
    decisions,
    due_job,
    event_job,
    is_range,
    job_revisions,
    job_stats,
    jobs,
    kept_job,
    paused_job,
)
from mainspring.adapters.sql.tables.rollups import rollups
from mainspring.adapters.sql.tables.webhooks import open_delivery, ready_delivery, webhook_deliveries, webhooks

__all__ = [
    "TURN",
    "admissions",
    "answers",
    "api_keys",
    "archived_job",
    "attempts",
    "audit_entries",
    "blocked",
    "calendar_dates",
    "calendars",
    "chains",
    "dead_letters",
    "decisions",
    "dispatchers",
    "due_job",
    "event_job",
    "execution_logs",
    "executions",
    "free",
    "handlers",
    "idempotency_keys",
    "inbox",
    "is_",
    "is_range",
    "job_revisions",
    "job_stats",
    "jobs",
    "kept_job",
    "leases",
    "limits",
    "live",
    "metadata",
    "not_ended",
    "notes",
    "occupying",
    "open_delivery",
    "operations",
    "outbox",
    "paused_job",
    "pending_events",
    "platforms",
    "queued",
    "ready_delivery",
    "rollups",
    "running_operation",
    "still",
    "transitions",
    "unapplied",
    "under_way",
    "unended",
    "unlive",
    "unpublished",
    "vacancies",
    "webhook_deliveries",
    "webhooks",
    "workers",
]
