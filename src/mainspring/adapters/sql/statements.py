"""Statements written in SQLAlchemy's language, compiled once, and from then on run on the driver itself.

What SQLAlchemy does anew for each execution, its caches, events and row objects, costs more than the database does for
a statement of one row. A statement that writes, or is run a second time, is therefore kept in the words of its
database, with the functions that make its parameters ready and its values ours; both run over a column at a time.
Questions built for one call, such as a list with filters, go SQLAlchemy's way.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import sqlalchemy as sa

Convert = Callable[[Any], Any]

_PLACE = re.compile(r"%\(([^)]+)\)s|%%")


class Result:
    """What a statement gave: its rows, as plain tuples of our values, and how many rows it touched.

    Of many rows these values were read by column, and whoever wants `columns` has them so.
    """

    __slots__ = ("_columns", "_rows", "rowcount")

    def __init__(
        self,
        rows: Sequence[tuple[Any, ...]] | None,
        rowcount: int,
        columns: Sequence[Sequence[Any]] = (),
    ) -> None:
        self._rows, self.rowcount, self._columns = rows, rowcount, columns

    @property
    def rows(self) -> Sequence[tuple[Any, ...]]:
        """The rows."""
        if self._rows is None:
            self._rows = list(zip(*self._columns, strict=True))
        return self._rows

    @property
    def columns(self) -> Sequence[Sequence[Any]]:
        """The values of each column, in the order of the rows; none where there are no rows."""
        return self._columns or list(zip(*self.rows, strict=True))

    def first(self) -> tuple[Any, ...] | None:
        """Return the first row, None where there is none."""
        return self.rows[0] if self.rows else None

    def scalar(self) -> Any:
        """Return the first value of the first row, None where there is none."""
        return self.rows[0][0] if self.rows else None

    def scalars(self) -> list[Any]:
        """Return the first value of each row."""
        return [row[0] for row in self.rows]


class Statements:
    """The compiled statements of one dialect, shared by its connections. Safe from any thread."""

    def __init__(self, dialect: sa.Dialect) -> None:
        self._dialect = dialect
        self._seen: WeakKeyDictionary[Any, Compiled | None] = WeakKeyDictionary()

    def known(self, statement: Any) -> Compiled | None:
        """Return a statement in the words of the driver; None where it has to go SQLAlchemy's way, `by_sqlalchemy`."""
        compiled = self._seen.get(statement)
        if compiled is None:
            # No statement of one call: those are questions, and one that comes a second time is not either.
            if not statement.is_dml and statement not in self._seen:
                self._seen[statement] = None
                return None
            compiled = self._seen[statement] = compile_statement(statement, self._dialect)
        return compiled if compiled.direct else None

    def prepare(self, statement: Any) -> None:
        """Have a statement that will be run more than once in the words of the driver before it is."""
        if self._seen.get(statement) is None:
            self._seen[statement] = compile_statement(statement, self._dialect)


def by_sqlalchemy(connection: sa.Connection, statement: Any, parameters: Mapping[str, Any]) -> Result:
    """Run a statement on a connection, whatever it is. Raises SQLAlchemy's errors."""
    # The driver counts the rows of an INSERT as well, but only those who ask are told.
    found = connection.execute(statement, dict(parameters), execution_options={"preserve_rowcount": True})
    if not found.returns_rows:
        return Result((), found.rowcount)
    rows = [tuple(row) for row in found]
    return Result(rows, len(rows))


