"""A database as the first migration made it, with rows in every table: what later migrations must carry over."""

from __future__ import annotations

from datetime import datetime, timedelta
from random import Random
from typing import Any

import sqlalchemy as sa

from mainspring.adapters.sql.schema import alembic_config
from mainspring.adapters.sql.types import micros
from mainspring.model.execution import Status
from mainspring.model.ids import uuid7

Rows = dict[str, list[tuple[Any, ...]]]
ROWS = 40


def make(connection: sa.Connection) -> None:
    """Make the tables of 0001, in the transaction that is open."""
    from alembic import command

    command.upgrade(alembic_config(connection), "0001")


def fill(connection: sa.Connection, now: datetime, random: Random) -> None:
    """Put rows of the last year and a half into every table."""
    metadata = sa.MetaData()
    metadata.reflect(connection)
    for table in metadata.tables.values():
        if table.name != "mainspring_schema":
            rows = [_row(table, number, now, random) for number in range(ROWS)]
            connection.execute(sa.insert(table), rows)


def _row(table: sa.Table, number: int, now: datetime, random: Random) -> dict[str, Any]:
    at = now - timedelta(days=random.uniform(0, 500))
    columns = [column for column in table.c if column.computed is None]
    row = {column.name: _value(column, number, at, random) for column in columns}
    if table.name == "executions":
        status = list(Status)[number % len(Status)]
        row |= {"status": status.value, "finished_at": micros(at) if status.terminal else None}
        row |= {"worker_id": "w", "queue": "mail"}
    if table.name == "outbox":
        row["published_at"] = None if number % 3 == 0 else micros(at)
    if table.name == "limits":
        row |= {"scope": "queue", "platform_id": f"platform_id {number}", "name": "mail", "rate_per": 1e9}
    return row


def _value(column: sa.Column[Any], number: int, at: datetime, random: Random) -> Any:
    name, kind = column.name, column.type
    if name == "number":
        return number + 1
    if name in ("id", "execution_id") and isinstance(kind, sa.String) and kind.length == 36:
        return uuid7(at, random)
    if name.endswith("_at") or name == "at":
        return micros(at)
    if isinstance(kind, sa.Boolean):
        return bool(number % 2)
    if isinstance(kind, sa.Float):
        return 1.5
    if isinstance(kind, sa.Integer):
        return number
    text = f"{name} {number}"
    return text if getattr(kind, "length", None) is None else text[: kind.length]  # type: ignore[attr-defined]


def dump(connection: sa.Connection, like: Rows | None = None) -> Rows:
    """Return the rows of every table, or of the tables and columns that ``like`` has, in an order of their own."""
    metadata = sa.MetaData()
    metadata.reflect(connection)
    found: Rows = {}
    for name in sorted(metadata.tables if like is None else like):
        columns = [c for c in metadata.tables[name].c if c.computed is None]
        if like is not None:
            columns = [metadata.tables[name].c[column] for column in like[name][0]]
        rows = [tuple(row) for row in connection.execute(sa.select(*columns))]
        found[name] = [tuple(column.name for column in columns), *sorted(rows, key=repr)]
    return found
