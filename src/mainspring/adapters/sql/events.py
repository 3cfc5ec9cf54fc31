"""Events: the outbox on their way out, the inbox for those that came in."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam

from mainspring.adapters.sql.batches import shape
from mainspring.adapters.sql.dialect import Dialect
from mainspring.adapters.sql.session import SqlTable
from mainspring.adapters.sql.tables import inbox, outbox, pending_events, unapplied, unpublished
from mainspring.adapters.sql.types import micros, to_json
from mainspring.model.events import Event, PendingEvent

_OUT, _IN, _PENDING = shape(Event, outbox), shape(Event, inbox), shape(PendingEvent, pending_events)
_o, _i = outbox.c, inbox.c

# By number and only what is unpublished, never "after the last number seen": a lower one may commit later. Nothing is
# skipped because another transaction holds it: the later event of an execution would overtake the earlier one.
_UNPUBLISHED = _OUT.select.where(unpublished).order_by(_o.number).limit(bindparam("limit"))
_UNAPPLIED = _OUT.select.where(unapplied).order_by(_o.number).limit(bindparam("limit"))
OLDEST_UNPUBLISHED = sa.select(_o.at).where(unpublished).order_by(_o.number).limit(1)
_ACCEPTED = _IN.select.where(
    _i.platform_id == bindparam("platform"), _i.source == bindparam("source"), _i.id == bindparam("event")
)


class SqlOutboxTable(SqlTable):
    """`OutboxTable` in SQL."""

    def add(self, events: Sequence[Event]) -> None:
        self._put_values(_OUT, events, conflict="one of these events is in the outbox already")

    def unpublished(self, limit: int) -> list[Event]:
        return _OUT.values(self._run(_UNPUBLISHED, {"limit": limit}))

    def mark_published(self, event_ids: Sequence[str]) -> set[str]:
        if not event_ids:
            return set()
        # PostgreSQL has its now already, and we perhaps not yet.
        now = {"now": micros(self._session.now)} if self._dialect.one_writer else {}
        rows = self._all(_mark(self._dialect), ids=to_json(event_ids), **now)
        return {event_id for event_id, applied in rows if not applied}

    def unapplied(self, limit: int) -> list[Event]:
        return _OUT.rows(self._all(_UNAPPLIED, limit=limit))

    def mark_applied(self, event_ids: Sequence[str]) -> set[str]:
        if not event_ids:
            return set()
        return set(self._run(_mark_applied(self._dialect), {"ids": to_json(event_ids)}).scalars())

    def oldest_unpublished_at(self) -> datetime | None:
        at: datetime | None = self._scalar(OLDEST_UNPUBLISHED)
        return at

    def delete_published(self, before: datetime, limit: int) -> int:
        return self._run(_delete(self._dialect), {"before": before, "limit": limit}).rowcount


class SqlInboxTable(SqlTable):
    """`InboxTable` in SQL."""

    def accept(self, event: Event) -> bool:
        return bool(self._insert_values(_IN, [event], on_conflict="keep"))

    def get(self, platform_id: str, source: str, event_id: str) -> Event | None:
        return _IN.row(self._first(_ACCEPTED, platform=platform_id, source=source, event=event_id))

    def pending(self, job_ids: Sequence[str]) -> dict[str, PendingEvent]:
        if not job_ids:
            return {}
        rows = self._all(_pending_of(self._dialect), ids=to_json(job_ids))
        return {row.job_id: row for row in _PENDING.rows(rows)}

    def put_pending(self, pending: Sequence[PendingEvent]) -> None:
        self._insert_values(_PENDING, pending, on_conflict="replace")

    def settle_pending(self, job_ids: Sequence[str]) -> None:
        if job_ids:
            self._run(_settle(self._dialect), {"ids": to_json(job_ids)})


@lru_cache(2)
def _pending_of(dialect: Dialect) -> Any:
    return _PENDING.select.where(dialect.member(pending_events.c.job_id, "ids"))


@lru_cache(2)
def _settle(dialect: Dialect) -> Any:
    return sa.delete(pending_events).where(dialect.member(pending_events.c.job_id, "ids"))


@lru_cache(2)
def _mark(dialect: Dialect) -> Any:
    marked = outbox.update().where(dialect.member(_o.id, "ids"), unpublished)
    now = sa.type_coerce(dialect.now, sa.BigInteger)
    return marked.values({_o.published_at: now}).returning(_o.id, _o.applied)


@lru_cache(2)
def _mark_applied(dialect: Dialect) -> Any:
    marked = outbox.update().where(dialect.member(_o.id, "ids"), unapplied)
    return marked.values(applied=sa.true()).returning(_o.id)


@lru_cache(2)
def _delete(dialect: Dialect) -> Any:
    rows = dialect.deleted_by_row(outbox)
    old = (
        sa.select(rows.c.number)
        .where(rows.c.published_at.is_not(None), rows.c.published_at < bindparam("before"))
        .order_by(rows.c.published_at)
        .limit(bindparam("limit"))
        .with_for_update(skip_locked=True)
    )
    return sa.delete(rows).where(rows.c.number.in_(old))
