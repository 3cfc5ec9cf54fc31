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

#: The role of transactions confined to one platform, which row-level security binds.
API_ROLE = "mainspring_api"

#: Where PostgreSQL keeps what none of a table's partitions by time takes, by table.
REST = {
    "executions": "executions_ended_default",
    "attempts": "attempts_default",
    "execution_logs": "execution_logs_default",
    "outbox": "outbox_published_default",
    "decisions": "decisions_default",
}
#: Where a transaction on PostgreSQL keeps the instant that is its now.
NOW = "mainspring.now"

#: PostgreSQL's clock as it is, and not as the transaction began, in microseconds since the epoch.
MICROS = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"

#: The parameter that carries the rows.
ROWS = "rows_"


class Dialect(ABC):
    """What both databases can do, said in the words of one."""

    #: Whether there is but one writer at a time, and so never a row to lock.
    one_writer: ClassVar[bool] = False

    #: The statement that confines a transaction to one platform; None where the database has no such wall.
    confine: ClassVar[Any] = None

    #: The transaction's now, in a statement: on SQLite the parameter of that name.
    now: ClassVar[Any] = sa.bindparam("now", type_=sa.BigInteger)

    #: The question for the clock; None where there is one writer, who has waited for nobody since it began.
    clock: ClassVar[Any] = None

    @abstractmethod
    def insert(self, table: sa.Table) -> Any:
        """Return an INSERT that knows ``on_conflict_do_nothing`` and ``on_conflict_do_update``."""

    @abstractmethod
    def recordset(self, columns: Mapping[str, Any]) -> Mapping[str, sa.ColumnElement[Any]]:
        """Return columns, by name with their types, of the JSON array bound to `ROWS`: an array of values for each row.

        Arrays and not objects: to say the names in each row, and to look values up by them, costs both sides more.
        """

    @abstractmethod
    def member(self, column: sa.ColumnElement[Any], parameter: str) -> sa.ColumnElement[bool]:
        """Return the condition that a column is one of the words in the JSON array bound to ``parameter``."""

    def same_key(self, column: sa.ColumnElement[Any], value: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
        """Return the condition that a key is a value of the batch, by which its row is then looked up."""
        return column == value

    def unchanged(self, column: sa.Column[Any]) -> Mapping[Any, Any]:
        """Return what an UPDATE sets besides, where a generated column depends on ``column``, which it leaves alone."""
        return {}

    def deleted_by_row(self, table: sa.Table) -> sa.Table:
        """Return where the rows of a table lie that retention deletes one by one: here, all of them."""
        return table

    @abstractmethod
    def json_text(self, column: Any, path: tuple[str, ...]) -> Any:
        """Return the scalar at ``path`` of a column of JSON, as text; NULL for none, and for what is no scalar."""

    @abstractmethod
    def position(self, column: Any, text: str) -> Any:
        """Return where ``text`` begins in a column of text, from 1; 0 where it is not in it."""

    @abstractmethod
    def ascii_lower(self, column: Any) -> Any:
        """Return a column of text with A to Z in lower case and nothing else changed."""


class _Sqlite(Dialect):
    one_writer = True

    def insert(self, table: sa.Table) -> sqlite.Insert:
        return sqlite.insert(table)

    def recordset(self, columns: Mapping[str, Any]) -> Mapping[str, sa.ColumnElement[Any]]:
        each = sa.func.json_each(sa.bindparam(ROWS, type_=sa.Text)).table_valued("value", name="each_row")
        # Materialized: json_each writes each object out again whenever its value is asked for, once per column.
        rows = sa.select(each.c.value).cte("r").prefix_with("MATERIALIZED")
        return {
            name: sa.type_coerce(sa.func.json_extract(rows.c.value, sa.literal_column(f"'$[{place}]'")), kind)
            for place, (name, kind) in enumerate(columns.items())
        }

    def member(self, column: sa.ColumnElement[Any], parameter: str) -> sa.ColumnElement[bool]:
        each = sa.func.json_each(sa.bindparam(parameter, type_=sa.Text)).table_valued("value", name="member")
        return column.in_(sa.select(each.c.value))

    def json_text(self, column: Any, path: tuple[str, ...]) -> Any:
        where = sa.literal("$" + "".join(f'."{name}"' for name in path), sa.Text)
        data = sa.type_coerce(column, sa.Text)
        kind = sa.func.json_type(data, where, type_=sa.Text)
        # To SQLite true is 1, and it has no words for true and false but these.
        return sa.case(
            (kind.in_(("true", "false")), kind),
            (kind.in_(("object", "array", "null")), sa.null()),
            else_=sa.cast(sa.func.json_extract(data, where), sa.Text),
        )

    def position(self, column: Any, text: str) -> Any:
        return sa.func.instr(column, text)

    def ascii_lower(self, column: Any) -> Any:
        return sa.func.lower(sa.type_coerce(column, sa.Text), type_=sa.Text)


def _is_text(kind: Any) -> bool:
    return isinstance(kind.impl if isinstance(kind, sa.TypeDecorator) else kind, sa.String)


_ROLES = sa.table("pg_roles", sa.column("rolname"), sa.column("oid"))


class _Postgres(Dialect):
    # Until the end of the transaction. Where the role is missing or not ours to take, only the queries' own conditions
    # hold; `walls` says so when the server starts.
    confine = sa.select(
        sa.func.set_config("mainspring.platform", sa.bindparam("platform", type_=sa.Text), sa.true(), type_=sa.Text),
        sa.select(sa.func.set_config("role", sa.bindparam("role", type_=sa.Text), sa.true(), type_=sa.Text))
        .select_from(_ROLES)
        .where(_ROLES.c.rolname == API_ROLE, sa.func.pg_has_role(sa.text("session_user"), _ROLES.c.oid, "MEMBER"))
        .scalar_subquery(),
    )

    # Kept by the transaction itself: a statement that is its first question knows it without asking.
    clock = sa.select(sa.literal_column(MICROS, sa.BigInteger))
    now = sa.cast(sa.func.current_setting(sa.literal_column(f"'{NOW}'")), sa.BigInteger)

    def insert(self, table: sa.Table) -> postgresql.Insert:
        return postgresql.insert(table)

    def recordset(self, columns: Mapping[str, Any]) -> Mapping[str, sa.ColumnElement[Any]]:
        array = sa.cast(sa.bindparam(ROWS, type_=sa.Text), postgresql.JSONB)
        rows = sa.func.jsonb_array_elements(array).table_valued("value", name="r")
        values = [rows.c.value.op("->>", return_type=sa.Text())(sa.literal_column(str(n))) for n in range(len(columns))]
        # Text stays as it is: a cast to its length would cut off what is too long, where the table refuses it.
        return {
            name: (sa.type_coerce if _is_text(kind) else sa.cast)(value, kind)
            for value, (name, kind) in zip(values, columns.items(), strict=True)
        }

    def member(self, column: sa.ColumnElement[Any], parameter: str) -> sa.ColumnElement[bool]:
        # An array and not IN (SELECT ...), which is a join: from a plan made while the table was small, one that reads
        # all of it.
        array = sa.cast(sa.bindparam(parameter, type_=sa.Text), postgresql.JSONB)
        words = sa.func.jsonb_array_elements_text(array).table_valued("value", name="member")
        return column == sa.any_(sa.func.array(sa.select(words.c.value).scalar_subquery()))

    def same_key(self, column: sa.ColumnElement[Any], value: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
        # An equality could be joined in any order; a range can only be looked up, row by row of the batch. Whatever
        # the planner believed about the table when it made the plan, this is the one that stays good.
        return column.between(value, value)

    def unchanged(self, column: sa.Column[Any]) -> Mapping[Any, Any]:
        # Where no generated column can change PostgreSQL finds that out anew for each row, reading the text of its
        # expression; where one may, once a statement. That was a sixth of a claim's cost, and of a settle's.
        return {column: column}

    def deleted_by_row(self, table: sa.Table) -> sa.Table:
        # Partitions go as a whole; what lies in none of them is in the default one.
        return table.to_metadata(sa.MetaData(), name=REST.get(table.name, table.name))

    def json_text(self, column: Any, path: tuple[str, ...]) -> Any:
        data = sa.cast(sa.type_coerce(column, sa.Text), postgresql.JSONB)
        found: Any = data
        for name in path:
            found = found.op("->", return_type=postgresql.JSONB())(sa.literal(name, sa.Text))
        text = found.op("#>>", return_type=sa.Text())(sa.cast(sa.literal("{}", sa.Text), postgresql.ARRAY(sa.Text)))
        return sa.case((sa.func.jsonb_typeof(found).in_(("object", "array")), sa.null()), else_=text)

    def position(self, column: Any, text: str) -> Any:
        return sa.func.strpos(column, text)

    def ascii_lower(self, column: Any) -> Any:
        # In the plain collation lower knows the letters of ASCII alone, as SQLite's does.
        return sa.func.lower(sa.collate(sa.type_coerce(column, sa.Text), "C"), type_=sa.Text)


SQLITE: Dialect = _Sqlite()
POSTGRES: Dialect = _Postgres()
