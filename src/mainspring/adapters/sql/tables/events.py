"""Events on their way out and in, and what the end of an execution has started."""

from __future__ import annotations

import sqlalchemy as sa

from mainspring.adapters.sql.tables.building import metadata, partial, required
from mainspring.adapters.sql.types import ID, NAME, NUMBER, Instant, Json, Plain, Prose, key

outbox = sa.Table(
    "outbox",
    metadata,
    sa.Column("number", NUMBER, primary_key=True),
    required("id", ID, unique=True),
    required("type", Plain),
    required("platform_id", NAME),
    required("at", Instant),
    required("source", sa.Text),
    sa.Column("subject", sa.Text),
    required("data", Json),
    sa.Column("published_at", Instant),
    required("extensions", Json, server_default="{}"),
    # What follows from it is done although it is not published: the bus is away.
    required("applied", sa.Boolean, server_default=sa.false()),
)
unpublished = outbox.c.published_at.is_(None)
unapplied = unpublished & ~outbox.c.applied
partial("ix_outbox_unpublished", outbox.c.number, where=unpublished)
partial("ix_outbox_unapplied", outbox.c.number, where=unapplied)
partial("ix_outbox_published", outbox.c.published_at, where=outbox.c.published_at.is_not(None))

inbox = sa.Table(
    "inbox",
    metadata,
    sa.Column("id", key(1024), primary_key=True),
    required("type", Plain),
    sa.Column("platform_id", NAME, primary_key=True),
    required("at", Instant),
    sa.Column("source", key(1024), primary_key=True),
    sa.Column("subject", sa.Text),
    required("data", Json),
    required("extensions", Json, server_default="{}"),
)

pending_events = sa.Table(
    "pending_events",
    metadata,
    sa.Column("job_id", ID, primary_key=True),
    required("platform_id", NAME),
    required("source", key(1024)),
    required("event_id", key(1024)),
    required("at", Instant),
)

chains = sa.Table(
    "chains",
    metadata,
    sa.Column("execution_id", ID, primary_key=True),
    sa.Column("job", NAME, primary_key=True),
    required("platform_id", NAME),
    required("at", Instant, index=True),
    sa.Column("chained_id", ID),
    sa.Column("problem", Prose),
)