@dataclass(slots=True)
class Compiled:
    """A statement in the words of one database. ``direct``: it can be run as it is, whatever its parameters.

    Its parameters go by their place in the text: ``?`` on SQLite, ``$1`` and so on, in ``numbered``, on PostgreSQL.
    """

    direct: bool
    text: str = ""
    numbered: bytes = b""
    #: (our name, its conversion, the value where none is given), by place.
    parameters: Sequence[tuple[str, Convert | None, Any]] = ()
    types: Sequence[Any] = ()
    #: Whether it gives rows, and the columns that need a conversion: (index, conversion, whether rows may share what it
    #: gives). Known once it has run on the driver, which takes long to describe what it gives.
    returns: bool | None = None
    columns: Sequence[tuple[int, Convert, bool]] = ()

    def values(self, given: Mapping[str, Any]) -> tuple[Any, ...]:
        """Return the parameters as the driver takes them."""
        found = []
        for name, convert, otherwise in self.parameters:
            value = given.get(name, otherwise)
            found.append(value if convert is None else convert(value))
        return tuple(found)

    def describe(self, codes: Sequence[Any] | None, dialect: sa.Dialect) -> None:
        """Take note of what it gives: columns of these types by the driver's own count of them, None for no rows."""
        self.columns = _conversions(self.types, codes or (), dialect)
        self.returns = codes is not None

    def converted(self, rows: Sequence[tuple[Any, ...]]) -> Result:
        """Return what rows of the driver are with our values in them."""
        if not self.columns or not rows:
            return Result(rows, len(rows))
        if len(rows) == 1:
            row = list(rows[0])
            for index, convert, _ in self.columns:
                row[index] = convert(row[index])
            return Result([tuple(row)], 1)
        columns: list[Sequence[Any]] = list(zip(*rows, strict=True))
        for index, convert, shared in self.columns:
            values = columns[index]
            # What was written together is read together: most columns of a batch hold one instant or one word, or few.
            if shared and values.count(values[0]) == len(values):
                columns[index] = (convert(values[0]),) * len(values)
            elif shared and len(distinct := set(values)) < len(values) // 2:
                known = {value: convert(value) for value in distinct}
                columns[index] = list(map(known.__getitem__, values))
            elif values.count(None) < len(values):
                columns[index] = list(map(convert, values))
        return Result(None, len(rows), columns)

    def run(self, connection: sa.Connection, parameters: Mapping[str, Any]) -> Result:
        """Run it on the driver's connection under one of SQLAlchemy's."""
        driver = connection.connection.dbapi_connection
        values = self.values(parameters)
        assert driver is not None
        cursor: Any = driver.cursor()
        try:
            cursor.execute(self.text, values)
            if self.returns is None:
                found = cursor.description
                self.describe(None if found is None else [column[1] for column in found], connection.dialect)
            if not self.returns:
                return Result((), cursor.rowcount)
            rows = cursor.fetchall()
        except connection.dialect.loaded_dbapi.Error as error:
            raise as_sqlalchemy(error, self.text, connection) from error
        finally:
            cursor.close()
        return self.converted(rows)


_NOTHING = object()


def compile_statement(statement: Any, dialect: sa.Dialect) -> Compiled:
    """Put a statement into the words of a database."""
    compiled: Any = statement.compile(dialect=dialect)
    if compiled.post_compile_params or compiled.literal_execute_params or compiled.insert_prefetch:
        return Compiled(direct=False)  # its text depends on the values
    escaped = {key: name for name, key in compiled.escaped_bind_names.items()}
    numbered, names = compiled.string, list(compiled.positiontup or ())
    if not compiled.positional:
        names, numbered = _numbered(compiled.string)
    parameters = []
    for name in (escaped.get(name, name) for name in names):
        bind = compiled.binds[name]
        otherwise = _NOTHING if bind.required else bind.effective_value
        parameters.append((name, bind.type.dialect_impl(dialect).bind_processor(dialect), otherwise))
    types = [column.type for column in compiled._result_columns]
    return Compiled(True, compiled.string, numbered.encode(), parameters, types)


def _numbered(text: str) -> tuple[list[str], str]:
    """Return the names of a statement's parameters, and the statement with their numbers in place of their names.

    >>> _numbered("SELECT %(a)s, %(b)s, '100 %%', %(a)s")
    (['a', 'b'], "SELECT $1, $2, '100 %', $1")
    """
    names: dict[str, int] = {}

    def number(place: re.Match[str]) -> str:
        name = place[1]
        return "%" if name is None else f"${names.setdefault(name, len(names) + 1)}"

    numbered = _PLACE.sub(number, text)
    return list(names), numbered


def _conversions(types: Sequence[Any], codes: Sequence[Any], dialect: sa.Dialect) -> list[tuple[int, Convert, bool]]:
    found = []
    for index, (kind, code) in enumerate(zip(types, codes, strict=bool(codes))):
        convert = kind.dialect_impl(dialect).result_processor(dialect, code)
        if convert is not None:
            found.append((index, convert, not getattr(kind, "mutable", False)))
    return found


def as_sqlalchemy(error: Exception, text: str, connection: sa.Connection) -> Exception:
    """Return a driver's error as SQLAlchemy tells it, so that nobody has to know which way a statement took."""
    dialect = connection.dialect
    gone = dialect.is_disconnect(error, connection.connection.dbapi_connection, None)  # type: ignore[arg-type]
    told: Exception = sa.exc.DBAPIError.instance(
        text,
        None,
        error,
        dialect.loaded_dbapi.Error,
        hide_parameters=True,
        connection_invalidated=gone,
        dialect=dialect,
    )
    return told
