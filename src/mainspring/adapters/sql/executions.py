"""Executions: adding, moving, and what workers, dispatcher and reaper look for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import sqlalchemy as sa

from mainspring.adapters.sql import tables as t
from mainspring.adapters.sql.connection import SqlConnection
from mainspring.adapters.sql.dialect import batch, insert_batch, pack, update_batch
from mainspring.adapters.sql.tables import executions
from mainspring.adapters.sql.values import BOOL, INSTANT, JSON, RETRY, SPAN, Codec, enum, from_micros, to_micros
from mainspring.errors import ConflictError
from mainspring.model.execution import LIVE, Actor, Attempt, Cause, Execution, Failure, Move, Status, Transition
from mainspring.model.ids import id_floor
from mainspring.model.job import ActiveExecution
from mainspring.ports.store import ExecutionQuery

_E = executions.c
_INSTANTS = [name for name in Execution.__dataclass_fields__ if name.endswith(("_at", "_until"))]
_JSON = ("payload", "event", "result", "error", "progress", "usage")

CODEC: Codec[Execution] = Codec(
    Execution,
    tuple(Execution.__dataclass_fields__),
    status=enum(Status),
    cause=enum(Cause),
    failure=enum(Failure),
    timeout=SPAN,
    retry=RETRY,
    buffered=BOOL,
    **dict.fromkeys(_INSTANTS, INSTANT),
    **dict.fromkeys(_JSON, JSON),
)
_ATTEMPT: Codec[Attempt] = Codec(
    Attempt, tuple(Attempt.__dataclass_fields__), started_at=INSTANT, ended_at=INSTANT, error=JSON
)
_TRANSITION: Codec[Transition] = Codec(
    Transition,
    tuple(Transition.__dataclass_fields__),
    source=enum(Status),
    to=enum(Status),
    actor=enum(Actor),
    at=INSTANT,
)
_ALL = [_E[name] for name in CODEC.columns]
_TURN = sa.literal_column("coalesce(scheduled_at, created_at)", sa.BigInteger)
_BY_TURN = (_E.priority.desc(), _TURN, _E.id)
_NOW = sa.bindparam("now", type_=sa.BigInteger)
_LIMIT = sa.bindparam("limit", type_=sa.Integer)
_BY_DISPATCHER = frozenset({Cause.SCHEDULE, Cause.EVENT, Cause.BACKFILL, Cause.CHAIN})


def _locked(*conditions: Any, order: Sequence[Any]) -> sa.Select[Any]:
    """Return a select of whole rows, locked against others, who skip them."""
    return sa.select(*_ALL).where(*conditions).order_by(*order).limit(_LIMIT).with_for_update(skip_locked=True)


_PROMOTABLE = _locked(
    t.UNQUEUED, sa.text("blocked_by IS NULL"), _E.available_at <= _NOW, order=(_E.priority.desc(), _E.available_at, _E.id)
)
_NEXT_AVAILABLE = sa.select(sa.func.min(_E.available_at)).where(t.UNQUEUED, sa.text("blocked_by IS NULL"))
_BLOCKERS = (
    sa.select(
        _E.platform_id,
        _E.blocked_by,
        sa.case((_E.blocked_by.in_(("overlap", "job")), _E.job_id), else_=sa.null()).label("job"),
    )
    .where(sa.text("blocked_by IS NOT NULL"), t.UNQUEUED)
    .distinct()
    .order_by(sa.text("1, 2, 3"))
    .limit(_LIMIT)
)
_BLOCKED_BY = (
    sa.text("blocked_by IS NOT NULL"),
    t.UNQUEUED,
    _E.platform_id == sa.bindparam("platform"),
    _E.blocked_by == sa.bindparam("blocker"),
)
_BLOCKED = _locked(*_BLOCKED_BY, order=_BY_TURN)
_BLOCKED_OF_JOB = _locked(*_BLOCKED_BY, _E.job_id == sa.bindparam("job"), order=_BY_TURN)
_LEASE_OVER = _locked(t.HELD, t.RUNNING, _E.lease_until <= _NOW, order=(_E.id,))
_LEASE_BEFORE = _locked(
    t.HELD, t.RUNNING, sa.or_(_E.lease_until <= _NOW, _E.started_at < sa.bindparam("before")), order=(_E.id,)
)
_OVERDUE = _locked(
    t.HELD,
    sa.or_(_E.deadline_at <= sa.bindparam("before"), _E.cancel_requested_at <= sa.bindparam("before")),
    order=(_E.id,),
)
_START_EXPIRED = _locked(
    sa.text("start_deadline_at IS NOT NULL"), t.UNSTARTED, _E.start_deadline_at <= _NOW, order=(_E.id,)
)
_RENEW = (
    sa.update(executions)
    .where(t.HELD, t.RUNNING, _E.worker_id == sa.bindparam("worker"))
    .values(lease_until=sa.bindparam("until"))
    .returning(_E.id, _E.fence, _E.cancel_requested_at)
)
_REQUEST_CANCEL = (
    sa.update(executions)
    .where(t.HELD, _E.id == sa.bindparam("execution"), _E.cancel_requested_at.is_(None))
    .values(cancel_requested_at=_NOW, cancel_reason=sa.bindparam("reason"))
    .returning(_E.id)
)
_ACTIVE = [_E.id, _E.job_id, _E.status, _E.buffered, _E.created_at, _E.scheduled_at, _E.cancel_requested_at, _E.blocked_by]


@cache
def _claimable() -> sa.Select[Any]:
    return _locked(
        t.QUEUED,
        _E.queue == sa.bindparam("queue"),
        _E.handler.in_(sa.bindparam("handlers", expanding=True)),
        _E.cancel_requested_at.is_(None),
        sa.or_(_E.start_deadline_at.is_(None), _E.start_deadline_at > _NOW),
        order=_BY_TURN,
    )


class SqlExecutionTable:
    """`ExecutionTable` in SQL."""

    def __init__(self, connection: SqlConnection, *, record_transitions: bool) -> None:
        self._sql, self._record = connection, record_transitions

    # -- writing -------------------------------------------------------------------------------------------------

    def add(self, executions: Sequence[Execution]) -> None:
        if not executions:
            return
        statement = insert_batch(self._sql.dialect, t.executions, CODEC.columns)
        with self._sql.conflicts(lambda: ConflictError("an execution of that id exists already")):
            self._sql.execute(statement, pack(CODEC.rows(executions)))
        self._remember([
            Transition(
                e.id, None, e.status, Actor.DISPATCHER if e.cause in _BY_DISPATCHER else Actor.API, e.fence, self._sql.now
            )
            for e in executions
        ])

    def move(self, moves: Sequence[Move]) -> set[str]:
        made: set[str] = set()
        for group in _alike(moves):
            accepted = self._moved(group, tuple(group[0].set))
            made |= accepted
            self._remember([
                Transition(m.execution_id, m.source, m.to, m.actor, self._fence(m), self._sql.now)
                for m in group
                if m.execution_id in accepted
            ])
        return made

    def _moved(self, group: Sequence[Move], names: tuple[str, ...]) -> set[str]:
        statement = _move(self._sql.dialect, group[0].source, group[0].to, names, group[0].fence is not None)
        rows = [
            [m.execution_id, m.fence, *(CODEC.column(name, m.set[name]) for name in names)] for m in group
        ]
        return {row[0] for row in self._sql.execute(statement, pack(rows))}

    def _fence(self, move: Move) -> int:
        if "fence" in move.set:
            return int(move.set["fence"])
        if move.fence is not None:
            return move.fence
        found = self._sql.execute(sa.select(_E.fence).where(_E.id == move.execution_id)).scalar_one()
        return int(found)

    def _remember(self, transitions: Sequence[Transition]) -> None:
        if self._record and transitions:
            statement = insert_batch(self._sql.dialect, t.transitions, _TRANSITION.columns)
            self._sql.execute(statement, pack(_TRANSITION.rows(transitions)))

    def set_blocked(self, blocked: Mapping[str, str | None]) -> None:
        if not blocked:
            return
        statement = update_batch(
            self._sql.dialect, t.executions, ("id",), ("blocked_by", "buffered"), (t.UNQUEUED.text,)
        )
        self._sql.execute(statement, pack([[i, by, by == "overlap"] for i, by in blocked.items()]))

    def renew(self, worker_id: str, lease_until: datetime) -> list[tuple[str, int, bool]]:
        rows = self._sql.execute(_RENEW, {"worker": worker_id, "until": to_micros(lease_until)}).all()
        return sorted((row[0], row[1], row[2] is not None) for row in rows)

    def request_cancel(self, execution_id: str, reason: str) -> bool:
        parameters = {"execution": execution_id, "reason": reason, "now": self._sql.micros}
        return self._sql.execute(_REQUEST_CANCEL, parameters).first() is not None

    def put_progress(self, progress: Sequence[tuple[str, int, Mapping[str, Any]]]) -> None:
        if progress:
            statement = update_batch(
                self._sql.dialect, t.executions, ("id", "fence"), ("progress",), (t.RUNNING.text,)
            )
            self._sql.execute(statement, pack([[i, f, CODEC.column("progress", p)] for i, f, p in progress]))

    # -- reading -------------------------------------------------------------------------------------------------

    def get(self, execution_id: str, *, lock: bool = False) -> Execution | None:
        statement = sa.select(*_ALL).where(_E.id == execution_id)
        row = self._sql.execute(statement.with_for_update() if lock else statement).first()
        return None if row is None else CODEC.read(row)

    def find(self, query: ExecutionQuery) -> list[Execution]:
        q = query
        statement = sa.select(*_ALL).order_by(_E.id.desc()).limit(q.limit)
        wanted = (
            (_E.platform_id, q.platform_id),
            (_E.job_id, q.job_id),
            (_E.handler, q.handler),
            (_E.queue, q.queue),
            (_E.retry_of, q.retry_of),
        )
        statement = statement.where(*(column == value for column, value in wanted if value is not None))
        if q.statuses:
            statement = statement.where(_E.status.in_([s.value for s in q.statuses]))
            if LIVE.issuperset(q.statuses):
                statement = statement.where(t.LIVE)
        if q.since is not None:
            statement = statement.where(_E.created_at >= to_micros(q.since))
        if q.before_id is not None:
            statement = statement.where(_E.id < q.before_id)
        return [CODEC.read(row) for row in self._sql.execute(statement)]

    def active_of(self, job_ids: Sequence[str]) -> list[ActiveExecution]:
        if not job_ids:
            return []
        statement = sa.select(*_ACTIVE).where(t.LIVE, _E.job_id.in_(list(dict.fromkeys(job_ids)))).order_by(_E.id)
        return [
            ActiveExecution(
                row[0],
                row[1],
                Status(row[2]),
                bool(row[3]),
                self._sql.instant(row[4]),
                from_micros(row[5]),
                row[6] is not None,
                row[7],
            )
            for row in self._sql.execute(statement)
        ]

    def promotable(self, limit: int) -> list[Execution]:
        return self._read(_PROMOTABLE, {"now": self._sql.micros, "limit": limit})

    def next_available_at(self) -> datetime | None:
        return from_micros(self._sql.execute(_NEXT_AVAILABLE).scalar())

    def blockers(self, limit: int) -> list[tuple[str, str, str | None]]:
        return [(row[0], row[1], row[2]) for row in self._sql.execute(_BLOCKERS, {"limit": limit})]

    def blocked(self, platform_id: str, blocked_by: str, *, job_id: str | None, limit: int) -> list[Execution]:
        parameters = {"platform": platform_id, "blocker": blocked_by, "limit": limit}
        if job_id is None:
            return self._read(_BLOCKED, parameters)
        return self._read(_BLOCKED_OF_JOB, {**parameters, "job": job_id})

    def occupying(self, platform_id: str, scope: str, names: Sequence[str]) -> dict[str, int]:
        column = _scope(scope)
        statement = (
            sa.select(column, sa.func.count())
            .where(t.LIVE, _E.status.in_(("queued", "running")), _E.platform_id == platform_id, column.in_(list(names)))
            .group_by(column)
        )
        return {row[0]: row[1] for row in self._sql.execute(statement)}

    def holders(self, platform_id: str, scope: str, name: str, limit: int) -> list[str]:
        statement = (
            sa.select(_E.id)
            .where(t.LIVE, _E.status.in_(("queued", "running")), _E.platform_id == platform_id, _scope(scope) == name)
            .order_by(_E.id)
            .limit(limit)
        )
        return list(self._sql.execute(statement).scalars())

    def pending_count(self, platform_id: str) -> int:
        statement = sa.select(sa.func.count()).where(t.LIVE, _E.status == "pending", _E.platform_id == platform_id)
        return int(self._sql.execute(statement.select_from(t.executions)).scalar_one())

    def queued_since(self, platform_id: str, queue: str, since: datetime) -> int:
        statement = (
            sa.select(sa.func.count())
            .select_from(t.executions)
            .where(_E.platform_id == platform_id, _E.queue == queue, _E.queued_at >= to_micros(since))
        )
        return int(self._sql.execute(statement).scalar_one())

    def claimable(self, queues: Mapping[str, int], handlers: Sequence[str], limit: int) -> list[Execution]:
        found: list[Execution] = []
        for queue, room in queues.items():
            parameters = {
                "queue": queue,
                "handlers": list(handlers),
                "limit": min(room, limit),
                "now": self._sql.micros,
            }
            found += self._read(_claimable(), parameters) if room > 0 else []
        if len(queues) > 1:
            found.sort(key=lambda e: (-e.priority, e.scheduled_at or e.created_at, e.id))
        return found[:limit]

    def queued_handlers(self, limit: int) -> list[tuple[str, str, datetime]]:
        oldest = sa.func.min(sa.func.coalesce(_E.queued_at, _E.created_at))
        statement = (
            sa.select(_E.queue, _E.handler, oldest)
            .where(t.QUEUED)
            .group_by(_E.queue, _E.handler)
            .order_by(oldest, _E.queue, _E.handler)
            .limit(limit)
        )
        return [(row[0], row[1], self._sql.instant(row[2])) for row in self._sql.execute(statement)]

    def lease_over(self, limit: int, *, older_than: datetime | None = None) -> list[Execution]:
        parameters = {"now": self._sql.micros, "limit": limit}
        if older_than is None:
            return self._read(_LEASE_OVER, parameters)
        return self._read(_LEASE_BEFORE, {**parameters, "before": to_micros(older_than)})

    def overdue(self, grace: timedelta, limit: int) -> list[Execution]:
        return self._read(_OVERDUE, {"before": to_micros(self._sql.now - grace), "limit": limit})

    def start_expired(self, limit: int) -> list[Execution]:
        return self._read(_START_EXPIRED, {"now": self._sql.micros, "limit": limit})

    def counts(self, platform_id: str) -> dict[str, int]:
        statement = (
            sa.select(_E.status, sa.func.count()).where(t.LIVE, _E.platform_id == platform_id).group_by(_E.status)
        )
        return {row[0]: row[1] for row in self._sql.execute(statement)}

    def _read(self, statement: sa.Select[Any], parameters: Mapping[str, Any]) -> list[Execution]:
        return [CODEC.read(row) for row in self._sql.execute(statement, parameters)]

    # -- attempts, history, retention ----------------------------------------------------------------------------

    def add_attempts(self, attempts: Sequence[Attempt]) -> None:
        if attempts:
            statement = insert_batch(self._sql.dialect, t.attempts, _ATTEMPT.columns, "nothing")
            self._sql.execute(statement, pack(_ATTEMPT.rows(attempts)))

    def attempts(self, execution_id: str) -> list[Attempt]:
        columns = [t.attempts.c[name] for name in _ATTEMPT.columns]
        statement = sa.select(*columns).where(t.attempts.c.execution_id == execution_id).order_by(t.attempts.c.fence)
        return [_ATTEMPT.read(row) for row in self._sql.execute(statement)]

    def transitions(self, execution_id: str | None = None) -> list[Transition]:
        columns = [t.transitions.c[name] for name in _TRANSITION.columns]
        statement = sa.select(*columns).order_by(t.transitions.c.seq)
        if execution_id is not None:
            statement = statement.where(t.transitions.c.execution_id == execution_id)
        return [_TRANSITION.read(row) for row in self._sql.execute(statement)]

    def delete_ended(self, before: datetime, limit: int) -> int:
        undelivered = sa.select(t.outbox.c.id).where(t.UNPUBLISHED, t.outbox.c.subject == _E.id).exists()
        statement = (
            sa.select(_E.id)
            # What finished before an instant was made before it: its id says so, and ends the walk there.
            .where(_E.id < id_floor(before), _E.status.in_(("success", "failed", "cancelled", "expired")))
            .where(_E.finished_at < to_micros(before), ~undelivered)
            .order_by(_E.id)
            .limit(limit)
        )
        ids = list(self._sql.execute(statement).scalars())
        for column in (t.execution_logs.c.execution_id, t.attempts.c.execution_id, _E.id) if ids else ():
            self._sql.execute(sa.delete(column.table).where(column.in_(ids)))
        return len(ids)


@cache
def _move(dialect: str, source: Status, to: Status, names: tuple[str, ...], fenced: bool) -> Any:
    columns = (("id", _E.id.type), ("held", sa.Integer()), *((name, _E[name].type) for name in names))
    rows, given = batch(dialect, columns)
    statement = sa.update(executions).values({"status": to.value, **{name: given[name] for name in names}})
    statement = statement.where(_E.id == given["id"], _E.status == source.value)
    if fenced:
        statement = statement.where(_E.fence == given["held"])
    return statement.returning(_E.id)


def _alike(moves: Sequence[Move]) -> list[list[Move]]:
    groups: dict[tuple[Any, ...], list[Move]] = defaultdict(list)
    for move in moves:
        groups[(move.source, move.to, move.actor, move.fence is None, tuple(move.set))].append(move)
    return list(groups.values())


def _scope(scope: str) -> Any:
    columns: dict[str, Callable[[], Any]] = {
        "queue": lambda: _E.queue,
        "key": lambda: _E.concurrency_key,
        "platform": lambda: sa.literal_column("''", sa.Text),
    }
    return columns[scope]()
