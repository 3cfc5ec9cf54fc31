"""The ledger of decisions."""

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
from mainspring.adapters.sql.tables import decisions, is_, is_range
from mainspring.model.decision import Decision, Verdict

_SHAPE = shape(Decision, decisions)
_d = decisions.c

_EXACT = _SHAPE.select.where(
    _d.job_id == bindparam("job"), _d.scheduled_at == bindparam("at"), _d.key == bindparam("key")
)
_COVERING = (
    _SHAPE.select.where(
        _d.job_id == bindparam("job"),
        _d.key == bindparam("key"),
        is_range,
        _d.scheduled_at <= bindparam("at"),
        _d.until_at >= bindparam("at"),
    )
    .order_by(_d.scheduled_at.desc())
    .limit(1)
)
_KEY = (_d.job_id, _d.scheduled_at, _d.key)
_PAGE = _SHAPE.select.order_by(*_KEY)
_RAN = (
    sa.select(_d.scheduled_at)
    .where(
        _d.job_id == bindparam("job"),
        _d.scheduled_at > bindparam("since"),
        is_(_d.decision, *(verdict for verdict in Verdict if verdict.runs)),
    )
    .order_by(_d.scheduled_at.desc())
    .limit(bindparam("limit"))
    .subquery()
)
_RAN_SINCE = sa.select(sa.func.count(), sa.func.min(_RAN.c.scheduled_at)).select_from(_RAN)
_OF_EXECUTION = _SHAPE.select.where(_d.execution_id == bindparam("execution")).order_by(_d.decided_at).limit(1)


class SqlDecisionTable(SqlTable):
    """`DecisionTable` in SQL."""

    def add(self, decisions: Sequence[Decision]) -> None:
        self._put_values(_SHAPE, decisions, conflict="one of these instants is decided already")

    def get(self, job_id: str, scheduled_at: datetime, key: str = "") -> Decision | None:
        where = {"job": job_id, "at": scheduled_at, "key": key}
        return _SHAPE.row(self._first(_EXACT, **where) or self._first(_COVERING, **where))

    def find(
        self, job_id: str, *, since: datetime | None = None, until: datetime | None = None, limit: int = 50
    ) -> list[Decision]:
        statement = _SHAPE.select.where(_d.job_id == job_id)
        if since is not None:
            statement = statement.where(_d.scheduled_at >= since)
        if until is not None:
            statement = statement.where(_d.scheduled_at < until)
        newest_first = (_d.scheduled_at.desc(), _d.key.desc())
        return _SHAPE.rows(self._all(statement.order_by(*newest_first).limit(sa.literal(limit))))

    def of_execution(self, execution_id: str) -> Decision | None:
        return _SHAPE.row(self._first(_OF_EXECUTION, execution=execution_id))

    def page(
        self,
        platform_id: str,
        *,
        job_id: str | None = None,
        after: tuple[str, datetime, str] | None = None,
        limit: int,
    ) -> list[Decision]:
        statement = _PAGE.where(_d.platform_id == platform_id)
        if job_id is not None:
            statement = statement.where(_d.job_id == job_id)
        if after is not None:
            statement = statement.where(sa.tuple_(*_KEY) > sa.tuple_(*after, types=[c.type for c in _KEY]))
        return _SHAPE.rows(self._all(statement.limit(sa.literal(limit))))

    def ran_since(self, job_id: str, since: datetime, limit: int) -> tuple[int, datetime | None]:
        row = self._first(_RAN_SINCE, job=job_id, since=since, limit=limit)
        return (0, None) if row is None else (int(row[0]), row[1])

    def delete_decided(self, before: datetime, limit: int) -> int:
        return self._run(_delete(self._dialect), {"before": before, "limit": limit}).rowcount


@lru_cache(2)
def _delete(dialect: Dialect) -> Any:
    rows = dialect.deleted_by_row(decisions)
    key = sa.tuple_(rows.c.job_id, rows.c.scheduled_at, rows.c.key)
    old = (
        sa.select(rows.c.job_id, rows.c.scheduled_at, rows.c.key)
        .where(rows.c.decided_at < bindparam("before"), rows.c.scheduled_at < bindparam("before"))
        .order_by(rows.c.decided_at)
        .limit(bindparam("limit"))
        .with_for_update(skip_locked=True)
    )
    return sa.delete(rows).where(key.in_(old))
