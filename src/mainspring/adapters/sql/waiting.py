"""Executions that wait to be queued: for their time, or for what blocks them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam

from mainspring.adapters.sql.batches import Field, Packed, cells, pack, shape
from mainspring.adapters.sql.dialect import Dialect
from mainspring.adapters.sql.session import SqlTable, bounded_count
from mainspring.adapters.sql.tables import TURN, blocked, executions, free, is_, not_ended, still, unended
from mainspring.model.execution import Execution

EXECUTION = shape(Execution, executions)
_e = executions.c

_PROMOTABLE = (
    EXECUTION.select.where(free, _e.available_at <= bindparam("now"))
    .order_by(_e.priority.desc(), _e.available_at, _e.id)
    .limit(bindparam("limit"))
    .with_for_update(skip_locked=True)
)
NEXT_AVAILABLE = sa.select(_e.available_at).where(free).order_by(_e.available_at).limit(1)
#: In the order of its index, so that a plan made while few rows waited does not read all of many.
SOME_BLOCKED = (
    sa.select(_e.id)
    .where(blocked)
    .order_by(_e.platform_id, _e.blocked_by, _e.held_job)
    .limit(1)
    .scalar_subquery()
    .is_not(None)
)
_HELD_BACK = sa.select(SOME_BLOCKED, NEXT_AVAILABLE.scalar_subquery())
_BLOCKED = (
    EXECUTION.select.where(
        blocked,
        _e.platform_id == bindparam("platform"),
        _e.blocked_by == bindparam("blocker"),
    )
    .order_by(*TURN)
    .limit(bindparam("limit"))
    .with_for_update(skip_locked=True)
)
_BLOCKED_BY_JOB = _BLOCKED.where(_e.held_job == bindparam("job"))
_BLOCKED_BY_LIMIT = _BLOCKED.where(_e.held_job == sa.literal_column("''"))
_BLOCKED_OF_JOB = _BLOCKED.where(_e.job_id == bindparam("job"))
_HELD_BY_JOB = ("overlap", "job")
_PENDING = bounded_count(sa.select(_e.id).where(_e.platform_id == bindparam("platform"), is_(_e.status, "pending")))
_start_limited = is_(_e.status, "pending", "queued", "retrying") & _e.start_deadline_at.is_not(None)
NEXT_START_EXPIRED = sa.select(_e.start_deadline_at).where(_start_limited).order_by(_e.start_deadline_at).limit(1)
_START_EXPIRED = (
    EXECUTION.select.where(_start_limited, _e.start_deadline_at <= bindparam("now"))
    .order_by(_e.start_deadline_at)
    .limit(bindparam("limit"))
    .with_for_update(skip_locked=True)
)


def _walk_blockers() -> sa.Select[Any]:
    """Walk the index from one blocker to the next: however long the lines behind them, only their heads are read."""

    def first(line: Any, *where: Any) -> sa.Select[Any]:
        keys = (line.c.platform_id, line.c.blocked_by, line.c.held_job)
        waits = is_(line.c.status, "pending", "retrying") & line.c.blocked_by.is_not(None)
        return sa.select(*keys, line.c.id).where(waits, *where).order_by(*keys).limit(1)

    def keys(rows: Any) -> tuple[Any, ...]:
        return rows.c.platform_id, rows.c.blocked_by, rows.c.held_job

    head = first(executions.alias("first")).subquery("head")
    walk = sa.select(*keys(head)).cte("walk", recursive=True)
    later, found = executions.alias("later"), executions.alias("found")
    after = first(later, sa.tuple_(*keys(later)) > sa.tuple_(*keys(walk))).correlate(walk)
    step = (found.c.id == after.with_only_columns(later.c.id).scalar_subquery()) & not_ended(found.c.status)
    walk = walk.union_all(sa.select(*keys(found)).select_from(walk.join(found, step)))
    return sa.select(*keys(walk)).limit(bindparam("limit"))


_BLOCKERS = _walk_blockers()
_BLOCKING = (Field("id", _e.id.type), Field("blocked_by", _e.blocked_by.type), Field("buffered", _e.buffered.type))


class WaitingTable(SqlTable):
    """The part of `ExecutionTable` that promoting asks."""

    def promotable(self, limit: int) -> list[Execution]:
        return EXECUTION.rows(self._all(_PROMOTABLE, now=self._session.now, limit=limit))

    def next_available_at(self) -> datetime | None:
        at: datetime | None = self._scalar(NEXT_AVAILABLE)
        return at

    def held_back(self) -> tuple[bool, datetime | None]:
        ((some_blocked, next_at),) = self._all(_HELD_BACK)
        return bool(some_blocked), next_at

    def blockers(self, limit: int) -> list[tuple[str, str, str | None]]:
        return [(platform, blocker, job or None) for platform, blocker, job in self._all(_BLOCKERS, limit=limit)]

    def blocked(self, platform_id: str, blocked_by: str, *, job_id: str | None, limit: int) -> list[Execution]:
        where = {"platform": platform_id, "blocker": blocked_by, "limit": limit}
        if job_id is None and blocked_by in _HELD_BY_JOB:
            rows = self._all(_BLOCKED, **where)
        elif job_id is None:
            rows = self._all(_BLOCKED_BY_LIMIT, **where)
        else:
            held = blocked_by in _HELD_BY_JOB
            rows = self._all(_BLOCKED_BY_JOB if held else _BLOCKED_OF_JOB, job=job_id, **where)
        return EXECUTION.rows(rows)

    def set_blocked(self, blocked: Mapping[str, str | None]) -> None:
        if blocked:
            packed = pack(_BLOCKING, [(key, blocker, blocker == "overlap") for key, blocker in blocked.items()])
            self._run(_set_blocked(self._dialect, packed.shared, packed.varying), packed.parameters)

    def pending_count(self, platform_id: str, most: int) -> int:
        return int(self._scalar(_PENDING, platform=platform_id, most=most))

    def start_expired(self, limit: int) -> list[Execution]:
        return EXECUTION.rows(self._all(_START_EXPIRED, now=self._session.now, limit=limit))


@lru_cache(16)
def _set_blocked(dialect: Dialect, shared: tuple[Field, ...], varying: tuple[Field, ...]) -> Any:
    given = cells(dialect, Packed(shared, varying, {}))
    waits = still(_e.status, "pending", "retrying")
    values = {_e.blocked_by: given["blocked_by"], _e.buffered: given["buffered"]}
    return executions.update().where(dialect.same_key(_e.id, given["id"]), unended, waits).values(values)
