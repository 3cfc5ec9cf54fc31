"""Platforms with their limits, calendars and idempotency keys; and the database's own notes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam

from mainspring.adapters.sql.batches import Field, shape
from mainspring.adapters.sql.clock_steps import ADMISSIONS_BACK
from mainspring.adapters.sql.dialect import Dialect
from mainspring.adapters.sql.session import Session, SqlTable
from mainspring.adapters.sql.tables import (
    admissions,
    calendar_dates,
    calendars,
    idempotency_keys,
    leases,
    limits,
    notes,
    platforms,
)
from mainspring.adapters.sql.types import MICROSECOND, Instant, to_json
from mainspring.model.node import Limit

_LIMIT = shape(Limit, limits)
_l, _c, _dates, _k = limits.c, calendars.c, calendar_dates.c, idempotency_keys.c


def _fields(table: sa.Table) -> tuple[Field, ...]:
    return tuple(Field(str(column.key), column.type) for column in table.c)


_PLATFORM, _CALENDAR, _DATES, _KEY, _NOTE = map(
    _fields, (platforms, calendars, calendar_dates, idempotency_keys, notes)
)
_TIMEZONE = sa.select(platforms.c.timezone).where(platforms.c.id == bindparam("platform"))
_SET_TIMEZONE = (
    platforms.update()
    .where(platforms.c.id == bindparam("platform"))
    .values(timezone=bindparam("zone", type_=sa.String))
)
_LIMITS = _LIMIT.select.order_by(_l.platform_id, _l.scope, _l.name)
_LIMITS_OF = _LIMITS.where(_l.platform_id == bindparam("platform"))
_NO_LIMIT = sa.delete(limits).where(
    _l.platform_id == bindparam("platform"), _l.scope == bindparam("scope"), _l.name == bindparam("name")
)
_CALENDARS = (
    sa.select(_c.name, _dates.date)
    .outerjoin_from(calendars, calendar_dates, (_dates.platform_id == _c.platform_id) & (_dates.calendar == _c.name))
    .where(_c.platform_id == bindparam("platform"))
)
_NO_DATES = sa.delete(calendar_dates).where(
    _dates.platform_id == bindparam("platform"), _dates.calendar == bindparam("name")
)
_NO_CALENDAR = sa.delete(calendars).where(_c.platform_id == bindparam("platform"), _c.name == bindparam("name"))
_IDEMPOTENT = sa.select(_k.request_hash, _k.execution_id).where(
    _k.platform_id == bindparam("platform"), _k.key == bindparam("key")
)
_OLD_KEYS = (
    sa.select(_k.platform_id, _k.key)
    .where(_k.created_at < bindparam("before"))
    .order_by(_k.created_at)
    .limit(bindparam("limit"))
    .with_for_update(skip_locked=True)
)
_DELETE_KEYS = sa.delete(idempotency_keys).where(sa.tuple_(_k.platform_id, _k.key).in_(_OLD_KEYS))
_a = admissions.c
_ADMISSION = tuple(Field(name, _a[name].type) for name in ("platform_id", "queue", "at", "count"))
_ADMITTED = sa.select(sa.func.coalesce(sa.func.sum(_a.count), 0)).where(
    _a.platform_id == bindparam("platform"), _a.queue == bindparam("queue"), _a.at >= bindparam("since")
)
_DELETE_ADMISSIONS = sa.delete(admissions).where(
    _a.platform_id == bindparam("platform"), _a.queue == bindparam("queue"), _a.at < bindparam("before")
)
_VALUE = sa.select(notes.c.value).where(notes.c.name == bindparam("name"))


class SqlPlatformTable(SqlTable):
    """`PlatformTable` in SQL."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        # Asked once per job that is planned, and the same for all of them within one transaction.
        self._zones: dict[str, str | None] = {}
        # Asked by whoever adds work, twice for an enqueue.
        self._limits: dict[str | None, list[Limit]] = {}

    def timezone(self, platform_id: str) -> str | None:
        if platform_id not in self._zones:
            self._zones[platform_id] = self._scalar(_TIMEZONE, platform=platform_id)
        return self._zones[platform_id]

    def put_timezone(self, platform_id: str, timezone: str | None) -> None:
        self._zones.clear()
        if not self._run(_SET_TIMEZONE, {"platform": platform_id, "zone": timezone}).rowcount:
            self._insert(
                platforms, _PLATFORM, [(platform_id, timezone, None, self._session.now)], on_conflict="replace"
            )

    def limits(self, platform_id: str | None = None) -> list[Limit]:
        if platform_id not in self._limits:
            rows = self._all(_LIMITS) if platform_id is None else self._all(_LIMITS_OF, platform=platform_id)
            self._limits[platform_id] = _LIMIT.rows(rows)
        return list(self._limits[platform_id])

    def put_limit(self, limit: Limit) -> None:
        self._limits.clear()
        bounds = (limit.max_running, limit.rate, limit.max_pending, limit.max_jobs, limit.min_interval_ms)
        if all(bound is None for bound in bounds):
            self._run(_NO_LIMIT, {"platform": limit.platform_id, "scope": limit.scope, "name": limit.name})
        else:
            self._insert_values(_LIMIT, [limit], on_conflict="replace")

    def lock_limits(self, limits: Sequence[Limit]) -> None:
        if limits and not self._dialect.one_writer:
            names = to_json(sorted({f"{limit.platform_id}/{limit.scope}/{limit.name}" for limit in limits}))
            self._all(_locked_limits(self._dialect), names=names)

    def admitted_since(self, platform_id: str, queue: str, since: datetime) -> int:
        return int(self._scalar(_ADMITTED, platform=platform_id, queue=queue, since=since))

    def record_admitted(
        self, platform_id: str, queue: str, count: int, *, at: datetime, forget_before: datetime
    ) -> None:
        self._run(_DELETE_ADMISSIONS, {"platform": platform_id, "queue": queue, "before": forget_before})
        self._insert(admissions, _ADMISSION, [(platform_id, queue, at, count)])

    def make_up_for(self, step: timedelta) -> None:
        if step < timedelta(0):
            self._run(ADMISSIONS_BACK, {"by": -step // MICROSECOND, "now": self._session.now})

    def calendars(self, platform_id: str) -> dict[str, frozenset[date]]:
        found: dict[str, set[date]] = defaultdict(set)
        for name, day in self._all(_CALENDARS, platform=platform_id):
            found[name].update(() if day is None else (day,))
        return {name: frozenset(days) for name, days in found.items()}

    def put_calendar(self, platform_id: str, name: str, dates: Mapping[date, str], *, source: str) -> None:
        calendar = (platform_id, name, source, self._session.now)
        self._insert(calendars, _CALENDAR, [calendar], on_conflict="replace")
        self._run(_NO_DATES, {"platform": platform_id, "name": name})
        self._insert(calendar_dates, _DATES, [(platform_id, name, day, label) for day, label in dates.items()])

    def delete_calendar(self, platform_id: str, name: str) -> bool:
        self._run(_NO_DATES, {"platform": platform_id, "name": name})
        return self._run(_NO_CALENDAR, {"platform": platform_id, "name": name}).rowcount > 0

    def idempotent(self, platform_id: str, key: str) -> tuple[str, str] | None:
        row = self._first(_IDEMPOTENT, platform=platform_id, key=key)
        return None if row is None else (row[0], row[1])

    def put_idempotent(self, platform_id: str, key: str, request_hash: str, execution_id: str) -> bool:
        row = (platform_id, key, self._session.now, request_hash, execution_id)
        return bool(self._insert(idempotency_keys, _KEY, [row], on_conflict="keep"))

    def delete_idempotent(self, before: datetime, limit: int) -> int:
        return self._run(_DELETE_KEYS, {"before": before, "limit": limit}).rowcount

    def note(self, name: str) -> str | None:
        value: str | None = self._scalar(_VALUE, name=name)
        return value

    def put_note(self, name: str, value: str) -> None:
        self._insert(notes, _NOTE, [(name, value)], on_conflict="replace")

    def lease(self, name: str, holder: str, until: datetime) -> bool:
        values = {"name": name, "holder": holder, "until": until, "now": self._session.now}
        return bool(self._run(_take_lease(self._dialect), values).rowcount)


@lru_cache(2)
def _locked_limits(dialect: Dialect) -> Any:
    name = _l.platform_id + "/" + _l.scope + "/" + _l.name
    ordered = sa.select(_l.name).where(dialect.member(name, "names"))
    return ordered.order_by(_l.platform_id, _l.scope, _l.name).with_for_update()


@lru_cache(2)
def _take_lease(dialect: Dialect) -> Any:
    given = {column.name: bindparam(column.name, type_=column.type) for column in leases.c}
    insert = dialect.insert(leases).values(given)
    mine = sa.or_(leases.c.holder == insert.excluded.holder, leases.c.until <= bindparam("now", type_=Instant))
    return insert.on_conflict_do_update(
        index_elements=["name"], set_={"holder": insert.excluded.holder, "until": insert.excluded.until}, where=mine
    )
