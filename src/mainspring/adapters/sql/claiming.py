"""The claim: one statement that locks what a worker could run, lets it run there, and returns it.

What is locked is found first and written then, row by row by its key: a planner may not walk what others have locked.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam

from mainspring.adapters.sql.dialect import Dialect
from mainspring.adapters.sql.moves import MoveTable
from mainspring.adapters.sql.tables import TURN, executions, queued, still, unended
from mainspring.adapters.sql.types import MICROSECOND, micros, to_json
from mainspring.adapters.sql.waiting import EXECUTION
from mainspring.model.execution import Actor, Execution, Move, Status
from mainspring.ports.store import Claimable

_e = executions.c


class ClaimingTable(MoveTable):
    """The part of `ExecutionTable` that workers claim from."""

    def claim(self, worker_id: str, lease: timedelta, wanted: Claimable) -> list[Execution]:
        rooms = [(queue, min(room, wanted.limit)) for queue, room in wanted.queues.items() if room > 0]
        if not rooms or not wanted.handlers or wanted.limit <= 0 or (wanted.offered is not None and not wanted.offered):
            return []
        statement = _claim(self._dialect, len(rooms), offered=wanted.offered is not None)
        found = self._run(statement, self._parameters(worker_id, lease, rooms, wanted))
        claimed = sorted(EXECUTION.values(found), key=_turn)
        if claimed and self._session.record_transitions:
            to = Status.RUNNING
            moves = [Move(e.id, Status.QUEUED, to, Actor.WORKER, fence=e.fence - 1) for e in claimed]
            self._record_moves(moves, {e.id: e.fence for e in claimed})
        return claimed

    def _parameters(
        self, worker_id: str, lease: timedelta, rooms: Sequence[tuple[str, int]], wanted: Claimable
    ) -> dict[str, Any]:
        found: dict[str, Any] = {"worker": worker_id, "lease": lease // MICROSECOND, "limit": wanted.limit}
        found |= {"handlers": to_json(wanted.handlers), "ids": to_json(wanted.offered)}
        for number, (queue, room) in enumerate(rooms):
            found |= {f"queue_{number}": queue, f"room_{number}": room}
        # PostgreSQL has its now already, and we perhaps not yet.
        return found | {"now": micros(self._session.now)} if self._dialect.one_writer else found


def _turn(execution: Execution) -> tuple[int, datetime, str]:
    return -execution.priority, execution.scheduled_at or execution.created_at, execution.id


@lru_cache(64)
def _claim(dialect: Dialect, queues: int, *, offered: bool) -> Any:
    found = _offered(dialect, queues) if offered else _heads(dialect, queues)
    taken = found.cte("taken").prefix_with("MATERIALIZED")
    now = sa.type_coerce(dialect.now, sa.BigInteger)
    values = {
        _e.status: sa.literal_column("'running'"),
        _e.worker_id: bindparam("worker"),
        _e.attempt: _e.attempt + 1,
        _e.fence: _e.fence + 1,
        _e.started_at: now,
        _e.lease_until: now + bindparam("lease", type_=sa.BigInteger),
        _e.deadline_at: now + sa.type_coerce(_e.timeout, sa.BigInteger) * 1000,
        **dialect.unchanged(_e.scheduled_at),
    }
    here = (dialect.same_key(_e.id, taken.c.id), unended, still(_e.status, "queued"))
    return executions.update().where(*here).values(values).returning(*(_e[name] for name in EXECUTION.names))


def _heads(dialect: Dialect, queues: int) -> sa.Select[Any]:
    """Take the head of each queue's line, then the best of these: a long line is not read to its end."""
    lines = [
        _locked(queued, _e.queue == bindparam(f"queue_{number}"), *_may_start(dialect)).limit(
            bindparam(f"room_{number}")
        )
        for number in range(queues)
    ]
    if queues == 1:
        return lines[0]
    heads = sa.union_all(*(sa.select(line.subquery(f"line_{number}")) for number, line in enumerate(lines)))
    return _best(heads.subquery("heads"))


def _offered(dialect: Dialect, queues: int) -> sa.Select[Any]:
    """Take those that were named, of each queue as many as there is room for: any stream may name any of them."""
    # By their ids, however long the queue is: its index is not to be thought of.
    named = (unended, still(_e.status, "queued"), dialect.member(_e.id, "ids"), *_may_start(dialect))
    if queues == 1:
        return _locked(*named, _e.queue == bindparam("queue_0")).limit(bindparam("room_0"))
    of = sa.or_(*(_e.queue == bindparam(f"queue_{number}") for number in range(queues)))
    locked = _locked(*named, of).cte("locked").prefix_with("MATERIALIZED")
    order = (locked.c.priority.desc(), locked.c.turn_at, locked.c.id)
    place = sa.func.row_number().over(partition_by=locked.c.queue, order_by=order).label("place")
    lines = sa.select(locked, place).subquery("lines")
    room = sa.case(
        *((lines.c.queue == bindparam(f"queue_{n}"), bindparam(f"room_{n}")) for n in range(queues)), else_=0
    )
    return _best(lines, lines.c.place <= room)


def _best(lines: Any, *where: Any) -> sa.Select[Any]:
    best = sa.select(lines.c.id).where(*where).order_by(lines.c.priority.desc(), lines.c.turn_at, lines.c.id)
    return best.limit(bindparam("limit"))


def _locked(*where: Any) -> sa.Select[Any]:
    found = sa.select(_e.id, _e.queue, _e.priority, _e.turn_at).where(*where)
    return found.order_by(*TURN).with_for_update(skip_locked=True)


def _may_start(dialect: Dialect) -> tuple[sa.ColumnElement[bool], ...]:
    """What the worker has a handler for, and nobody has cancelled, and is not too late to start."""
    in_time = sa.or_(_e.start_deadline_at.is_(None), _e.start_deadline_at > dialect.now)
    return dialect.member(_e.handler, "handlers"), _e.cancel_requested_at.is_(None), in_time
