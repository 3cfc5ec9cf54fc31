"""A transaction that is only rehearsed: nothing of it reaches the database.

To build a statement and to put it into the words of a database takes a millisecond or two, once in the life of a
process. The first jobs of a day that are due would wait for a dozen of them, one after the other.
"""

from __future__ import annotations

from datetime import datetime
from itertools import count
from typing import Any

import sqlalchemy as sa

from mainspring.adapters.sql.dialect import Dialect
from mainspring.adapters.sql.session import Session
from mainspring.adapters.sql.statements import Result, Statements
from mainspring.errors import StoreError
from mainspring.ports.transport import Aftermath


class Rehearsal(Session):
    """A session that prepares each statement, runs none, and finds nothing."""

    def __init__(self, dialect: Dialect, statements: Statements, now: datetime) -> None:
        super().__init__(statements, record_transitions=False)
        self.dialect, self._now = dialect, now

    @property
    def connection(self) -> sa.Connection:
        raise StoreError("a rehearsal has no connection")

    @property
    def now(self) -> datetime:
        return self._now

    def end_with_next(self, aftermath: Aftermath) -> None:
        """There is no end."""

    def _run(self, statement: Any, parameters: dict[str, Any]) -> Result:
        self._statements.prepare(statement)
        return Result((), 0)


class Numbers:
    """Ids for what is never stored: those of `Ids` keep to the clock, and what is rehearsed lies ahead of it."""

    def __init__(self) -> None:
        self._numbers = count()

    def new(self, at: datetime) -> str:
        """Return an id after all before it."""
        return f"{next(self._numbers):036}"

    def several(self, at: datetime, count: int) -> list[str]:
        """Return ids after all before them."""
        return [self.new(at) for _ in range(count)]
