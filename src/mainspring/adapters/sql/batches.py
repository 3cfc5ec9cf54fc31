"""Batches of rows as parameters of one statement.

What all rows of a batch share goes as an ordinary parameter, the rest as one JSON parameter (see `dialect`). A batch of
one row therefore is an ordinary statement without any JSON, and a claim of 500 sends little more than 500 ids.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from itertools import repeat
from operator import attrgetter, is_, itemgetter
from typing import Any, Generic, NamedTuple, TypeVar

import orjson
import sqlalchemy as sa

from mainspring.adapters.sql.dialect import ROWS, Dialect
from mainspring.adapters.sql.statements import Result
from mainspring.adapters.sql.types import Coded, clean
from mainspring.model.columns import Columns
from mainspring.model.value import Value

R = TypeVar("R")

_ENDING = sa.Text()


class Field(NamedTuple):
    """One value of each row: its name in the statement, and its type."""

    name: str
    type: Any


class Packed(NamedTuple):
    """A batch: the fields all rows share, those that vary, and the parameters that carry them.

    Of a field that is in both, each row has a text's beginning, and all of them share its ending.
    """

    shared: tuple[Field, ...]
    varying: tuple[Field, ...]
    parameters: dict[str, Any]


def pack(wanted: Sequence[Field], rows: Sequence[Sequence[Any]], *, leave_out_null: bool = False) -> Packed:
    """Sort the values of rows, in the order of ``wanted``, into what they share and what varies."""
    if len(rows) == 1:
        return _one(wanted, rows[0], leave_out_null=leave_out_null)
    return pack_columns((), zip(wanted, zip(*rows, strict=True), strict=True), leave_out_null=leave_out_null)


def pack_columns(
    same: Sequence[tuple[Field, Any]],
    columns: Iterable[tuple[Field, Sequence[Any]]],
    *,
    leave_out_null: bool = False,
) -> Packed:
    """Do the same as `pack` with what is known to be the ``same`` in all rows, and with the values of each field."""
    shared, varying, encoded = [field for field, _ in same], list[Field](), []
    parameters: dict[str, Any] = {parameter(field.name): value for field, value in same}
    for field, column in columns:
        stored, ending = (None, "") if _is_shared(field.type, column) else _encoded(field.type, column)
        if stored is None or stored.count(stored[0]) == len(stored):
            if not leave_out_null or column[0] is not None or _never_null(field.type):
                shared.append(field)
                parameters[parameter(field.name)] = column[0]
        else:
            varying.append(field)
            encoded.append(stored)
            if ending:
                shared.append(Field(field.name, _ENDING))
                parameters[parameter(field.name)] = ending
    if varying:
        parameters[ROWS] = _json(list(zip(*encoded, strict=True)))
    return Packed(tuple(shared), tuple(varying), parameters)


def _one(wanted: Sequence[Field], row: Sequence[Any], *, leave_out_null: bool) -> Packed:
    given = [
        (field, value)
        for field, value in zip(wanted, row, strict=True)
        if value is not None or not leave_out_null or _never_null(field.type)
    ]
    return Packed(tuple([field for field, _ in given]), (), {parameter(field.name): value for field, value in given})


def parameter(name: str) -> str:
    """Return the name of the parameter for a value all rows share; SQLAlchemy keeps the columns' own for itself."""
    return f"{name}_"


def cells(dialect: Dialect, packed: Packed) -> Mapping[str, sa.ColumnElement[Any]]:
    """Return the values of the batch by name, to build a statement of."""
    return _cells(dialect, packed.shared, packed.varying)


def _cells(dialect: Dialect, shared: tuple[Field, ...], varying: tuple[Field, ...]) -> dict[str, sa.ColumnElement[Any]]:
    found: dict[str, sa.ColumnElement[Any]] = {name: sa.bindparam(parameter(name), type_=kind) for name, kind in shared}
    if varying:
        each = dialect.recordset(dict(varying))
        found.update({name: _ended(each[name], found[name]) if name in found else each[name] for name in each})
    return found


