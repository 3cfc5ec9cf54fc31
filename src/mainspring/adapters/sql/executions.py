"""Executions as rows: adding, reading and listing them, their ended attempts, and deleting what is over."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam

from mainspring.adapters.sql.batches import shape
from mainspring.adapters.sql.claiming import ClaimingTable
from mainspring.adapters.sql.dialect import Dialect
from mainspring.adapters.sql.running import RunningTable
from mainspring.adapters.sql.tables import (
    attempts,
    dead_letters,
    execution_logs,
    executions,
    is_,
    live,
    outbox,
    transitions,
    unended,
    unlive,
    unpublished,
)
from mainspring.adapters.sql.types import to_json
from mainspring.adapters.sql.waiting import EXECUTION, WaitingTable
from mainspring.model.execution import TERMINAL, Attempt, Execution, Status, Transition
from mainspring.model.job import ActiveExecution
from mainspring.ports.store import ExecutionQuery

_ATTEMPT, _TRANSITION = shape(Attempt, attempts), shape(Transition, transitions)
_e = executions.c

_GET = EXECUTION.select.where(_e.id == bindparam("execution"))
# Looked for in turn: what is locked has seldom ended, and what has ended changes no more and needs no lock.
_GET_LOCKED = (_GET.where(unended).with_for_update(), _GET.where(unlive))
# In an order no index has: for one that is as good as sorted, a planner would walk all that is live.
_ACTIVE = sa.select(
    _e.id,
    _e.job_id,
    _e.status,
    _e.buffered,
    _e.created_at,
    _e.scheduled_at,
    _e.cancel_requested_at.is_not(None),
    _e.blocked_by,
).order_by(sa.func.coalesce(_e.id, ""))
_ATTEMPTS = _ATTEMPT.select.where(attempts.c.execution_id == bindparam("execution")).order_by(attempts.c.fence)
_TRANSITIONS = _TRANSITION.select.order_by(transitions.c.number)
_UNDELIVERED = sa.select(outbox.c.subject).where(unpublished, outbox.c.subject.is_not(None))


class SqlExecutionTable(ClaimingTable, WaitingTable, RunningTable):
    """`ExecutionTable` in SQL."""

    def add(self, executions: Sequence[Execution]) -> None:
        self._put_values(EXECUTION, executions, conflict="one of these executions exists already")
        if self._session.record_transitions:
            self._record_new(executions)

    def get(self, execution_id: str, *, lock: bool = False) -> Execution | None:
        for statement in _GET_LOCKED if lock and not self._dialect.one_writer else (_GET,):
            row = self._first(statement, execution=execution_id)
            if row is not None:
                return EXECUTION.row(row)
        return None

    def hold(self, execution_ids: Sequence[str]) -> None:
        if execution_ids and not self._dialect.one_writer:
            self._all(_held(self._dialect), ids=to_json(execution_ids))

    def find(self, query: ExecutionQuery) -> list[Execution]:
        statement = EXECUTION.select
        for column in (_e.platform_id, _e.job_id, _e.handler, _e.queue, _e.retry_of):
            wanted = getattr(query, column.key)
            if wanted is not None:
                statement = statement.where(column == wanted)
        if query.since is not None:
            statement = statement.where(_e.created_at >= query.since)
        if query.before_id is not None:
            statement = statement.where(_e.id < query.before_id)
        if query.statuses:
            statement = _of_any(statement, query.statuses, query.limit)
        return EXECUTION.rows(self._all(statement.order_by(sa.desc("id")).limit(sa.literal(query.limit))))

    def active_of(self, job_ids: Sequence[str]) -> list[ActiveExecution]:
        if not job_ids:
            return []
        return [ActiveExecution(*row) for row in self._all(_active_of(self._dialect), ids=to_json(job_ids))]

    def add_attempts(self, attempts: Sequence[Attempt]) -> None:
        first = {(attempt.execution_id, attempt.fence): attempt for attempt in reversed(attempts)}
        self._put_values(_ATTEMPT, list(first.values()), on_conflict="keep")

    def attempts(self, execution_id: str) -> list[Attempt]:
        return _ATTEMPT.rows(self._all(_ATTEMPTS, execution=execution_id))

    def attempts_of(self, execution_ids: Sequence[str]) -> list[Attempt]:
        if not execution_ids:
            return []
        return _ATTEMPT.rows(self._all(_attempts_of(self._dialect), ids=to_json(execution_ids)))

    def transitions(self, execution_id: str | None = None) -> list[Transition]:
        if execution_id is None:
            return _TRANSITION.rows(self._all(_TRANSITIONS))
        return _TRANSITION.rows(self._all(_TRANSITIONS.where(transitions.c.execution_id == execution_id)))

    def transitions_of(self, execution_ids: Sequence[str]) -> list[Transition]:
        if not execution_ids:
            return []
        return _TRANSITION.rows(self._all(_transitions_of(self._dialect), ids=to_json(execution_ids)))

    def delete_ended(self, before: datetime, limit: int) -> int:
        ids = list(self._run(_old(self._dialect), {"before": before, "limit": limit}).scalars())
        if ids:
            for statement in _deletes(self._dialect):
                self._run(statement, {"ids": to_json(ids)})
        return len(ids)


def _of_any(statement: sa.Select[Any], statuses: Sequence[Status], limit: int) -> sa.Select[Any]:
    """Look up the newest of each status by itself: among all there ever was, those wanted may lie far apart."""
    by_status = [statement.where(is_(_e.status, status.value)) for status in dict.fromkeys(statuses)]
    if len(by_status) == 1:
        return by_status[0]
    newest = [one.order_by(_e.id.desc()).limit(sa.literal(limit)).subquery() for one in by_status]
    found = sa.union_all(*map(sa.select, newest)).subquery("found")
    return sa.select(*(found.c[name] for name in EXECUTION.names))


@lru_cache(2)
def _held(dialect: Dialect) -> Any:
    # Sorted first and locked then, one row after the other.
    return sa.select(_e.id).where(unended, dialect.member(_e.id, "ids")).order_by(_e.id).with_for_update()


@lru_cache(2)
def _active_of(dialect: Dialect) -> Any:
    # SQLite has a partial index for what is live; on PostgreSQL that is a table of its own.
    among = live if dialect.one_writer else unended
    return _ACTIVE.where(among, _e.job_id.is_not(None), dialect.member(_e.job_id, "ids"))


@lru_cache(2)
def _old(dialect: Dialect) -> sa.Select[Any]:
    """Lock what ended before an instant, has no event to deliver and is no open dead letter."""
    e = dialect.deleted_by_row(executions).c
    redrivable = sa.select(dead_letters.c.status).where(
        dead_letters.c.execution_id == e.id, is_(dead_letters.c.status, "open")
    )
    return (
        sa.select(e.id)
        .where(
            e.finished_at.is_not(None),
            e.finished_at < bindparam("before"),
            e.status.in_(sorted(TERMINAL)),
            e.id.not_in(_UNDELIVERED),
            ~redrivable.correlate(e.id.table).exists(),
        )
        .order_by(e.finished_at)
        .limit(bindparam("limit"))
        .with_for_update(skip_locked=True)
    )


@lru_cache(2)
def _attempts_of(dialect: Dialect) -> Any:
    wanted = dialect.member(attempts.c.execution_id, "ids")
    return _ATTEMPT.select.where(wanted).order_by(attempts.c.execution_id, attempts.c.fence)


@lru_cache(2)
def _transitions_of(dialect: Dialect) -> Any:
    wanted = dialect.member(transitions.c.execution_id, "ids")
    return _TRANSITION.select.where(wanted).order_by(transitions.c.execution_id, transitions.c.number)


@lru_cache(2)
def _deletes(dialect: Dialect) -> tuple[Any, ...]:
    columns = (attempts.c.execution_id, execution_logs.c.execution_id, executions.c.id)
    return tuple(sa.delete(column.table).where(dialect.member(column, "ids")) for column in columns)
