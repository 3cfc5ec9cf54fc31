"""What executions leave behind for people: their logs, and the dead letters of those given up on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam

from mainspring.adapters.sql.batches import shape
from mainspring.adapters.sql.dialect import Dialect
from mainspring.adapters.sql.session import SqlTable, bounded_count
from mainspring.adapters.sql.tables import chains, dead_letters, execution_logs, executions, unended, unlive
from mainspring.adapters.sql.types import to_json
from mainspring.model.chain import Chained
from mainspring.model.execution import DeadLetter, LogLine
from mainspring.ports.store import LetterQuery

_LINE, _LETTER, _LINK = shape(LogLine, execution_logs), shape(DeadLetter, dead_letters), shape(Chained, chains)
_l, _d, _c = execution_logs.c, dead_letters.c, chains.c

_FENCE = sa.select(executions.c.fence).where(executions.c.id == bindparam("execution"))
_FENCE_LOCKED = tuple(_FENCE.where(among).with_for_update() for among in (unended, unlive))
_LAST = sa.select(sa.func.max(_l.line)).where(_l.execution_id == bindparam("execution"))
_READ = (
    _LINE.select.where(_l.execution_id == bindparam("execution"), _l.line > bindparam("after"))
    .order_by(_l.line)
    .limit(bindparam("limit"))
)

_GET = _LETTER.select.where(_d.execution_id == bindparam("execution"))
_GET_LOCKED = _GET.with_for_update()
_RESOLVE = (
    dead_letters.update()
    .where(_d.execution_id == bindparam("execution"), _d.status == "open")
    .values(
        status=bindparam("closed"),
        resolved_at=bindparam("now"),
        reason=bindparam("why"),
        redriven_as=bindparam("again"),
    )
)
_COUNT = bounded_count(sa.select(_d.execution_id).where(_d.platform_id == bindparam("platform"), _d.status == "open"))

_LINKS_OF = _LINK.select.where(_c.execution_id == bindparam("execution")).order_by(_c.job)
_OLD_LINKS = (
    sa.select(_c.execution_id)
    .where(_c.at < bindparam("before"))
    .order_by(_c.at)
    .limit(bindparam("limit"))
    .with_for_update(skip_locked=True)
)
_DELETE_LINKS = sa.delete(chains).where(_c.execution_id.in_(_OLD_LINKS), _c.at < bindparam("before"))


class SqlLogTable(SqlTable):
    """`LogTable` in SQL."""

    def append(self, execution_id: str, lines: Sequence[LogLine], *, fence: int | None, cap: int) -> int | None:
        # The lock is what numbers the lines of two writers one after the other.
        current = self._fence(execution_id)
        if current is None or fence not in (None, current):
            return None
        last: int = self._scalar(_LAST, execution=execution_id) or 0
        kept = lines[: max(0, cap - last)]
        rows = [(execution_id, last + n, *_LINE.values_of(line)[2:]) for n, line in enumerate(kept, 1)]
        self._insert(execution_logs, _LINE.fields, rows)
        return last + len(kept)

    def _fence(self, execution_id: str) -> int | None:
        for statement in (_FENCE,) if self._dialect.one_writer else _FENCE_LOCKED:
            fence: int | None = self._scalar(statement, execution=execution_id)
            if fence is not None:
                return fence
        return None

    def read(self, execution_id: str, *, after: int = 0, limit: int = 1000) -> list[LogLine]:
        return _LINE.rows(self._all(_READ, execution=execution_id, after=after, limit=limit))


class SqlDeadLetterTable(SqlTable):
    """`DeadLetterTable` in SQL."""

    def add(self, letters: Sequence[DeadLetter]) -> None:
        self._put_values(_LETTER, letters, conflict="one of these executions has a dead letter already")

    def get(self, execution_id: str, *, lock: bool = False) -> DeadLetter | None:
        return _LETTER.row(self._first(_GET_LOCKED if lock else _GET, execution=execution_id))

    def hold(self, execution_ids: Sequence[str]) -> None:
        if execution_ids and not self._dialect.one_writer:
            self._all(_held(self._dialect), ids=to_json(execution_ids))

    def find(
        self,
        platform_id: str,
        *,
        status: str | None = "open",
        job_id: str | None = None,
        handler: str | None = None,
        fingerprint: str | None = None,
        before_id: str | None = None,
        limit: int = 50,
    ) -> list[DeadLetter]:
        statement = _LETTER.select.where(_d.platform_id == platform_id)
        wanted = ((_d.status, status), (_d.job_id, job_id), (_d.handler, handler), (_d.fingerprint, fingerprint))
        for column, value in wanted:
            if value is not None:
                statement = statement.where(column == value)
        if before_id is not None:
            statement = statement.where(_d.execution_id < before_id)
        return _LETTER.rows(self._all(statement.order_by(_d.execution_id.desc()).limit(sa.literal(limit))))

    def open(
        self, platform_id: str, query: LetterQuery, *, after_id: str | None = None, limit: int, lock: bool = False
    ) -> list[DeadLetter]:
        statement = _LETTER.select.where(_d.platform_id == platform_id, _d.status == "open")
        for name in ("job_id", "handler", "failure", "fingerprint"):
            if (value := getattr(query, name)) is not None:
                statement = statement.where(_d[name] == value)
        if query.since is not None:
            statement = statement.where(_d.created_at >= query.since)
        if query.until is not None:
            statement = statement.where(_d.created_at < query.until)
        if after_id is not None:
            statement = statement.where(_d.execution_id > after_id)
        statement = statement.order_by(_d.execution_id).limit(sa.literal(limit))
        return _LETTER.rows(self._all(statement.with_for_update(skip_locked=True) if lock else statement))

    def resolve(
        self, execution_id: str, *, status: str, reason: str | None = None, redriven_as: str | None = None
    ) -> bool:
        values = {"closed": status, "now": self._session.now, "why": reason, "again": redriven_as}
        return bool(self._run(_RESOLVE, {"execution": execution_id, **values}).rowcount)

    def count(self, platform_id: str, most: int) -> int:
        return int(self._scalar(_COUNT, platform=platform_id, most=most))


class SqlChainTable(SqlTable):
    """`ChainTable` in SQL."""

    def add(self, links: Sequence[Chained]) -> None:
        self._insert_values(_LINK, links, conflict="one of these executions has started that job already")

    def of(self, execution_id: str) -> list[Chained]:
        return _LINK.rows(self._all(_LINKS_OF, execution=execution_id))

    def delete(self, before: datetime, limit: int) -> int:
        return self._run(_DELETE_LINKS, {"before": before, "limit": limit}).rowcount


@lru_cache(2)
def _held(dialect: Dialect) -> Any:
    wanted = sa.select(_d.execution_id).where(dialect.member(_d.execution_id, "ids"))
    return wanted.order_by(_d.execution_id).with_for_update()
