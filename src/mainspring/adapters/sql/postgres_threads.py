"""The threads that own PostgreSQL connections: each serves one call after the other, in a transaction of its own.

The driver is used without an event loop. A transaction of three statements is five round trips of some fifty
microseconds each; in a thread they cost no more than that, and its work is plain code as it is on SQLite.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGresult

from mainspring.adapters.sql.failures import repeatable, translated
from mainspring.adapters.sql.line import Call, Line, LineThread, deliver
from mainspring.adapters.sql.statements import as_sqlalchemy
from mainspring.errors import StoreError
from mainspring.ports.store import Work
from mainspring.ports.transport import Aftermath

logger = logging.getLogger("mainspring")

#: Times a transaction is run again after a deadlock or a failed serialisation.
TRIES = 5
#: Most calls that hear at once that there is no connection: they would each wait for the same answer.
REFUSED = 10_000
_WELL = (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SNAPSHOT = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
# The clock and not the transaction's start. One message with what begins it, for one answer.
_NOW = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"

#: Runs work on a connection at an instant; returns its result and what to do once it has committed.
Runner = Callable[[sa.Connection, datetime, Work[Any]], tuple[Any, Aftermath]]


def _error(result: PGresult) -> psycopg.Error:
    """What went wrong, as the driver itself would raise it: without a code of the server's the connection was lost."""
    error = error_from_result(result)
    return error if error.sqlstate else psycopg.OperationalError(str(error))


class PostgresThread(LineThread):
    """A thread with a connection of its own, made when it is first needed and again when it was lost.

    ``limits`` are statements sent with each BEGIN, for connections that keep no settings of their own.
    """

    def __init__(
        self,
        name: str,
        line: Line,
        engine: sa.Engine,
        run: Runner,
        committed: Callable[[Aftermath], None],
        *,
        limits: str = "",
    ) -> None:
        super().__init__(name, line)
        self._engine, self._run, self._committed, self._limits = engine, run, committed, limits
        self._connection: sa.Connection | None = None

    def run(self) -> None:
        self.ready.set_result(None)
        while (call := self._line.take(self)) is not None:
            if not call.future.cancelled():
                self._serve(call)
            del call
        self._drop()

    def _serve(self, call: Call) -> None:
        try:
            self._connected()
        except BaseException as error:
            self._refuse([call, *self._line.take_more(REFUSED)], translated(error))
            return
        for number in range(1, TRIES + 1):
            try:
                call.result, call.aftermath = self._transaction(call)
                break
            except BaseException as error:
                self._undo()
                if number == TRIES or not repeatable(error):
                    call.error = translated(error, reading=call.reading)
                    break
        if call.error is None and call.aftermath:
            self._tell(call.aftermath)
        deliver([call])

    def _tell(self, aftermath: Aftermath) -> None:
        try:
            self._committed(aftermath)
        except Exception:
            logger.exception("waking others failed; polling will find the work")

    @staticmethod
    def _refuse(calls: list[Call], error: BaseException) -> None:
        for call in calls:
            call.error = error
        deliver(calls)

    # -- one transaction -----------------------------------------------------------------------------------------

    def _transaction(self, call: Call) -> tuple[Any, Aftermath]:
        now = self._begin(_SNAPSHOT if call.reading else "BEGIN")
        connection = self._connected()
        result, aftermath = self._run(connection, now, call.work)
        if self._say("COMMIT").command_status != b"COMMIT":
            raise StoreError("the transaction was given up after an error that its work did not pass on")
        return result, aftermath

    def _begin(self, how: str) -> datetime:
        text = f"{how}; {self._limits}{_NOW}"
        try:
            result = self._say(text)
        except sa.exc.DBAPIError as error:
            if not error.connection_invalidated:
                raise
            self._drop()  # it was lost while nobody used it, and nothing has begun
            result = self._say(text)
        micros = result.get_value(0, 0)
        assert micros is not None, "a clock always tells the time"
        return _EPOCH + timedelta(microseconds=int(micros))

    def _say(self, text: str) -> PGresult:
        """Send plain words to the server; return what the last of them gave.

        Past the driver's cursors, which take longer to make than the server for its answer.
        """
        connection = self._connected()
        driver: Any = connection.connection.dbapi_connection
        try:
            result: PGresult = driver.pgconn.exec_(text.encode())
            if result.status not in _WELL:
                raise _error(result)
        except psycopg.Error as error:
            raise as_sqlalchemy(error, text, connection) from error
        return result

    def _undo(self) -> None:
        try:
            if self._connection is not None:
                self._say("ROLLBACK")
        except BaseException:  # the server undoes what a lost connection has begun
            self._drop()

    # -- the connection ------------------------------------------------------------------------------------------

    def _connected(self) -> sa.Connection:
        if self._connection is None:
            self._connection = self._engine.connect()
        return self._connection

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.invalidate()
            connection.close()
