"""The threads that own PostgreSQL connections: each serves one call after the other, in a transaction of its own.

The driver is used without an event loop: a round trip takes some fifty microseconds, in a thread it costs no more than
that, and its work is plain code as it is on SQLite.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from mainspring.adapters.sql.failures import repeatable, translated
from mainspring.adapters.sql.line import Call, Line, LineThread, deliver
from mainspring.adapters.sql.postgres_wire import Wire, Words
from mainspring.adapters.sql.punctual import pause
from mainspring.ports.store import TooEarlyError, Work
from mainspring.ports.transport import Aftermath

logger = logging.getLogger("mainspring")

#: Times a transaction is tried in all, where a deadlock or a failed serialisation ends it.
TRIES = 5
#: Seconds for which who did something at an instant makes way for those who were told of it.
MAKE_WAY = 0.003
#: Most calls that hear at once that there is no connection: they would each wait for the same answer.
REFUSED = 10_000

#: Runs work on a connection; returns its result and what to do once it has committed.
Runner = Callable[[Wire, Work[Any]], tuple[Any, Aftermath]]


class PostgresThread(LineThread):
    """A thread with a connection of its own.

    ``words`` says what others are to be told along with a commit, ``rouse`` wakes them before one that is done at an
    instant; ``committed`` tells the rest, once that is done.
    """

    def __init__(
        self,
        name: str,
        line: Line,
        wire: Wire,
        run: Runner,
        words: Callable[[Aftermath], Words | None],
        rouse: Callable[[Aftermath], None],
        committed: Callable[[Aftermath, bool], None],
    ) -> None:
        super().__init__(name, line)
        self._wire, self._run = wire, run
        self._words, self._rouse, self._committed = words, rouse, committed

    def run(self) -> None:
        self.ready.set_result(None)
        while (call := self._line.take(self)) is not None:
            if not call.future.cancelled():
                self._serve(call)
            del call
        self._wire.drop()

    def _serve(self, call: Call) -> None:
        try:
            self._wire.connected()
        except BaseException as error:
            self._refuse([call, *self._line.take_more(REFUSED)], translated(error))
            return
        told = False
        for number in range(1, TRIES + 1):
            try:
                told = self._transaction(call)
                break
            except BaseException as error:
                self._wire.undo()
                if number == TRIES or not repeatable(error):
                    call.error = translated(error, reading=call.reading)
                    break
        if call.at is None:
            deliver([call])
        if call.error is None and call.aftermath:
            self._tell(call.aftermath, told)
        if call.at is not None:
            if told:
                pause(MAKE_WAY)
            deliver([call])

    def _tell(self, aftermath: Aftermath, told: bool) -> None:
        try:
            self._committed(aftermath, told)
        except Exception:
            logger.exception("waking others failed; polling will find the work")

    @staticmethod
    def _refuse(calls: list[Call], error: BaseException) -> None:
        for call in calls:
            call.error = error
        deliver(calls)

    def _transaction(self, call: Call) -> bool:
        """Do a call's work; return whether other processes were told along with the commit."""
        self._wire.begin(reading=call.reading, at=call.at)
        if call.at is not None and not self._line.idle:
            raise TooEarlyError("others would have to wait for a connection")
        call.result, aftermath = self._run(self._wire, call.work)
        self._wire.wait(partial(self._rouse, aftermath))
        if call.at is not None and call.future.cancelled():
            raise TooEarlyError("nobody waits for it any more")
        told = self._wire.commit(partial(self._words, aftermath))
        if self._wire.filled and aftermath.queues_one is not None:  # else work went on, and queued more
            aftermath.begun()
        call.aftermath = aftermath
        return told
