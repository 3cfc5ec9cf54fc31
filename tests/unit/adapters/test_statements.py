"""What a statement gives: rows of our values."""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa

from mainspring.adapters.sql.statements import Compiled, compile_statement
from mainspring.adapters.sql.tables import decisions
from mainspring.adapters.sql.types import micros
from mainspring.model.decision import Verdict

AT, LATER = datetime(2026, 3, 1, 9, tzinfo=UTC), datetime(2026, 3, 1, 10, tzinfo=UTC)


def compiled() -> Compiled:
    """A query for columns of each kind, known to give rows."""
    dialect = sa.create_engine("sqlite://").dialect
    found = decisions.c
    statement = compile_statement(sa.select(found.scheduled_at, found.decision, found.reason, found.until_at), dialect)
    statement.describe([None] * 4, dialect)
    return statement


def test_what_rows_have_in_common_is_read_once_for_all() -> None:
    rows = compiled().converted([(micros(AT), "dispatched", "{}", None)] * 3).rows
    assert rows == [(AT, Verdict.DISPATCHED, {}, None)] * 3
    assert rows[0][0] is rows[1][0] is rows[2][0]


def test_what_somebody_may_change_each_row_has_of_its_own() -> None:
    first, second = compiled().converted([(micros(AT), "dispatched", '{"n": 1}', None)] * 2).rows
    first[2]["n"] = 2
    assert second[2] == {"n": 1}


def test_rows_that_differ_are_read_one_by_one_with_none_where_nothing_is_stored() -> None:
    rows = [(micros(AT), "dispatched", "{}", None), (micros(LATER), "coalesced", '{"a": 1}', micros(LATER))]
    assert compiled().converted(rows).rows == [
        (AT, Verdict.DISPATCHED, {}, None),
        (LATER, Verdict.COALESCED, {"a": 1}, LATER),
    ]
