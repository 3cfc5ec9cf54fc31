"""New executions that are queued at once, in one statement that is all there is to its transaction.

It asks for limits itself. On PostgreSQL it makes ids and instants of the clock that is read in front of it, too:
nothing has to be known before it is sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from operator import attrgetter
from typing import Any

import sqlalchemy as sa

from mainspring.adapters.sql.batches import Field, Packed, cells, pack, pack_values
from mainspring.adapters.sql.dialect import Dialect
from mainspring.adapters.sql.moves import MoveTable
from mainspring.adapters.sql.tables import executions, limits, queued
from mainspring.adapters.sql.vacancies import COLUMNS, handing, vacancy
from mainspring.adapters.sql.waiting import EXECUTION
from mainspring.model.execution import Execution
from mainspring.model.ids import Ids

_e = executions.c

#: What the statement itself puts into a row: the id is made of the clock, too.
_NOW, _ID = ("created_at", "available_at", "queued_at"), ("id", "idempotency_key")
_GIVEN = tuple(field for field in EXECUTION.fields if field.name not in _NOW + _ID)
_values = attrgetter(*(field.name for field in _GIVEN))
#: Bytes of a payload with which the row surely has room in a notification.
_FITS = 2_000
_TAIL, _FLOOR = Field("tail", sa.Text()), Field("floor", sa.BigInteger())


class QueueingTable(MoveTable):
    """The part of `ExecutionTable` for what nothing is asked of before."""

    def queue(self, new: Sequence[Execution], ids: Ids) -> list[Execution]:
        """Add executions of one platform; return them as stored. None, and nothing is done, where it has a limit."""
        stored = self._queue_in_file(new, ids) if self._dialect.one_writer else self._queue(new, ids)
        if self._session.record_transitions and stored:
            self._record_new(stored)
        return stored

    def _queue_in_file(self, new: Sequence[Execution], ids: Ids) -> list[Execution]:
        """Do it where the clock was read as the transaction began."""
        now = self._session.now
        made = ids.several(now, len(new))
        stored = [_stored(execution, made_id, now) for execution, made_id in zip(new, made, strict=True)]
        packed = pack_values(EXECUTION, stored, leave_out_null=True)
        statement = _queue_in_file(self._dialect, packed.shared, packed.varying)
        return stored if self._run(statement, packed.parameters).rowcount else []

    def _queue(self, new: Sequence[Execution], ids: Ids) -> list[Execution]:
        floor, tails = ids.tails(len(new))
        rows = [(tail, floor, *_values(execution)) for tail, execution in zip(tails, new, strict=True)]
        packed = pack((_TAIL, _FLOOR, *_GIVEN), rows, leave_out_null=True)
        if len(new) == 1 and self._session.hands_on:
            made = self._handed_on(packed)
        else:
            made = self._all(_queue(self._dialect, packed.shared, packed.varying), **packed.parameters)
        if not made:
            return []
        # They begin alike and ascend as their tails do; in which order a database returns them it does not say.
        stored = [_stored(execution, *one) for execution, one in zip(new, sorted(made), strict=True)]
        ids.made(stored[-1].id)
        return stored

    def _handed_on(self, packed: Packed) -> Sequence[tuple[Any, ...]]:
        """Add one, claimed for a worker at rest where one lends a slot (see `vacancies`)."""
        made = self._session.hand_on(_queue_for(self._dialect, packed.shared), packed.parameters).rows
        return [row[:2] for row in made if row[0] is not None]


def _stored(execution: Execution, made_id: str, now: datetime) -> Execution:
    return execution.changed(**dict.fromkeys(_ID, made_id), **dict.fromkeys(_NOW, now))


@lru_cache(64)
def _queue_in_file(dialect: Dialect, shared: tuple[Field, ...], varying: tuple[Field, ...]) -> Any:
    values = cells(dialect, Packed(shared, varying, {}))
    return executions.insert().from_select(list(values), sa.select(*values.values()).where(~_limited(values)))


@lru_cache(64)
def _queue(dialect: Dialect, shared: tuple[Field, ...], varying: tuple[Field, ...]) -> Any:
    values, _, limited = _made(dialect, shared, varying)
    rows = sa.select(*values.values()).where(~limited)
    return executions.insert().from_select(list(values), rows).returning(_e.id, _e.created_at)


@lru_cache(16)
def _queue_for(dialect: Dialect, shared: tuple[Field, ...]) -> Any:
    """One row, running from the start where a worker lends a slot and nothing waits in its line; else queued."""
    values, clock, limited = _made(dialect, shared, ())
    queue, word, now = values["queue"], sa.literal_column, clock.c.now
    waits = sa.select(_e.id).where(queued, _e.queue == queue)
    fits = sa.func.octet_length(sa.cast(values["payload"], sa.Text)) < word(str(_FITS))
    lent = vacancy(queue, values["handler"], ~waits.exists(), fits)
    filled = lent.c.worker_id.is_not(None)
    one = sa.case((filled, word("1")), else_=word("0"))
    values |= {
        "status": sa.case((filled, word("'running'")), else_=word("'queued'")),
        "worker_id": lent.c.worker_id,
        "attempt": values["attempt"] + one,
        "fence": values["fence"] + one,
        "started_at": sa.case((filled, now)),
        "lease_until": now + lent.c.lease,
        "deadline_at": sa.case((filled, now + sa.cast(values["timeout"], sa.BigInteger) * word("1000"))),
    }
    rows = sa.select(*values.values()).select_from(clock.outerjoin(lent, sa.true())).where(~limited)
    new = executions.insert().from_select(list(values), rows).returning(*COLUMNS).cte("new")
    marked, kept = handing(new, lent)
    made = (sa.select(sa.func.max(new.c[name])).scalar_subquery() for name in ("id", "created_at"))
    return sa.select(*made, *kept).add_cte(marked)


def _made(
    dialect: Dialect, shared: tuple[Field, ...], varying: tuple[Field, ...]
) -> tuple[dict[str, Any], Any, sa.ColumnElement[bool]]:
    """Return the values of the rows, the clock they are made of, and the condition that their platform has a limit."""
    given = dict(cells(dialect, Packed(shared, varying, {})))
    tail, floor = given.pop(_TAIL.name), given.pop(_FLOOR.name)
    now, word = dialect.now, sa.literal_column
    digits = sa.func.lpad(sa.func.to_hex(sa.func.greatest(now.op("/")(word("1000")), floor)), word("12"), word("'0'"))
    clock = sa.select(now.label("now"), digits.label("digits")).subquery("clock")
    first = sa.func.left(clock.c.digits, word("8"), type_=sa.Text)
    second = sa.func.right(clock.c.digits, word("4"), type_=sa.Text)
    dash = word("'-'", sa.Text)
    values = dict.fromkeys(_ID, first + dash + second + dash + tail) | dict.fromkeys(_NOW, clock.c.now) | given
    return values, clock, _limited(given)


def _limited(values: Mapping[str, Any]) -> sa.ColumnElement[bool]:
    """Return the condition that the platform of the rows has a limit."""
    return sa.select(limits.c.name).where(limits.c.platform_id == values[_e.platform_id.name]).exists()
