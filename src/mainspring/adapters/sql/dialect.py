"""The only place where SQLite and PostgreSQL differ in what is said to them.

Rows go to the database as one JSON parameter, whatever their number: no limit of parameters, and one statement for
every size of batch. FOR UPDATE and SKIP LOCKED need no word here: SQLAlchemy leaves them out on SQLite, whose writer
is alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

#: The parameter that carries the rows.
ROWS = "rows_"


class Dialect(ABC):
    """What both databases can do, said in the words of one."""

    #: Whether there is but one writer at a time, and so never a row to lock.
    one_writer: ClassVar[bool] = False

    @abstractmethod
    def insert(self, table: sa.Table) -> Any:
        """Return an INSERT that knows ``on_conflict_do_nothing`` and ``on_conflict_do_update``."""

    @abstractmethod
    def recordset(self, columns: Mapping[str, Any]) -> Mapping[str, sa.ColumnElement[Any]]:
        """Return columns, by name with their types, of the JSON array of objects bound to `ROWS`."""

    @abstractmethod
    def members(self, parameter: str) -> sa.Select[Any]:
        """Return a SELECT of the words in the JSON array bound to ``parameter``, to be used after IN."""


class _Sqlite(Dialect):
    one_writer = True

    def insert(self, table: sa.Table) -> sqlite.Insert:
        return sqlite.insert(table)

    def recordset(self, columns: Mapping[str, Any]) -> Mapping[str, sa.ColumnElement[Any]]:
        each = sa.func.json_each(sa.bindparam(ROWS, type_=sa.Text)).table_valued("value", name="each_row")
        # Materialized: json_each writes each object out again whenever its value is asked for, once per column.
        rows = sa.select(each.c.value).cte("r").prefix_with("MATERIALIZED")
        return {
            name: sa.type_coerce(sa.func.json_extract(rows.c.value, sa.literal_column(f"'$.{name}'")), kind)
            for name, kind in columns.items()
        }

    def members(self, parameter: str) -> sa.Select[Any]:
        each = sa.func.json_each(sa.bindparam(parameter, type_=sa.Text)).table_valued("value", name="member")
        return sa.select(each.c.value)


class _Postgres(Dialect):
    def insert(self, table: sa.Table) -> postgresql.Insert:
        return postgresql.insert(table)

    def recordset(self, columns: Mapping[str, Any]) -> Mapping[str, sa.ColumnElement[Any]]:
        array = sa.cast(sa.bindparam(ROWS, type_=sa.Text), postgresql.JSONB)
        typed = [sa.column(name, kind) for name, kind in columns.items()]
        rows = sa.func.jsonb_to_recordset(array).table_valued(*typed, name="r").render_derived(with_types=True)
        return {name: rows.c[name] for name in columns}

    def members(self, parameter: str) -> sa.Select[Any]:
        array = sa.cast(sa.bindparam(parameter, type_=sa.Text), postgresql.JSONB)
        words = sa.func.jsonb_array_elements_text(array).table_valued("value", name="member")
        return sa.select(words.c.value)


SQLITE: Dialect = _Sqlite()
POSTGRES: Dialect = _Postgres()
