"""The threads that own SQLite connections, and the calls that wait for them.

Writes take turns anyway, so one thread makes them all: what waits when it comes round goes into one transaction and
one sync to disk, each work in a savepoint of its own. Reads have threads of their own, on snapshots, and wait for none.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

import sqlalchemy as sa

from mainspring.adapters.sql.failures import translated
from mainspring.adapters.sql.sqlite import raw
from mainspring.errors import StoreError, StoreUnavailableError
from mainspring.ports.store import Work
from mainspring.ports.transport import Aftermath

logger = logging.getLogger("mainspring")

#: Most works in one transaction: a bound on how long the first of them waits for the last.
GROUP = 256

#: Runs work on a connection; returns its result and what to do once it has committed.
Runner = Callable[[sa.Connection, Work[Any]], tuple[Any, Aftermath]]


class Call:
    """Work that somebody waits for: a task of an event loop, or a thread."""

    __slots__ = ("aftermath", "error", "future", "loop", "result", "work")

    def __init__(self, work: Work[Any], loop: asyncio.AbstractEventLoop | None = None) -> None:
        self.work, self.loop = work, loop
        self.future: asyncio.Future[Any] | Future[Any] = Future() if loop is None else loop.create_future()
        self.result: Any = None
        self.error: BaseException | None = None
        self.aftermath: Aftermath | None = None

    def settle(self) -> None:
        """Tell who waits; in the event loop's own thread, if it is a task."""
        if self.future.done():  # cancelled meanwhile
            return
        if self.error is None:
            self.future.set_result(self.result)
        else:
            self.future.set_exception(self.error)


def deliver(calls: Sequence[Call]) -> None:
    """Settle calls that are over, waking each event loop once."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Call]] = {}
    for call in calls:
        if call.loop is None:
            call.settle()
        else:
            by_loop.setdefault(call.loop, []).append(call)
    for loop, waiting in by_loop.items():
        try:
            loop.call_soon_threadsafe(_settle, waiting)
        except RuntimeError:
            logger.debug("an event loop was closed before %d of its writes were done", len(waiting))


def _settle(calls: Sequence[Call]) -> None:
    for call in calls:
        call.settle()


class Line:
    """Where calls wait for the next free thread. Once closed it takes no more, and its threads end when it is empty."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._calls: queue.SimpleQueue[Call | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads: list[ConnectionThread] = []
        self._open = False

    def start(self, threads: Sequence[ConnectionThread]) -> None:
        """Start serving, once every thread has its connection. Raises what kept one from having it."""
        self._threads = list(threads)
        self._calls = queue.SimpleQueue()  # whatever an earlier, failed start has left
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                thread.ready.result()
        except BaseException:
            self.close()
            raise
        self._open = True

    async def call(self, work: Work[Any]) -> Any:
        """Run work and wait for it in the present event loop."""
        call = Call(work, asyncio.get_running_loop())
        self._put(call)
        return await call.future  # type: ignore[misc]  # an asyncio future, since it was given a loop

    def call_blocking(self, work: Work[Any]) -> Any:
        """Run work and wait for it in the present thread."""
        call = Call(work)
        self._put(call)
        return call.future.result()

    def _put(self, call: Call) -> None:
        if threading.current_thread() in self._threads:
            raise StoreError("work called the store it runs in: use its transaction instead")
        with self._lock:
            if not self._open:
                raise StoreUnavailableError("the store is not open")
            self._calls.put(call)

    def take(self, timeout: float | None = None) -> Call | None:
        """Return the next call; None at the end. Raises ``queue.Empty`` after ``timeout`` seconds."""
        return self._calls.get(timeout=timeout)

    def take_more(self, limit: int) -> tuple[list[Call], bool]:
        """Return up to ``limit`` calls that wait already, and whether the end was among them."""
        found: list[Call] = []
        while len(found) < limit:
            try:
                call = self._calls.get_nowait()
            except queue.Empty:
                break
            if call is None:
                return found, True
            found.append(call)
        return found, False

    def close(self) -> None:
        """Finish what waits, end the threads, and wait for them."""
        with self._lock:
            self._open = False
            for _ in self._threads:
                self._calls.put(None)
        for thread in self._threads:
            thread.join()
        self._threads = []


