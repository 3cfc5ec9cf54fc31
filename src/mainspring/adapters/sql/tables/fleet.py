"""The fleet and its platforms: nodes, handlers, limits, calendars, leases and notes."""

from __future__ import annotations

import sqlalchemy as sa

from mainspring.adapters.sql.tables.building import metadata, required
from mainspring.adapters.sql.types import ID, NAME, NUMBER, Day, ForAll, Instant, Json, Prose, Words, key

workers = sa.Table(
    "workers",
    metadata,
    sa.Column("id", NAME, primary_key=True),
    required("host", sa.Text),
    required("pid", sa.BigInteger),
    required("started_at", Instant),
    required("seen_at", Instant),
    required("version", sa.String(64)),
    required("queues", Json),
    required("handlers", Words),
    required("status", sa.String(32)),
    required("running", sa.Integer),
    required("poisoned", sa.Integer),
    sa.Column("stats", Json, nullable=False, server_default="{}"),
)

dispatchers = sa.Table(
    "dispatchers",
    metadata,
    sa.Column("id", NAME, primary_key=True),
    required("host", sa.Text),
    required("pid", sa.BigInteger),
    required("started_at", Instant),
    required("seen_at", Instant),
    required("version", sa.String(64)),
    required("tzdb_version", sa.String(32)),
    required("status", sa.String(32)),
    required("stats", Json),
)

handlers = sa.Table(
    "handlers",
    metadata,
    sa.Column("name", NAME, primary_key=True),
    required("type", sa.String(32)),
    required("announced_at", Instant),
    required("description", Prose),
    required("schema", Json),
    required("defaults", Json),
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
    required("rate_per", sa.Double),
    sa.Column("max_pending", sa.BigInteger),
    sa.Column("max_jobs", sa.BigInteger),
    sa.Column("min_interval_ms", sa.BigInteger),
)

# What a rate has let through: counted here, so that no index on executions has to remember when each was queued.
admissions = sa.Table(
    "admissions",
    metadata,
    sa.Column("number", NUMBER, primary_key=True),
    required("platform_id", NAME),
    required("queue", NAME),
    required("at", Instant),
    required("count", sa.BigInteger),
)
sa.Index("ix_admissions_queue", admissions.c.platform_id, admissions.c.queue, admissions.c.at)

calendars = sa.Table(
    "calendars",
    metadata,
    sa.Column("platform_id", NAME, primary_key=True),
    sa.Column("name", NAME, primary_key=True),
    required("source", sa.Text),
    required("updated_at", Instant),
)

calendar_dates = sa.Table(
    "calendar_dates",
    metadata,
    sa.Column("platform_id", NAME, primary_key=True),
    sa.Column("calendar", NAME, primary_key=True),
    sa.Column("date", Day, primary_key=True),
    required("name", Prose),
)

idempotency_keys = sa.Table(
    "idempotency_keys",
    metadata,
    sa.Column("platform_id", NAME, primary_key=True),
    sa.Column("key", key(1024), primary_key=True),
    required("created_at", Instant, index=True),
    required("request_hash", sa.String(128)),
    required("execution_id", ID),
)

leases = sa.Table(
    "leases",
    metadata,
    sa.Column("name", NAME, primary_key=True),
    required("holder", NAME),
    required("until", Instant),
)

# Slots that workers lend, on PostgreSQL: what was claimed for one is told by its last two columns.
vacancies = sa.Table(
    "vacancies",
    metadata,
    sa.Column("queue", NAME, primary_key=True),
    sa.Column("worker_id", NAME, primary_key=True),
    required("number", sa.BigInteger),
    required("room", sa.BigInteger),
    required("until", Instant),
    required("lease", sa.BigInteger),
    required("handlers", Words),
    required("address", sa.String(64)),
    sa.Column("execution_id", ID),
    sa.Column("fence", sa.BigInteger),
)

notes = sa.Table("notes", metadata, sa.Column("name", NAME, primary_key=True), required("value", sa.Text))
