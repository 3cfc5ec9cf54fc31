"""Rollups: held by their keys in one order, written whole."""

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
from mainspring.adapters.sql.tables import rollups
from mainspring.adapters.sql.types import to_json
from mainspring.model.rollup import Rollup, Span

_ROLLUP, _r = shape(Rollup, rollups), rollups.c

_SERIES = (
    _ROLLUP.select.where(
        _r.platform_id == bindparam("platform"),
        _r.span == bindparam("span"),
        _r.job_id == bindparam("job"),
        _r.at >= bindparam("since"),
        _r.at < bindparam("until"),
    )
    .order_by(_r.at, _r.key)
    .limit(bindparam("limit"))
)
_TOTALS = (
    _ROLLUP.select.where(_r.platform_id == "", _r.span == bindparam("span"))
    .order_by(_r.queue, _r.handler)
    .limit(bindparam("limit"))
)
_OLD = (
    sa.select(_r.key)
    .where(_r.span == bindparam("span"), _r.at < bindparam("before"))
    .order_by(_r.at)
    .limit(bindparam("limit"))
    .with_for_update(skip_locked=True)
)
_DELETE = sa.delete(rollups).where(_r.key.in_(_OLD))


class SqlRollupTable(SqlTable):
    """`RollupTable` in SQL."""

    def hold(self, blanks: Sequence[Rollup]) -> dict[str, Rollup]:
        wanted = {blank.key: blank for blank in sorted(blanks, key=lambda blank: blank.key)}
        known = self.known(list(wanted))
        missing = {key: blank for key, blank in wanted.items() if key not in known}
        # There may be no row to hold yet: two who count the first of a span must not both start from nothing. Made
        # before any is held, so that all are held in one order. Of writers one at a time none has to be kept away.
        if self._dialect.one_writer or self._made(list(missing.values())):
            return missing | self._held([key for key in wanted if key in known])
        return self._held(list(wanted))

    def _made(self, blanks: Sequence[Rollup]) -> bool:
        """Tell whether all of these rows are this transaction's own."""
        return self._insert_values(_ROLLUP, blanks, on_conflict="keep") == len(blanks)

    def _held(self, keys: Sequence[str]) -> dict[str, Rollup]:
        if not keys:
            return {}
        rows = self._all(_by_keys(self._dialect), ids=to_json(keys))
        return {rollup.key: rollup for rollup in _ROLLUP.rows(rows)}

    def put(self, rollups: Sequence[Rollup]) -> None:
        self._put_values(_ROLLUP, sorted(rollups, key=lambda rollup: rollup.key), on_conflict="replace")

    def series(
        self, span: Span, platform_id: str, *, since: datetime, until: datetime, job_id: str = "", limit: int
    ) -> list[Rollup]:
        bounds = {"since": since, "until": until, "limit": limit}
        return _ROLLUP.rows(self._all(_SERIES, span=span, platform=platform_id, job=job_id, **bounds))

    def totals(self, limit: int) -> list[Rollup]:
        return _ROLLUP.rows(self._all(_TOTALS, span=Span.TOTAL, limit=limit))

    def known(self, keys: Sequence[str]) -> set[str]:
        if not keys:
            return set()
        return {row[0] for row in self._all(_known(self._dialect), ids=to_json(keys))}

    def delete(self, span: Span, before: datetime, limit: int) -> int:
        return self._run(_DELETE, {"span": span, "before": before, "limit": limit}).rowcount


@lru_cache(2)
def _by_keys(dialect: Dialect) -> Any:
    return _ROLLUP.select.where(dialect.member(_r.key, "ids")).order_by(_r.key).with_for_update()


@lru_cache(2)
def _known(dialect: Dialect) -> Any:
    return sa.select(_r.key).where(dialect.member(_r.key, "ids"))
