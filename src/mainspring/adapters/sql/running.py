"""Executions that are queued or under way: what workers hold, what limits count, what the reaper takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam

from mainspring.adapters.sql.batches import Field, Packed, cells, pack
from mainspring.adapters.sql.clock_steps import ATTEMPTS_BACK, ATTEMPTS_FORWARD, RETRIES_BACK
from mainspring.adapters.sql.dialect import Dialect
from mainspring.adapters.sql.session import SqlTable, bounded_count
from mainspring.adapters.sql.tables import TURN, executions, is_, occupying, queued, still, under_way, unended
from mainspring.adapters.sql.types import MICROSECOND, micros, to_json
from mainspring.adapters.sql.waiting import EXECUTION
from mainspring.model.dispatch import Dispatch, traceparent
from mainspring.model.execution import Execution, Status

_e = executions.c
_running = under_way & is_(_e.status, "running")

_OF_PLATFORM = (occupying, _e.platform_id == bindparam("platform"))
_OCCUPYING_PLATFORM: Any = sa.select(sa.literal_column("''"), sa.func.count()).where(*_OF_PLATFORM)
_HOLDERS = sa.select(_e.id).where(*_OF_PLATFORM).limit(bindparam("limit"))
# By an expression, not by the id itself: in that order lies an index of all there ever was, which is not to be walked.
_BY_ID = sa.func.coalesce(_e.id, "")
_HOLDERS_OF = {
    "queue": _HOLDERS.where(_e.queue == bindparam("name")).order_by(_BY_ID),
    "key": _HOLDERS.where(_e.concurrency_key == bindparam("name")).order_by(_e.id),
    "platform": _HOLDERS.order_by(_BY_ID),
}
_OLDEST = sa.func.min(sa.func.coalesce(_e.queued_at, _e.created_at), type_=_e.queued_at.type)
_QUEUED_HANDLERS = (
    sa.select(_e.queue, _e.handler, _OLDEST.label("oldest"))
    .where(queued)
    .group_by(_e.queue, _e.handler)
    .order_by(sa.literal_column("oldest"), _e.queue, _e.handler)
    .limit(bindparam("limit"))
)
_QUEUED_HANDLERS_OF = _QUEUED_HANDLERS.where(_e.platform_id == bindparam("platform"))
_SOME_QUEUED = sa.select(_e.queue).where(queued).limit(bindparam("limit")).subquery("some_queued")
_DEPTHS = sa.select(_SOME_QUEUED.c.queue, sa.func.count()).group_by(_SOME_QUEUED.c.queue)
_UNCLAIMED = (
    sa.select(_e.id, _e.platform_id, _e.priority, _e.trace_id, _e.span_id)
    .where(queued, _e.queue == bindparam("queue"), _e.queued_at <= bindparam("before"))
    .order_by(*TURN)
    .limit(bindparam("limit"))
)


def _walk_queues() -> sa.Select[Any]:
    """Walk the index from one queue to the next: however long the lines, only their heads are read."""
    first, later = executions.alias("first"), executions.alias("later")
    walk = sa.select(sa.func.min(first.c.queue).label("queue")).where(is_(first.c.status, "queued"))
    found = walk.cte("walk", recursive=True)
    after = sa.select(sa.func.min(later.c.queue)).where(is_(later.c.status, "queued"), later.c.queue > found.c.queue)
    step = sa.select(after.correlate(found).scalar_subquery()).where(found.c.queue.is_not(None))
    queue = found.union_all(step).c.queue
    return sa.select(queue).where(queue.is_not(None)).limit(bindparam("limit"))


_QUEUES_WAITING = _walk_queues()
_HELD = sa.select(_e.id, _e.fence, _e.cancel_requested_at).where(_running, _e.worker_id == bindparam("worker"))
_LEASE_OVER = (
    EXECUTION.select.where(
        _running,
        sa.or_(_e.lease_until <= bindparam("now"), _e.started_at < bindparam("older_than", type_=_e.started_at.type)),
    )
    .limit(bindparam("limit"))
    .with_for_update(skip_locked=True)
)
_OVERDUE = (
    EXECUTION.select.where(
        under_way, sa.or_(_e.deadline_at <= bindparam("before"), _e.cancel_requested_at <= bindparam("before"))
    )
    .limit(bindparam("limit"))
    .with_for_update(skip_locked=True)
)
#: Of what is under way the first lease, deadline and cancel that was asked for.
ENDS = sa.select(sa.func.min(_e.lease_until), sa.func.min(_e.deadline_at), sa.func.min(_e.cancel_requested_at)).where(
    under_way
)
_REQUEST_CANCEL = (
    executions.update()
    .where(_e.id == bindparam("execution"), under_way, _e.cancel_requested_at.is_(None))
    .values(cancel_requested_at=bindparam("now"), cancel_reason=bindparam("reason"))
)
_OF_STATUS = sa.select(_e.id).where(_e.platform_id == bindparam("platform"))
_LIVE = tuple(status for status in Status if not status.terminal)
#: Each status by itself, from its part of the index, and no further than it is counted.
_COUNTS = sa.select(
    *(bounded_count(_OF_STATUS.where(is_(_e.status, one.value))).scalar_subquery().label(one.value) for one in _LIVE)
)
_OCCUPYING_UP_TO = {
    "queue": bounded_count(sa.select(_e.id).where(*_OF_PLATFORM, _e.queue == bindparam("name"))),
    "key": bounded_count(sa.select(_e.id).where(*_OF_PLATFORM, _e.concurrency_key == bindparam("name"))),
    "platform": bounded_count(sa.select(_e.id).where(*_OF_PLATFORM)),
}
_PROGRESS = (Field("id", _e.id.type), Field("fence", _e.fence.type), Field("progress", _e.progress.type))


class RunningTable(SqlTable):
    """The part of `ExecutionTable` that workers, admission and the reaper ask."""

    def occupying(
        self, platform_id: str, scope: str, names: Sequence[str], *, most: int | None = None
    ) -> dict[str, int]:
        if not names:
            return {}
        if most is not None:
            found = {name: self._occupying_up_to(most, platform_id, scope, name) for name in names}
            return {name: count for name, count in found.items() if count}
        if scope == "platform":
            rows = self._all(_OCCUPYING_PLATFORM, platform=platform_id)
        else:
            rows = self._all(_occupying(self._dialect, scope), platform=platform_id, names=to_json(names))
        return {name: count for name, count in rows if count and name in names}

    def _occupying_up_to(self, most: int, platform_id: str, scope: str, name: str) -> int:
        named = {} if scope == "platform" else {"name": name}
        return int(self._scalar(_OCCUPYING_UP_TO[scope], platform=platform_id, most=most, **named))

    def holders(self, platform_id: str, scope: str, name: str, limit: int) -> list[str]:
        named = {} if scope == "platform" else {"name": name}
        return [row[0] for row in self._all(_HOLDERS_OF[scope], platform=platform_id, limit=limit, **named)]

    def queued_handlers_of(self, ids: Sequence[str]) -> set[str]:
        if not ids:
            return set()
        return {handler for (handler,) in self._all(_handlers_of(self._dialect), ids=to_json(ids))}

    def queues_waiting(self, limit: int) -> list[str]:
        return [queue for (queue,) in self._all(_QUEUES_WAITING, limit=limit)]

    def unclaimed(self, queue: str, queued_before: datetime, limit: int) -> list[Dispatch]:
        rows = self._all(_UNCLAIMED, queue=queue, before=queued_before, limit=limit)
        return [
            Dispatch(execution_id, platform_id, queue, priority, traceparent(trace_id, span_id))
            for execution_id, platform_id, priority, trace_id, span_id in rows
        ]

    def queued_handlers(self, limit: int, *, platform_id: str | None = None) -> list[tuple[str, str, datetime]]:
        if platform_id is None:
            rows = self._all(_QUEUED_HANDLERS, limit=limit)
        else:
            rows = self._all(_QUEUED_HANDLERS_OF, limit=limit, platform=platform_id)
        return [(queue, handler, oldest) for queue, handler, oldest in rows]

    def depths(self, limit: int = 100_000) -> dict[str, int]:
        return {queue: int(count) for queue, count in self._all(_DEPTHS, limit=limit)}

    def renew(self, worker_id: str, lease_until: datetime) -> list[tuple[str, int, bool]]:
        self._session.put(_renew(self._dialect), {"worker": worker_id, "until": lease_until})
        rows = self._all(_HELD, worker=worker_id)
        return [(execution_id, fence, asked is not None) for execution_id, fence, asked in rows]

    def lease_over(self, limit: int, *, older_than: datetime | None = None) -> list[Execution]:
        return EXECUTION.rows(self._all(_LEASE_OVER, now=self._session.now, older_than=older_than, limit=limit))

    def make_up_for(self, step: timedelta, lease: timedelta, seen: datetime) -> None:
        now = self._session.now
        if step > timedelta(0):
            self._run(ATTEMPTS_FORWARD, {"now": micros(now)})
            return
        self._run(ATTEMPTS_BACK, {"now": micros(now), "latest": now + lease})
        self._run(RETRIES_BACK, {"by": -step // MICROSECOND, "later": max(seen, now)})

    def overdue(self, grace: timedelta, limit: int) -> list[Execution]:
        return EXECUTION.rows(self._all(_OVERDUE, before=self._session.now - grace, limit=limit))

    def next_over(self, grace: timedelta) -> datetime | None:
        (ends,) = self._all(ENDS)
        return first_end(ends, grace)

    def request_cancel(self, execution_id: str, reason: str) -> bool:
        parameters = {"execution": execution_id, "now": self._session.now, "reason": reason}
        return bool(self._run(_REQUEST_CANCEL, parameters).rowcount)

    def put_progress(self, progress: Sequence[tuple[str, int, Mapping[str, Any]]]) -> None:
        if progress:
            last = {(execution_id, fence): value for execution_id, fence, value in progress}
            packed = pack(_PROGRESS, [(*key, value) for key, value in last.items()])
            self._run(_put_progress(self._dialect, packed.shared, packed.varying), packed.parameters)

    def counts(self, platform_id: str, most: int) -> dict[str, int]:
        (row,) = self._all(_COUNTS, platform=platform_id, most=most)
        return {status.value: int(count) for status, count in zip(_LIVE, row, strict=True) if count}


def first_end(ends: Sequence[datetime | None], grace: timedelta) -> datetime | None:
    """Return when the first of `ENDS` is over; what a handler may still obey has its grace."""
    lease, deadline, cancel = ends
    over = (lease, deadline and deadline + grace, cancel and cancel + grace)
    return min((at for at in over if at is not None), default=None)


@lru_cache(4)
def _occupying(dialect: Dialect, scope: str) -> Any:
    column = _e.queue if scope == "queue" else _e.concurrency_key
    named = dialect.member(column, "names")
    return sa.select(column, sa.func.count()).where(*_OF_PLATFORM, named).group_by(column)


@lru_cache(2)
def _handlers_of(dialect: Dialect) -> Any:
    return sa.select(_e.handler).where(unended, still(_e.status, "queued"), dialect.member(_e.id, "ids")).distinct()


@lru_cache(2)
def _renew(dialect: Dialect) -> Any:
    # Rows somebody else has locked are left out: most of them are being settled, and to wait for a row that then moves
    # to another partition would fail the whole heartbeat. They count as held, and the next heartbeat renews them.
    free = _HELD.with_only_columns(_e.id).with_for_update(skip_locked=True).cte("held").prefix_with("MATERIALIZED")
    mine = executions.update().where(dialect.same_key(_e.id, free.c.id), unended, still(_e.status, "running"))
    return mine.values({_e.lease_until: bindparam("until"), **dialect.unchanged(_e.scheduled_at)})


@lru_cache(16)
def _put_progress(dialect: Dialect, shared: tuple[Field, ...], varying: tuple[Field, ...]) -> Any:
    given = cells(dialect, Packed(shared, varying, {}))
    return (
        executions.update()
        .where(dialect.same_key(_e.id, given["id"]), unended, still(_e.status, "running"), _e.fence == given["fence"])
        .values({_e.progress: given["progress"], **dialect.unchanged(_e.scheduled_at)})
    )
