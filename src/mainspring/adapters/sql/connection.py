"""What the tables share: one connection in one transaction, its dialect, and the store's now."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from mainspring.adapters.sql.values import from_micros, to_micros


class SqlConnection:
    """A connection for the length of one transaction."""

    def __init__(self, connection: sa.Connection, now: datetime) -> None:
        self._connection, self.now = connection, now
        self.dialect = connection.dialect.name

    @property
    def micros(self) -> int:
        """The store's now, as columns hold it."""
        micros = to_micros(self.now)
        assert micros is not None
        return micros

    def execute(self, statement: Any, parameters: Mapping[str, Any] | None = None) -> sa.CursorResult[Any]:
        """Run one statement."""
        return self._connection.execute(statement, dict(parameters or {}))

    @staticmethod
    def instant(micros: Any) -> datetime:
        """Return the instant of a column that is never null."""
        at = from_micros(micros)
        assert at is not None
        return at

    @contextlib.contextmanager
    def conflicts(self, error: Callable[[], Exception]) -> Iterator[None]:
        """Turn a broken unique key into an error of ours."""
        try:
            yield
        except IntegrityError as broken:
            raise error() from broken