def _ended(beginning: sa.ColumnElement[Any], ending: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    return sa.type_coerce(sa.type_coerce(beginning, sa.Text) + ending, beginning.type)


def _is_shared(kind: Any, column: Sequence[Any]) -> bool:
    first = column[0]
    if first is not None and isinstance(kind, Coded) and not kind.comparable:
        return all(map(is_, column, repeat(first)))
    return column.count(first) == len(column)


def _never_null(kind: Any) -> bool:
    return getattr(kind, "never_null", False)  # not by isinstance: types of columns are abstract, which makes that slow


def _encoded(kind: Any, column: Sequence[Any]) -> tuple[Sequence[Any], str]:
    if not isinstance(kind, Coded):
        return column, ""
    if kind.never_null:
        return [kind.process_bind_param(value, None) for value in column], ""  # type: ignore[arg-type]
    return kind.encode_parts(column)


def _json(rows: Sequence[tuple[Any, ...]]) -> str:
    try:
        return orjson.dumps(rows).decode()
    except TypeError:  # a text from outside that UTF-8 cannot carry
        cleaned = [[clean(v) if isinstance(v, str) else v for v in row] for row in rows]
        return orjson.dumps(cleaned).decode()


# -- whole rows --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Shape(Generic[R]):
    """How values of one dataclass lie in a table: columns of the same names, in the order of its fields."""

    kind: type[R]
    table: sa.Table
    names: tuple[str, ...]
    fields: tuple[Field, ...]
    select: sa.Select[Any]
    values_of: Callable[[Any], tuple[Any, ...]]

    def row(self, row: Any) -> R | None:
        """Return the value of a row of `select`, None for None."""
        return None if row is None else self._made(row)

    def rows(self, rows: Sequence[Any]) -> list[R]:
        """Return the values of rows of `select`."""
        if len(rows) > 1 and issubclass(self.kind, Value):
            return self._several(self.kind, len(rows), zip(*rows, strict=True))
        made = self._made
        return [made(row) for row in rows]

    def values(self, result: Result) -> list[R]:
        """Return the values of what `select` gave; many by column, as they were read."""
        if result.rowcount > 1 and issubclass(self.kind, Value):
            return self._several(self.kind, result.rowcount, result.columns)
        return self.rows(result.rows)

    def _several(self, kind: type[Value], count: int, given: Iterable[Sequence[Any]]) -> list[Any]:
        common: dict[str, Any] = {}
        names, columns = [], []
        for field, column in zip(self.fields, given, strict=True):
            if _is_shared(field.type, column):
                common[field.name] = column[0]
            else:
                names.append(field.name)
                columns.append(column)
        # Without a column there would be no rows to go through.
        return kind.sharing(common, names, zip(*columns, strict=True) if columns else [()] * count)

    @property
    def _made(self) -> Callable[[Any], R]:
        kind, names = self.kind, self.names
        if issubclass(kind, Value):
            return lambda row: kind.of(names, row)
        return lambda row: kind(*row)


def shape(kind: type[R], table: sa.Table) -> Shape[R]:
    """Return how values of ``kind`` lie in ``table``, which may have further columns."""
    names = tuple(field.name for field in fields(kind))  # type: ignore[arg-type]
    columns = [table.c[name] for name in names]
    typed = tuple(Field(name, column.type) for name, column in zip(names, columns, strict=True))
    return Shape(kind, table, names, typed, sa.select(*columns), _values_of(kind, names))


def _values_of(kind: type[Any], names: Sequence[str]) -> Callable[[Any], tuple[Any, ...]]:
    if not issubclass(kind, Value):
        return attrgetter(*names)
    of_dictionary, of_value, count = itemgetter(*names), attrgetter(*names), len(names)

    def values(value: Any) -> tuple[Any, ...]:
        fields = value.__dict__
        return of_dictionary(fields) if len(fields) == count else of_value(value)

    return values


def pack_values(shape: Shape[R], values: Sequence[R], *, leave_out_null: bool = False) -> Packed:
    """Do the same as `pack` with values; those that lie in columns are taken as they lie."""
    if isinstance(values, Columns) and len(values) > 1:
        columns = [(field, values.fields[field.name]) for field in shape.fields]
        return pack_columns((), columns, leave_out_null=leave_out_null)
    return pack(shape.fields, [shape.values_of(value) for value in values], leave_out_null=leave_out_null)


@lru_cache(512)
def insert_statement(
    dialect: Dialect, table: sa.Table, shared: tuple[Field, ...], varying: tuple[Field, ...], on_conflict: str
) -> Any:
    """Return the INSERT of a batch. ``on_conflict``: ``fail``, ``keep`` the row there is, or ``replace`` it."""
    given = _cells(dialect, shared, varying)
    insert = dialect.insert(table)
    if varying:
        # SQLite cannot tell ON CONFLICT from a join's ON unless there is a WHERE before it.
        insert = insert.from_select(list(given), sa.select(*given.values()).where(sa.true()))
    else:
        insert = insert.values({table.c[name]: value for name, value in given.items()})
    if on_conflict == "keep":
        return insert.on_conflict_do_nothing()
    if on_conflict == "replace":
        key = [column.name for column in table.primary_key]
        kept = {column: insert.excluded[column.key] for column in table.c if column.name not in key}
        return insert.on_conflict_do_update(index_elements=key, set_=kept)
    return insert
