"""The one way an execution changes its status: conditional updates, a batch of them in as few statements as it goes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from mainspring.adapters.sql.batches import Field, Packed, cells, pack, pack_columns
from mainspring.adapters.sql.dialect import Dialect
from mainspring.adapters.sql.session import SqlTable
from mainspring.adapters.sql.tables import executions, still, transitions, unended
from mainspring.model.execution import BY_DISPATCHER, Actor, Execution, Move, Moves, Status

_e = executions.c
_WAS_ID = Field("was_id", _e.id.type)
_WAS_FENCE = Field("was_fence", _e.fence.type)
_STATUS = Field("status", _e.status.type)
_TRANSITION = tuple(
    Field(name, transitions.c[name].type) for name in ("execution_id", "source", "to", "actor", "fence", "at")
)

#: Which moves go together: the status they start from, whether they ask for a fence, and the fields they set.
_Group = tuple[Status, bool, tuple[str, ...]]


class MoveTable(SqlTable):
    """The part of `ExecutionTable` that moves executions. Moves of one batch do not build on each other."""

    def move(self, moves: Sequence[Move]) -> set[str]:
        fences: dict[str, int] = {}
        for group, members in _grouped(moves).items():
            fences.update(self._move(group, members))
        if self._session.record_transitions:
            self._record_moves([m for m in moves if m.execution_id in fences], fences)
        return set(fences)

    def move_alike(self, moves: Moves) -> set[str]:
        if not moves.ids:
            return set()
        same = [(_STATUS, moves.to), *((Field(name, _e[name].type), value) for name, value in moves.shared.items())]
        own = [(Field(name, _e[name].type), values) for name, values in moves.own.items()]
        packed = pack_columns(same, [(_WAS_ID, moves.ids), (_WAS_FENCE, moves.fences), *own])
        statement = _statement(self._dialect, packed.shared, packed.varying, moves.source)
        fences = dict(self._all(statement, **packed.parameters))
        if self._session.record_transitions:
            self._record_moves([m for m in moves.each() if m.execution_id in fences], fences)
        return set(fences)

    def _move(self, group: _Group, moves: Iterable[Move]) -> dict[str, int]:
        source, fenced, names = group
        fields = (_WAS_ID, *((_WAS_FENCE,) if fenced else ()), _STATUS, *(Field(n, _e[n].type) for n in names))
        rows = [
            (
                move.execution_id,
                *((move.fence,) if fenced else ()),
                move.to,
                *[move.set[name] for name in names],
            )
            for move in moves
        ]
        packed = pack(fields, rows)
        statement = _statement(self._dialect, packed.shared, packed.varying, source)
        return dict(self._all(statement, **packed.parameters))

    def _record_moves(self, moves: Sequence[Move], fences: dict[str, int]) -> None:
        now = self._session.now
        rows = [(m.execution_id, m.source, m.to, m.actor, fences[m.execution_id], now) for m in moves]
        self._put(transitions, _TRANSITION, rows)

    def _record_new(self, executions: Sequence[Execution]) -> None:
        rows = [
            (
                e.id,
                None,
                e.status,
                Actor.DISPATCHER if e.cause in BY_DISPATCHER else Actor.API,
                e.fence,
                self._session.now,
            )
            for e in executions
        ]
        self._put(transitions, _TRANSITION, rows)


def _grouped(moves: Sequence[Move]) -> dict[_Group, Iterable[Move]]:
    groups: dict[_Group, dict[tuple[str, int | None], Move]] = {}
    for move in moves:
        group = groups.setdefault((move.source, move.fence is not None, tuple(move.set)), {})
        # Of two moves on the same condition only the first can be made; to UPDATE ... FROM they would be one.
        group.setdefault((move.execution_id, move.fence), move)
    return {key: list(group.values()) for key, group in groups.items()}


@lru_cache(512)
def _statement(dialect: Dialect, shared: tuple[Field, ...], varying: tuple[Field, ...], source: Status) -> Any:
    given = dict(cells(dialect, Packed(shared, varying, {})))
    # Words of the statement and no parameters: a planner that reads them does not so much as open what has ended.
    key = dialect.same_key(_e.id, given.pop("was_id"))
    statement = executions.update().where(key, unended, still(_e.status, source.value))
    if "was_fence" in given:
        statement = statement.where(_e.fence == given.pop("was_fence"))
    values: dict[Any, Any] = {
        **dialect.unchanged(_e.scheduled_at),
        **{_e[name]: value for name, value in given.items()},
    }
    return statement.values(values).returning(_e.id, _e.fence)
