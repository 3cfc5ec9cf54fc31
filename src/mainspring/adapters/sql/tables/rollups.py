"""What is counted from events (see `mainspring.model.rollup`): what charts read instead of the past."""

from __future__ import annotations

import sqlalchemy as sa

from mainspring.adapters.sql.tables.building import metadata, required
from mainspring.adapters.sql.types import ID, NAME, Instant, Json, Word, key
from mainspring.model.rollup import Span

rollups = sa.Table(
    "rollups",
    metadata,
    sa.Column("key", key(1300), primary_key=True),
    required("span", Word(Span)),
    required("platform_id", NAME),
    required("job_id", ID),
    required("queue", NAME),
    required("handler", NAME),
    required("at", Instant),
    required("counts", Json),
    required("durations", Json),
    required("delays", Json),
    sa.Column("first_at", Instant),
    sa.Column("last_at", Instant),
)
_r = rollups.c
sa.Index("ix_rollups_platform_id", _r.platform_id, _r.span, _r.job_id, _r.at)
sa.Index("ix_rollups_span", _r.span, _r.at)
