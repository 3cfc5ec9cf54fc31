"""What the tables are made with: their names, their columns, and conditions that a partial index answers to."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def required(name: str, kind: Any, **options: Any) -> sa.Column[Any]:
    """Return a column that is never null."""
    return sa.Column(name, kind, nullable=False, **options)


def partial(name: str, *columns: Any, where: sa.ColumnElement[bool], unique: bool = False) -> sa.Index:
    """Make an index on the rows of one condition alone."""
    return sa.Index(name, *columns, sqlite_where=where, postgresql_where=where, unique=unique)


def is_(column: sa.ColumnElement[Any], *words: str) -> sa.ColumnElement[bool]:
    """Return a condition with its words written out, as the conditions of partial indexes are."""
    literals: list[sa.ColumnElement[Any]] = [sa.literal_column(f"'{word}'") for word in words]
    return column == literals[0] if len(literals) == 1 else column.in_(literals)


def still(column: sa.ColumnElement[Any], *words: str) -> sa.ColumnElement[bool]:
    """Return a condition no index is asked for: for a row that is looked up by its key, and then has to be so."""
    return sa.or_(*(column.is_not_distinct_from(sa.literal_column(f"'{word}'")) for word in words))


def not_ended(status: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
    """Return the condition `unended`, for a status under another name."""
    return status.not_in([sa.literal_column(f"'{word}'") for word in ("success", "failed", "cancelled", "expired")])
