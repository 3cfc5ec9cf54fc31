"""One transaction on a `Wire`: statements wait for their answers only where somebody looks at them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from mainspring.adapters.sql.dialect import POSTGRES
from mainspring.adapters.sql.postgres_wire import Wire, Words
from mainspring.adapters.sql.session import Session
from mainspring.adapters.sql.statements import Compiled, Result, Statements, by_sqlalchemy
from mainspring.ports.transport import Aftermath

#: Readies the end of a transaction: says what others are to be told along with it, None for nothing.
Ending = Callable[["PostgresSession", Aftermath], Words | None]


class PostgresSession(Session):
    """A transaction that begins with the first question asked in it."""

    dialect = POSTGRES

    def __init__(
        self,
        wire: Wire,
        statements: Statements,
        ending: Ending,
        hands_on: Callable[[], bool],
        *,
        record_transitions: bool,
    ) -> None:
        super().__init__(statements, record_transitions=record_transitions)
        self._wire, self._ending, self._hands_on = wire, ending, hands_on
        self._now: datetime | None = None

    @property
    def connection(self) -> sa.Connection:
        return self._guarded(self._wire.open)

    @property
    def now(self) -> datetime:
        if self._now is None:
            self._now = self._guarded(lambda: self._wire.now)
        return self._now

    def put(self, statement: Any, parameters: dict[str, Any], conflict: str = "it exists already") -> None:
        known = self._statements.known(statement)
        if known is None:
            super().put(statement, parameters, conflict)
        else:
            self._guarded(self._wire.put, known.numbered, known.values(parameters), conflict)

    def end_with_next(self, aftermath: Aftermath) -> None:
        if not self.record_transitions:  # which are written in the same transaction
            self._wire.end_with_next(lambda: self._ending(self, aftermath))

    @property
    def hands_on(self) -> bool:
        return not (self.confined or self.kept) and self._hands_on()

    def hand_on(self, statement: Any, parameters: dict[str, Any]) -> Result:
        self._statements.prepare(statement)  # a question by its looks, which would be asked by itself at first
        self._wire.fills = True
        found = super().hand_on(statement, parameters)
        self._wire.filled = bool(found.rows[0][2])
        return found

    def fill(self, statement: bytes, queue: str) -> None:
        """Have what was queued claimed for a worker that lends a slot of this queue, unless that was done with it."""
        if not self._wire.fills:
            self._wire.fill(statement, queue)

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
        return known.converted(self._wire.rows(answer))
