"""The threads that own SQLite connections.

Writes take turns anyway, so one thread makes them all: what waits when it comes round, or comes while it works, goes
into one transaction and one sync to disk, each work in a savepoint of its own. A companion waits with the writer for a
transaction that wakes its topic, and goes along in that. Reads have threads of their own, on snapshots, and wait for
none. Work that is done ahead of its instant keeps the writer only for as long as nobody else wants it.
"""

from __future__ import annotations

import logging
import queue
import sqlite3
from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import sqlalchemy as sa

from mainspring.adapters.sql.companions import Companions
from mainspring.adapters.sql.failures import translated
from mainspring.adapters.sql.line import Call, Line, LineThread, deliver, rouse
from mainspring.adapters.sql.punctual import is_near, monotonic, wait
from mainspring.adapters.sql.sqlite import raw
from mainspring.errors import StoreError, StoreUnavailableError
from mainspring.ports.store import TooEarlyError
from mainspring.ports.transport import Aftermath

logger = logging.getLogger("mainspring")

#: Most works in one transaction: a bound on how long the first of them waits for the last.
GROUP = 256
#: Seconds before its instant from which on work that is done ahead of it gives way to nobody: a commit takes as long.
LAST = 0.001
#: Seconds before its instant at which such work is begun: other processes wait so long to write.
BEGIN = 0.005
#: Seconds before it at which the disk is roused, and without which it is too late for that: it takes up to two of them.
ROUSE, ENOUGH = 0.0035, 0.002
#: Seconds for which a disk that took longer than there was is not roused.
LET_SLEEP = 60.0
#: How long before an instant work is best handed over that is committed at it: late timers and threads have the rest.
LEAD = timedelta(milliseconds=10)

#: Runs a call's work on a connection; returns its result and what to do once it has committed.
Runner = Callable[[sa.Connection, Call], tuple[Any, Aftermath]]

#: Tells which topics an aftermath is sure to wake.
Woken = Callable[[Aftermath], Iterable[str]]


class ConnectionThread(LineThread):
    """A thread with a connection of its own."""

    def __init__(self, name: str, line: Line, connections: sa.Engine, run: Runner) -> None:
        super().__init__(name, line)
        self._connections, self._run = connections, run

    def run(self) -> None:
        try:
            connection = self._connections.connect()
        except BaseException as error:
            self.ready.set_exception(translated(error))
            return
        self.ready.set_result(None)
        try:
            self.serve(connection, raw(connection))
        finally:
            connection.close()

    @abstractmethod
    def serve(self, connection: sa.Connection, driver: sqlite3.Connection) -> None:
        """Serve calls to the end of the line."""


class Reader(ConnectionThread):
    """Runs works that only read, each on a snapshot of its own."""

    def serve(self, connection: sa.Connection, driver: sqlite3.Connection) -> None:
        while (call := self._line.take(self)) is not None:
            try:
                driver.execute("BEGIN")
                call.result, _ = self._run(connection, call)
            except BaseException as error:
                call.error = translated(error)
            finally:
                if driver.in_transaction:
                    driver.execute("ROLLBACK")
            deliver([call])
            del call


