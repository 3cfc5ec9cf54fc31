"""One open transaction on one connection, and the base of the table classes that work in it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import bindparam

from mainspring.adapters.sql.batches import Field, Packed, Shape, insert_statement, pack, pack_values
from mainspring.adapters.sql.dialect import SQLITE, Dialect
from mainspring.adapters.sql.failures import translated
from mainspring.adapters.sql.statements import Result, Statements, by_sqlalchemy
from mainspring.errors import ConflictError
from mainspring.ports.transport import Aftermath

R = TypeVar("R")


def bounded_count(rows: sa.Select[Any]) -> sa.Select[Any]:
    """Return the SELECT that counts rows up to the parameter ``most``: however many there are, no more are read."""
    return sa.select(sa.func.count()).select_from(rows.limit(bindparam("most")).subquery("some"))


class Session(ABC):
    """What the tables of one transaction share."""

    dialect: Dialect

    def __init__(self, statements: Statements, *, record_transitions: bool) -> None:
        self.record_transitions = record_transitions
        #: Whether what follows sees the rows of one platform alone; whether what is queued is to be handed to nobody.
        self.confined = self.kept = False
        self._statements = statements
        # What went wrong with the database itself, after which SQLite may have given up the transaction: what work that
        # swallows it would still write would be on its own, and is refused.
        self._failed: BaseException | None = None

    @property
    def statements(self) -> Statements:
        """The statements of this database that are known in its words."""
        return self._statements

    @property
    @abstractmethod
    def connection(self) -> sa.Connection:
        """The connection the transaction is open on, for statements of another kind."""

    @property
    @abstractmethod
    def now(self) -> datetime:
        """The store's clock, read once."""

    def execute(self, statement: Any, parameters: dict[str, Any] | None = None) -> Result:
        """Run a statement. Raises `StoreError` for what the database refuses, but for a constraint's IntegrityError."""
        return self._guarded(self._run, statement, parameters or {})

    def put(self, statement: Any, parameters: dict[str, Any], conflict: str = "it exists already") -> None:
        """Run a write at whose answer nobody looks. Raises `ConflictError`, at the latest at the end."""
        try:
            self.execute(statement, parameters)
        except sa.exc.IntegrityError as error:
            raise ConflictError(conflict) from error

    def check(self) -> None:
        """Raise what went wrong before, if anything did."""
        if self._failed is not None:
            raise self._failed

    @property
    def hands_on(self) -> bool:
        """Whether what is queued by itself may be claimed at once for a worker that lends a slot (see `vacancies`)."""
        return False

    def hand_on(self, statement: Any, parameters: dict[str, Any]) -> Result:
        """Run a statement that queues one execution, for such a worker if it can.

        It gives one row, whose third column says where that worker hears of it, '' for nobody.
        """
        return self.execute(statement, parameters)

    @abstractmethod
    def end_with_next(self, aftermath: Aftermath) -> None:
        """Let the next statement take the end along, and what is told with it of an aftermath."""

    @abstractmethod
    def _run(self, statement: Any, parameters: dict[str, Any]) -> Result:
        """Run a statement. Raises SQLAlchemy's errors."""

    def _guarded(self, step: Callable[..., R], *arguments: Any) -> R:
        self.check()
        try:
            return step(*arguments)
        except sa.exc.IntegrityError:
            raise
        except sa.exc.StatementError as error:
            ours = translated(error, reading=True)
            if isinstance(error, sa.exc.DBAPIError):
                self._failed = ours
            raise ours from error


class SqliteSession(Session):
    """A transaction in a file, open from the start."""

    dialect = SQLITE

    def __init__(
        self, connection: sa.Connection, now: datetime, statements: Statements, *, record_transitions: bool
    ) -> None:
        super().__init__(statements, record_transitions=record_transitions)
        self._connection, self._now = connection, now

    @property
    def connection(self) -> sa.Connection:
        return self._connection

    @property
    def now(self) -> datetime:
        return self._now

    def end_with_next(self, aftermath: Aftermath) -> None:
        """Nothing to spare: there are no round trips."""

    def _run(self, statement: Any, parameters: dict[str, Any]) -> Result:
        known = self._statements.known(statement)
        if known is None:
            return by_sqlalchemy(self._connection, statement, parameters)
        return known.run(self._connection, parameters)


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
        try:
            return self._run(*self._inserting(table, pack(fields, rows, leave_out_null=True), on_conflict)).rowcount
        except sa.exc.IntegrityError as error:
            raise ConflictError(conflict) from error

    def _put(
        self,
        table: sa.Table,
        fields: Sequence[Field],
        rows: Sequence[Sequence[Any]],
        *,
        on_conflict: str = "fail",
        conflict: str = "it exists already",
    ) -> None:
        """Insert rows, and do not wait to hear that they were. Raises `ConflictError`, see `Session.put`."""
        if rows:
            packed = pack(fields, rows, leave_out_null=True)
            self._session.put(*self._inserting(table, packed, on_conflict), conflict)

    def _inserting(self, table: sa.Table, packed: Packed, on_conflict: str) -> tuple[Any, dict[str, Any]]:
        statement = insert_statement(self._dialect, table, packed.shared, packed.varying, on_conflict)
        return statement, packed.parameters

    def _insert_values(self, shape: Shape[R], values: Sequence[R], **options: Any) -> int:
        return self._insert(shape.table, shape.fields, [shape.values_of(value) for value in values], **options)

    def _put_values(
        self,
        shape: Shape[R],
        values: Sequence[R],
        *,
        on_conflict: str = "fail",
        conflict: str = "it exists already",
    ) -> None:
        if values:
            packed = pack_values(shape, values, leave_out_null=True)
            self._session.put(*self._inserting(shape.table, packed, on_conflict), conflict)
