"""Slots that workers at rest lend: who queues an execution claims it for one of them, in the commit that queues it.

It is claimed as a worker would claim it, and never before what is ahead of it in its line. The worker hears of it by a
notification that carries the row, on a channel whose name only those know who may read this table.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import timedelta
from functools import lru_cache
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy import bindparam
from sqlalchemy.dialects import postgresql

from mainspring.adapters.sql.batches import Field, Packed, cells, pack
from mainspring.adapters.sql.dialect import POSTGRES
from mainspring.adapters.sql.session import SqlTable
from mainspring.adapters.sql.statements import Compiled, compile_statement
from mainspring.adapters.sql.tables import TURN, executions, queued, still, unended, vacancies
from mainspring.adapters.sql.telegraph import ADDRESS, CHANNEL, HANDED
from mainspring.adapters.sql.types import MICROSECOND, to_json
from mainspring.adapters.sql.waiting import EXECUTION
from mainspring.model.execution import Execution
from mainspring.ports.store import Filled, Handed, Lender, Vacancy

#: Bytes of a row, and of the words made of it, that a notification surely has room for.
_ROW, _WORDS = 3_000, 7_900

_e, _v, _word = executions.c, vacancies.c, sa.literal_column
_NOW = sa.type_coerce(POSTGRES.now, sa.BigInteger)
_UNTIL = sa.type_coerce(_v.until, sa.BigInteger)
#: Of an execution, those that make one.
COLUMNS = [_e[name] for name in EXECUTION.names]
_FIELDS = tuple(Field(name, _v[name].type) for name in ("queue", "number", "room"))
#: What the channels begin with on which rows like ours are told: workers of a version with other columns have others.
ADDRESSES = f"{CHANNEL}_{hashlib.sha256(','.join(EXECUTION.names).encode()).hexdigest()[:8]}"

_RIGHTS = (("vacancies", "SELECT"), ("vacancies", "INSERT"), ("vacancies", "UPDATE"), ("executions", "UPDATE"))


def may_lend(connection: sa.Connection) -> bool:
    """Tell whether this database user may lend and claim for others: one who may only add executions may not."""
    rights = [sa.func.has_table_privilege(*right) for right in _RIGHTS]
    return bool(connection.execute(sa.select(sa.and_(*rights))).scalar())


class VacancyTable(SqlTable):
    """The vacancies of one worker."""

    def lend(self, lender: Lender, lent: Sequence[Vacancy], term: timedelta) -> set[str]:
        packed = pack(_FIELDS, [(one.queue, one.number, one.room) for one in lent])
        given: dict[str, Any] = {"worker": lender.worker_id, "address": lender.address}
        given |= {
            "handlers": to_json(lender.handlers),
            "lease": lender.lease // MICROSECOND,
            "term": term // MICROSECOND,
        }
        stand = self._all(_lend(packed.shared, packed.varying), **packed.parameters, **given)
        return {one.queue for one in lent} - {queue for (queue,) in stand}

    def take_back(self, worker_id: str) -> list[Filled]:
        return [Filled(*row) for row in self._all(_TAKE_BACK, worker=worker_id) if row[2] is not None]


_TAKE_BACK = (
    vacancies.delete()
    .where(_v.worker_id == bindparam("worker"))
    .returning(_v.queue, _v.number, _v.execution_id, _v.fence)
)


@lru_cache(16)
def _lend(shared: tuple[Field, ...], varying: tuple[Field, ...]) -> Any:
    """What stands already stands for longer; what is filled is left so, unless this is the next one."""
    given = {
        "worker_id": bindparam("worker"),
        **cells(POSTGRES, Packed(shared, varying, {})),
        "until": _NOW + bindparam("term", type_=sa.BigInteger),
        "lease": bindparam("lease", type_=sa.BigInteger),
        "handlers": sa.type_coerce(bindparam("handlers"), sa.Text),
        "address": bindparam("address"),
    }
    new = postgresql.insert(vacancies).from_select(list(given), sa.select(*given.values()))
    values = {name: new.excluded[name] for name in given if name not in ("worker_id", "queue")}
    return new.on_conflict_do_update(
        index_elements=["queue", "worker_id"],
        set_=values | {"execution_id": sa.null(), "fence": sa.null()},
        where=sa.or_(_v.execution_id.is_(None), _v.number < new.excluded.number),
    ).returning(_v.queue)


def standing(queue: Any) -> tuple[sa.ColumnElement[bool], ...]:
    """Return what holds of a vacancy of a queue that may be filled from here."""
    hears = sa.func.starts_with(_v.address, _word(f"'{ADDRESSES}'"))
    return _v.queue == queue, _UNTIL > _NOW, _v.execution_id.is_(None), hears


def vacancy(queue: Any, handler: Any, *where: Any, also: Sequence[Any] = ()) -> sa.CTE:
    """Return the vacancy for an execution, none or one, with what is ``also`` asked, where ``where`` holds."""
    has_handler = sa.func.jsonb_exists(sa.cast(sa.type_coerce(_v.handlers, sa.Text), postgresql.JSONB), handler)
    may_tell = sa.func.pg_notification_queue_usage() < _word("0.5")
    lent = (
        sa.select(_v.worker_id, _v.number, _v.lease, _v.address, *also)
        .where(*standing(queue), has_handler, may_tell, *where)
        .order_by(_v.room.desc())
        .with_for_update(skip_locked=True, of=vacancies)
        .subquery("lent")
    )
    # Whoever gets the lock that is held as long as somebody hears (see `telegraph`) has found out that nobody does.
    deaf = sa.func.pg_try_advisory_xact_lock_shared(sa.func.hashtextextended(lent.c.address, _word("0")))
    return sa.select(lent).where(sa.not_(deaf)).limit(_word("1")).cte("vacancy").prefix_with("MATERIALIZED")


def handing(claimed: sa.CTE, of: sa.CTE) -> tuple[sa.CTE, Sequence[sa.ColumnElement[str]]]:
    """Return what marks a vacancy as filled, and columns that keep for `telegraph.HAND` what is to be told of it.

    ``claimed`` has the columns of executions and, where its row was claimed for the vacancy, the worker's id. The first
    column is where that worker hears of it, '' for nobody.
    """
    filled = (
        vacancies.update()
        .where(_v.worker_id == claimed.c.worker_id, _v.queue == claimed.c.queue)
        .values({_v.execution_id: claimed.c.id, _v.fence: claimed.c.fence})
        .cte("filled")
    )
    row = sa.func.json_build_array(*(claimed.c[column.key] for column in COLUMNS))
    text = sa.cast(sa.func.json_build_array(claimed.c.worker_id, of.c.number, row), sa.Text)
    words = sa.case((sa.func.octet_length(text) < _word(str(_WORDS)), text), else_=_word("''"))
    both = claimed.join(of, sa.true())
    return filled, [
        sa.func.set_config(
            _word(f"'{name}'"),
            sa.func.coalesce(sa.select(sa.func.max(value)).select_from(both).scalar_subquery(), _word("''")),
            _word("false"),
            type_=sa.Text,
        )
        for name, value in ((ADDRESS, of.c.address), (HANDED, words))
    ]


@lru_cache(4)
def filling(dialect: sa.Dialect) -> Compiled:
    """Return the statement that claims the one execution its transaction has queued, where a worker lends a slot.

    Its parameter is the queue; it answers where that worker hears of it, and '' for nobody.
    """
    queue: Any = bindparam("queue")
    # What is first in its line, where that is what this transaction has put there; looked for if there is a vacancy.
    first = (
        sa.select(_e.id, _e.handler)
        .add_columns(
            (_word("executions.xmin") == sa.cast(sa.func.pg_current_xact_id(), _Xid)).label("own"),
            (sa.func.octet_length(sa.cast(_word("executions"), sa.Text)) < _word(str(_ROW))).label("fits"),
            _e.cancel_requested_at.is_(None).label("wanted"),
            sa.or_(_e.start_deadline_at.is_(None), _e.start_deadline_at > POSTGRES.now).label("in_time"),
        )
        .where(queued, _e.queue == queue, sa.select(_word("1")).where(*standing(queue)).exists())
        .order_by(*TURN)
        .limit(_word("1"))
        .cte("first")
        .prefix_with("MATERIALIZED")
    )
    fit = (first.c.own, first.c.fits, first.c.wanted, first.c.in_time)
    found = vacancy(queue, first.c.handler, *fit, also=[first.c.id])
    values = {
        _e.status: _word("'running'"),
        _e.worker_id: found.c.worker_id,
        _e.attempt: _e.attempt + _word("1"),
        _e.fence: _e.fence + _word("1"),
        _e.started_at: _NOW,
        _e.lease_until: _NOW + found.c.lease,
        _e.deadline_at: _NOW + sa.type_coerce(_e.timeout, sa.BigInteger) * _word("1000"),
        **POSTGRES.unchanged(_e.scheduled_at),
    }
    here = (POSTGRES.same_key(_e.id, found.c.id), unended, still(_e.status, "queued"))
    claimed = executions.update().where(*here).values(values).returning(*COLUMNS).cte("claimed")
    filled, kept = handing(claimed, found)
    return compile_statement(sa.select(*kept).add_cte(filled), dialect)


class _Xid(sa.types.UserDefinedType[Any]):
    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "xid"


def handed(words: str, dialect: sa.Dialect) -> Handed:
    """Return what a notification of `filling` says."""
    worker_id, number, row = orjson.loads(words)
    return Handed(worker_id, number, _execution(row, dialect))


def _execution(row: Sequence[Any], dialect: sa.Dialect) -> Execution:
    values = [
        convert(value) if convert is not None else value
        for value, convert in zip(row, _conversions(dialect), strict=True)
    ]
    (execution,) = EXECUTION.rows([values])
    return execution


@lru_cache(4)
def _conversions(dialect: sa.Dialect) -> Sequence[Any]:
    return [field.type.dialect_impl(dialect).result_processor(dialect, None) for field in EXECUTION.fields]