class Writer(ConnectionThread):
    """Runs works that write, those that wait together in one transaction.

    Only the engine of a file may checkpoint it (``checkpoints``): it copies the log into the file whenever that has
    grown to `PAGES`, and earlier, once there was a pause after `COMMITS` commits, so that busy times rarely have to. A
    log that was copied is written over, which a disk does sooner than it makes a file longer.
    """

    PAGES = 4000  # 16 MB
    COMMITS = 128
    PAUSE = 0.2

    def __init__(
        self,
        line: Line,
        connections: sa.Engine,
        run: Runner,
        committed: Callable[[Aftermath], None],
        *,
        woken: Woken,
        now: Callable[[], datetime],
        rouse_disk: Callable[[], None],
    ) -> None:
        super().__init__("mainspring-writer", line, connections, run)
        self.checkpoints = False
        #: What goes along with the transaction that wakes it.
        self.companions = Companions()
        self._committed, self._woken, self._now, self._rouse_disk = committed, woken, now, rouse_disk
        self._by_itself = False
        self._commits = 0
        self._rouse_from = 0.0

    def serve(self, connection: sa.Connection, driver: sqlite3.Connection) -> None:
        while (first := self._next(driver)) is not None:
            if first.at is not None:
                self._write_others(connection, driver, first.at)
            self._write_group(connection, driver, [first, *self._line.take_more(GROUP - 1)])
            del first
        if self.checkpoints:
            self._checkpoint(driver)

    def _write_others(self, connection: sa.Connection, driver: sqlite3.Connection, instant: datetime) -> None:
        """Let others write until it is time to begin what is committed at an instant."""
        while (left := self._left(instant)) > BEGIN and is_near(left, LEAD):
            if self._line.lull(self, left - BEGIN) or not (others := self._line.take_more(GROUP)):
                return
            self._write_group(connection, driver, others)

    def _write_group(self, connection: sa.Connection, driver: sqlite3.Connection, calls: Sequence[Call]) -> None:
        group = [call for call in calls if not call.future.cancelled()]
        if len(group) > 1:
            group = self._without_early(group)
        if group:
            self._write(connection, driver, group)

    def _next(self, driver: sqlite3.Connection) -> Call | None:
        if self.checkpoints and not self._by_itself:
            driver.execute(f"PRAGMA wal_autocheckpoint = {self.PAGES}")
            self._by_itself = True
        if not self.checkpoints or self._commits < self.COMMITS:
            return self._line.take(self)
        try:
            return self._line.take(self, timeout=self.PAUSE)
        except queue.Empty:
            self._checkpoint(driver)
            return self._line.take(self)

    def _checkpoint(self, driver: sqlite3.Connection) -> None:
        self._commits = 0
        try:
            driver.execute("PRAGMA wal_checkpoint(PASSIVE)")
        except sqlite3.Error as error:
            logger.warning("the write-ahead log could not be copied into the database: %s", error)

    def _write(self, connection: sa.Connection, driver: sqlite3.Connection, group: list[Call]) -> None:
        along: list[Call] = []
        try:
            driver.execute("BEGIN IMMEDIATE")
            self._run_all(connection, driver, group, alone=len(group) == 1)
            if driver.in_transaction and group[0].at is not None:
                self._give_way(driver, group[0], group[0].at)
            elif driver.in_transaction:
                # Once, so that no stream of newcomers holds up the first: what comes now waits for the next turn.
                more = self._line.take_more(GROUP - len(group))
                late = self._without_early([call for call in more if not call.future.cancelled()])
                group += late
                self._run_all(connection, driver, late, alone=False)
            if driver.in_transaction and self.companions:
                along = self._along(group, group[0].at)
                self._run_all(connection, driver, along, alone=False)
            if driver.in_transaction:
                if group[0].at is not None:
                    rouse([*along, *group])
                    wait(partial(self._left, group[0].at), LEAD)
                driver.execute("COMMIT")
            self._commits += 1
        except TooEarlyError as error:  # the clock was put back in the last moment
            self._fail(driver, along, error)
            group[0].error = error
        except BaseException as error:
            self._fail(driver, [*group, *along], error)
        aftermath = Aftermath()
        for call in (*group, *along):
            if call.error is None and call.aftermath:
                aftermath.add(call.aftermath)
        # The answers first, and of these what went along: whoever is woken for it has it at hand. Only who was early
        # hears last of it.
        early = [call for call in group if call.at is not None]
        deliver(along if early else [*along, *group])
        if aftermath:
            self._tell(aftermath)
        deliver(early)

    @staticmethod
    def _without_early(group: Sequence[Call]) -> list[Call]:
        """Return the calls to serve together: those ahead of their instant make way for the others."""
        early = [call for call in group if call.at is not None]
        for call in early:
            call.error = TooEarlyError("others want to write")
        deliver(early)
        return [call for call in group if call.at is None]

    def _give_way(self, driver: sqlite3.Connection, call: Call, instant: datetime) -> None:
        """Wait until a moment before an instant; undo its work where that is far off, or somebody else comes."""
        calm = self._calm(instant, ROUSE)
        if calm:
            self._rouse(instant)
        if not (calm and self._calm(instant, LAST)):
            driver.execute("ROLLBACK")
            call.error = TooEarlyError("others want to write, or the instant is far off")

    def _rouse(self, instant: datetime) -> None:
        """Rouse the disk ahead of an instant; a disk too slow for that is left alone for a while."""
        if self._left(instant) >= ENOUGH and monotonic() >= self._rouse_from:
            self._rouse_disk()
            if self._left(instant) < 0:
                self._rouse_from = monotonic() + LET_SLEEP

    def _calm(self, instant: datetime, until: float) -> bool:
        """Wait until so many seconds before an instant; False where that is far off, or somebody else comes."""
        left = self._left(instant)
        return is_near(left, LEAD) and self._line.lull(self, left - until)

    def _left(self, instant: datetime) -> float:
        return (instant - self._now()).total_seconds()

    def _along(self, group: Sequence[Call], at: datetime | None) -> list[Call]:
        """Return the companions of what this transaction wakes, to be done at the same instant."""
        done = [call.aftermath for call in group if call.error is None and call.aftermath]
        along = self.companions.take({topic for aftermath in done for topic in self._woken(aftermath)})
        for call in along:
            call.at = at
        return along

    def _run_all(
        self, connection: sa.Connection, driver: sqlite3.Connection, group: Sequence[Call], *, alone: bool
    ) -> None:
        """Run each work; one that raises is undone alone. Raises if SQLite has given up the transaction.

        To one that is ``alone`` the transaction itself does for a savepoint.
        """
        for call in group:
            if not alone:
                driver.execute("SAVEPOINT work")
            try:
                call.result, call.aftermath = self._run(connection, call)
            except BaseException as error:
                if not driver.in_transaction:
                    raise
                call.error = translated(error)
                driver.execute("ROLLBACK" if alone else "ROLLBACK TO work")
            if not alone:
                driver.execute("RELEASE work")

    def _fail(self, driver: sqlite3.Connection, group: Sequence[Call], error: BaseException) -> None:
        """Nothing of the group was written: say so to everybody who was not refused before for reasons of his own."""
        if driver.in_transaction:
            try:
                driver.execute("ROLLBACK")
            except sqlite3.Error:
                logger.exception("a failed transaction could not be rolled back")
        for call in group:
            if call.error is None:
                call.error = translated(error)
                if call.error is error or not isinstance(call.error, StoreError):
                    call.error = StoreUnavailableError(f"the transaction failed: {error}")
                    call.error.__cause__ = error

    def _tell(self, aftermath: Aftermath) -> None:
        try:
            self._committed(aftermath)
        except Exception:
            logger.exception("waking %s failed; polling will find the work", ", ".join(aftermath.topics))
