"""Jobs, their revisions and rollups, and the ledger."""

from __future__ import annotations

import sqlalchemy as sa

from mainspring.adapters.sql.tables.building import is_, metadata, partial, required
from mainspring.adapters.sql.types import ID, NAME, Definition, Instant, Json, Milliseconds, Prose, Wall, Word, key
from mainspring.model.decision import Verdict
from mainspring.model.execution import Status
from mainspring.model.job import JobStatus, JobType

jobs = sa.Table(
    "jobs",
    metadata,
    sa.Column("id", ID, primary_key=True),
    required("platform_id", NAME),
    required("definition", Definition),
    required("status", Word(JobStatus)),
    required("revision", sa.Integer),
    required("created_at", Instant),
    required("updated_at", Instant),
    required("cursor_at", Instant),
    sa.Column("next_run_at", Instant),
    sa.Column("cursor_wall", Wall),
    sa.Column("tzdb_version", sa.String(32)),
    required("scheduled_count", sa.BigInteger),
    sa.Column("status_reason", Prose),
    sa.Column("paused_at", Instant),
    sa.Column("paused_until", Instant),
    # Out of the definition, to search by.
    required("name", NAME),
    required("type", Word(JobType)),
    required("handler", NAME),
)
kept_job = jobs.c.status != sa.literal_column("'archived'")
archived_job = is_(jobs.c.status, "archived")
due_job = is_(jobs.c.status, "active") & jobs.c.next_run_at.is_not(None)
paused_job = is_(jobs.c.status, "paused") & jobs.c.paused_until.is_not(None)
event_job = is_(jobs.c.type, "event") & is_(jobs.c.status, "active", "paused")
partial("uq_jobs_platform_id_name", jobs.c.platform_id, jobs.c.name, where=kept_job, unique=True)
partial("ix_jobs_archived", jobs.c.platform_id, jobs.c.name, jobs.c.id, where=archived_job)
partial("ix_jobs_due", jobs.c.next_run_at, jobs.c.id, where=due_job)
partial("ix_jobs_paused", jobs.c.paused_until, where=paused_job)
partial("ix_jobs_event", jobs.c.platform_id, jobs.c.name, where=event_job)

job_revisions = sa.Table(
    "job_revisions",
    metadata,
    sa.Column("job_id", ID, primary_key=True),
    sa.Column("revision", sa.Integer, primary_key=True),
    required("at", Instant),
    required("actor", sa.Text),
    required("definition", Definition),
)

job_stats = sa.Table(
    "job_stats",
    metadata,
    sa.Column("job_id", ID, primary_key=True),
    required("total", sa.BigInteger),
    required("success", sa.BigInteger),
    required("failed", sa.BigInteger),
    required("skipped", sa.BigInteger),
    required("duration_ms", Milliseconds, key="duration"),
    required("consecutive_failures", sa.BigInteger),
    sa.Column("last_run_at", Instant),
    sa.Column("last_status", Word(Status)),
)

decisions = sa.Table(
    "decisions",
    metadata,
    sa.Column("job_id", ID, primary_key=True),
    required("platform_id", NAME),
    sa.Column("scheduled_at", Instant, primary_key=True),
    required("decision", Word(Verdict)),
    required("decided_at", Instant),
    required("revision", sa.Integer),
    sa.Column("key", key(1024), primary_key=True),
    required("late_ms", Milliseconds, key="late"),
    required("reason", Json),
    sa.Column("dispatcher_id", sa.String(64)),
    sa.Column("execution_id", ID),
    sa.Column("into_at", Instant),
    sa.Column("until_at", Instant),
    sa.Column("count", sa.BigInteger),
    sqlite_with_rowid=False,  # the rows lie in the order of the key, which is how they are asked for
)
is_range = decisions.c.until_at.is_not(None)
of_execution = decisions.c.execution_id.is_not(None)
partial("ix_decisions_range", decisions.c.job_id, decisions.c.key, decisions.c.scheduled_at, where=is_range)
partial("ix_decisions_execution", decisions.c.execution_id, where=of_execution)
# Where rows are deleted one by one. PostgreSQL has it on the rows outside all partitions alone.
sa.Index("ix_decisions_decided", decisions.c.decided_at).ddl_if(dialect="sqlite")
