"""One transaction on a `Wire`: statements wait for their answers only where somebody looks at them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from mainspring.adapters.sql.dialect import POSTGRES
from mainspring.adapters.sql.postgres_wire import Wire
from mainspring.adapters.sql.session import Session
from mainspring.adapters.sql.statements import Compiled, Result, Statements, by_sqlalchemy


class PostgresSession(Session):
    """A transaction that begins with the first question asked in it."""

    dialect = POSTGRES

    def __init__(self, wire: Wire, statements: Statements, *, record_transitions: bool) -> None:
        super().__init__(statements, record_transitions=record_transitions)
        self._wire = wire

    @property
    def connection(self) -> sa.Connection:
        return self._guarded(self._wire.open)

    @property
    def now(self) -> datetime:
        return self._guarded(lambda: self._wire.now)

    def insert(self, statement: Any, parameters: dict[str, Any], conflict: str) -> None:
        known = self._statements.known(statement)
        if known is None:
            super().insert(statement, parameters, conflict)
        else:
            self._guarded(self._wire.put, known.numbered, known.values(parameters), conflict)

    def end_with_next(self) -> None:
        if not self.record_transitions:  # which are written in the same transaction
            self._wire.end_with_next()

    def _run(self, statement: Any, parameters: dict[str, Any]) -> Result:
        known = self._statements.known(statement)
        if known is None:
            return by_sqlalchemy(self._wire.open(), statement, parameters)
        return self._asked(known, parameters)

    def _asked(self, known: Compiled, parameters: dict[str, Any]) -> Result:
        answer = self._wire.ask(known.numbered, known.values(parameters))
        if known.returns is None:
            count = answer.nfields
            codes = [answer.ftype(number) for number in range(count)] if count else None
            known.describe(codes, self._wire.connected().dialect)
        if not known.returns:
            return Result((), answer.command_tuples or 0)
        rows = self._wire.rows(answer)
        return Result(known.converted(rows), len(rows))
