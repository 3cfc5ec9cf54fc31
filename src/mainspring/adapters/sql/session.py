"""One open transaction on one connection, and the base of the table classes that work in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import bindparam

from mainspring.adapters.sql.batches import Field, Shape, insert_statement, pack
from mainspring.adapters.sql.dialect import Dialect
from mainspring.adapters.sql.failures import translated
from mainspring.adapters.sql.statements import Result, Statements
from mainspring.errors import ConflictError

R = TypeVar("R")


def bounded_count(rows: sa.Select[Any]) -> sa.Select[Any]:
    """Return the SELECT that counts rows up to the parameter ``most``: however many there are, no more are read."""
    return sa.select(sa.func.count()).select_from(rows.limit(bindparam("most")).subquery("some"))


@dataclass(slots=True)
class Session:
    """What the tables of one transaction share. ``now`` is the store's clock, read once.

    ``failed`` is what went wrong with the database itself, after which SQLite may have given up the transaction: what
    work that swallows it would still write would be on its own, and is refused.
    """

    connection: sa.Connection
    dialect: Dialect
    statements: Statements
    now: datetime
    record_transitions: bool = False
    failed: BaseException | None = None

    def execute(self, statement: Any, parameters: dict[str, Any] | None = None) -> Result:
        """Run a statement. Raises `StoreError` for what the database refuses, but for a constraint's IntegrityError."""
        self.check()
        try:
            return self.statements.run(self.connection, statement, parameters or {})
        except sa.exc.IntegrityError:
            raise
        except sa.exc.StatementError as error:
            ours = translated(error, reading=True)
            if isinstance(error, sa.exc.DBAPIError):
                self.failed = ours
            raise ours from error

    def check(self) -> None:
        """Raise what went wrong before, if anything did."""
        if self.failed is not None:
            raise self.failed


class SqlTable:
    """A plain, synchronous object around a connection: no state of its own but the session's."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._dialect = session.dialect

    def _run(self, statement: Any, parameters: dict[str, Any] | None = None) -> Result:
        return self._session.execute(statement, parameters)

    def _all(self, statement: Any, **parameters: Any) -> Sequence[tuple[Any, ...]]:
        return self._session.execute(statement, parameters).rows

    def _first(self, statement: Any, **parameters: Any) -> tuple[Any, ...] | None:
        return self._session.execute(statement, parameters).first()

    def _scalar(self, statement: Any, **parameters: Any) -> Any:
        return self._session.execute(statement, parameters).scalar()

    def _insert(
        self,
        table: sa.Table,
        fields: Sequence[Field],
        rows: Sequence[Sequence[Any]],
        *,
        on_conflict: str = "fail",
        conflict: str = "it exists already",
    ) -> int:
        """Insert rows in one statement; return how many were. Raises `ConflictError` with ``conflict``."""
        if not rows:
            return 0
        packed = pack(fields, rows, leave_out_null=True)
        statement = insert_statement(self._dialect, table, packed.shared, packed.varying, on_conflict)
        try:
            return self._run(statement, packed.parameters).rowcount
        except sa.exc.IntegrityError as error:
            raise ConflictError(conflict) from error

    def _insert_values(self, shape: Shape[R], values: Sequence[R], **options: Any) -> int:
        return self._insert(shape.table, shape.fields, [shape.values_of(value) for value in values], **options)