class ConnectionThread(threading.Thread):
    """A thread with a connection of its own, serving a line. A daemon: a process that forgot to close still ends."""

    def __init__(self, name: str, line: Line, connections: sa.Engine, run: Runner) -> None:
        super().__init__(name=name, daemon=True)
        self.ready: Future[None] = Future()
        self._line, self._connections, self._run = line, connections, run

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

    def serve(self, connection: sa.Connection, driver: sqlite3.Connection) -> None:
        """Serve calls to the end of the line."""
        raise NotImplementedError


class Reader(ConnectionThread):
    """Runs works that only read, each on a snapshot of its own."""

    def serve(self, connection: sa.Connection, driver: sqlite3.Connection) -> None:
        while (call := self._line.take()) is not None:
            try:
                driver.execute("BEGIN")
                call.result, _ = self._run(connection, call.work)
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
    grown to `PAGES`, and earlier, once there was a pause after `COMMITS` commits, so that busy times rarely have to.
    """

    PAGES = 4000  # 16 MB
    COMMITS = 256
    PAUSE = 1.0

    def __init__(self, line: Line, connections: sa.Engine, run: Runner, committed: Callable[[Aftermath], None]) -> None:
        super().__init__("mainspring-writer", line, connections, run)
        self.checkpoints = False
        self._committed = committed
        self._by_itself = False
        self._commits = 0

    def serve(self, connection: sa.Connection, driver: sqlite3.Connection) -> None:
        over = False
        while not over:
            first = self._next(driver)
            if first is None:
                break
            more, over = self._line.take_more(GROUP - 1)
            group = [call for call in (first, *more) if not call.future.cancelled()]
            del first, more
            if group:
                self._write(connection, driver, group)
            del group
        if self.checkpoints:
            self._checkpoint(driver)

    def _next(self, driver: sqlite3.Connection) -> Call | None:
        if self.checkpoints and not self._by_itself:
            driver.execute(f"PRAGMA wal_autocheckpoint = {self.PAGES}")
            self._by_itself = True
        if not self.checkpoints or self._commits < self.COMMITS:
            return self._line.take()
        try:
            return self._line.take(timeout=self.PAUSE)
        except queue.Empty:
            self._checkpoint(driver)
            return self._line.take()

    def _checkpoint(self, driver: sqlite3.Connection) -> None:
        self._commits = 0
        try:
            driver.execute("PRAGMA wal_checkpoint(PASSIVE)")
        except sqlite3.Error as error:
            logger.warning("the write-ahead log could not be copied into the database: %s", error)

    def _write(self, connection: sa.Connection, driver: sqlite3.Connection, group: Sequence[Call]) -> None:
        try:
            driver.execute("BEGIN IMMEDIATE")
            self._run_all(connection, driver, group)
            if driver.in_transaction:
                driver.execute("COMMIT")
            self._commits += 1
        except BaseException as error:
            self._fail(driver, group, error)
        aftermath = Aftermath()
        for call in group:
            if call.error is None and call.aftermath:
                aftermath.add(call.aftermath)
        if aftermath:
            self._tell(aftermath)
        deliver(group)

    def _run_all(self, connection: sa.Connection, driver: sqlite3.Connection, group: Sequence[Call]) -> None:
        """Run each work; one that raises is undone alone. Raises if SQLite has given up the transaction."""
        alone = len(group) == 1  # and then the transaction itself does for a savepoint
        for call in group:
            if not alone:
                driver.execute("SAVEPOINT work")
            try:
                call.result, call.aftermath = self._run(connection, call.work)
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
