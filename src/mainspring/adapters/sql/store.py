"""The store itself: calls in, transactions out.

`SqlStore` runs work in the threads that own the connections. What a transaction is to SQLite is in `threads`, what
its tables are is in `tables` and the modules around it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, TypeVar

import sqlalchemy as sa

from mainspring.adapters.sql.companions import Waiting
from mainspring.adapters.sql.engine_lock import EngineLock
from mainspring.adapters.sql.failures import translated
from mainspring.adapters.sql.line import Call, Line
from mainspring.adapters.sql.session import SqliteSession
from mainspring.adapters.sql.sqlite import SqliteSettings, connections, database_path
from mainspring.adapters.sql.sqlite_schema import prepare_sqlite, sqlite_revision
from mainspring.adapters.sql.sqlite_threads import LEAD, Reader, Writer
from mainspring.adapters.sql.statements import Statements
from mainspring.adapters.sql.tx import SqlTx
from mainspring.errors import StoreError, StoreUnavailableError
from mainspring.model.ids import Ids
from mainspring.ports.clock import Clock, Wakeups
from mainspring.ports.store import Work
from mainspring.ports.transport import Aftermath, Announcer, DatabaseTransport

T = TypeVar("T")


class SqlStore:
    """`Store` in a SQLite file.

    Opening makes the file or migrates it. Any number of processes may have it open; the one that has called
    `become_engine` checkpoints it. The file must not lie on a network file system: these break its locks.

    Args:
        url: ``sqlite:///relative.db``, ``sqlite:////absolute.db``, or a path.
        clock: What the store's ``now`` is read from; it never goes back within the process.
        random: Where ids come from.
        wakeups: Told what was woken, after the commit.
        announcer: Given what was announced, after the commit.
        synchronous: ``full``, or ``normal``: faster, and may forget acknowledged work in a power cut.
        record_transitions: Whether each move of an execution is recorded.
        busy_timeout: How long to wait for another process that writes.
        readers: How many works may read at once.
    """

    lead = LEAD

    def __init__(
        self,
        url: str | Path,
        *,
        clock: Clock,
        random: Random,
        wakeups: Wakeups | None = None,
        announcer: Announcer | None = None,
        synchronous: str = "full",
        record_transitions: bool = False,
        busy_timeout: timedelta = timedelta(seconds=5),
        readers: int = 2,
    ) -> None:
        self._settings = SqliteSettings(database_path(url), synchronous, busy_timeout)
        self._clock = MonotonicClock(clock)
        self._ids = Ids(random)
        self._wakeups = wakeups
        self._announcer = announcer or DatabaseTransport()
        self._record_transitions = record_transitions
        self._readers = readers
        self._engine_lock = EngineLock(self._settings.path)
        self._opening = threading.Lock()
        self._writes, self._reads = Line("writes"), Line("reads")
        self._statements: Statements
        self._writer: Writer | None = None

    # -- opening and closing ---------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Make or migrate the file and connect; nothing to do where that was done."""
        await asyncio.to_thread(self._open)

    def _open(self) -> None:
        with self._opening:
            if self._writer is not None:
                return
            try:
                prepare_sqlite(self._settings)
            except Exception as error:
                ours = translated(error)
                if type(ours) in (StoreError, StoreUnavailableError) and str(self._settings.path) not in str(ours):
                    raise type(ours)(f"{self._settings.path}: {ours}") from error
                raise ours from error
            to_write, to_read = connections(self._settings), connections(self._settings, read_only=True)
            self._statements = Statements(to_write.dialect)
            writer = Writer(
                self._writes,
                to_write,
                self._run,
                self._committed,
                woken=self._woken,
                now=self._clock.now,
                rouse_disk=self._rouse_disk,
            )
            self._writes.start([writer])
            try:
                names = [f"mainspring-reader-{number}" for number in range(1, self._readers + 1)]
                self._reads.start([Reader(name, self._reads, to_read, self._run) for name in names])
            except BaseException:
                self._writes.close()
                raise
            self._writer = writer

    async def close(self) -> None:
        """Finish what was submitted, let go of connections and of the engine's lock."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        with self._opening:
            self._reads.close()
            self._writes.close()
            self._writer = None
            self._engine_lock.release()

    def become_engine(self, role: str = "engine") -> None:
        """Become the engine of this file until closed: the one process that runs its work and checkpoints it.

        Raises:
            EngineBusyError: If another process is; the message says which.
        """
        self._engine_lock.acquire(role, self._clock.now())
        if self._writer is not None:
            self._writer.checkpoints = True

    async def migrate(self) -> str | None:
        """Bring the schema to what this version works with; return the revision it was at, None for an empty one."""
        before = await self.schema_version()
        await asyncio.to_thread(self._prepared, prepare_sqlite)
        return before

    async def schema_version(self) -> str | None:
        """Return the schema's revision, None where we have no tables. Raises `SchemaError` for a newer one."""
        version: str | None = await asyncio.to_thread(self._prepared, sqlite_revision)
        return version

    def _prepared(self, step: Any) -> Any:
        try:
            return step(self._settings)
        except Exception as error:
            raise translated(error) from error

    # -- work ------------------------------------------------------------------------------------------------------

    @property
    def lines(self) -> list[Line]:
        """Where calls wait for a connection, for metrics."""
        return [self._writes, self._reads]

    async def write(self, work: Work[T]) -> T:
        """Run ``work`` in a transaction; with others that wait, in one commit. It may be run again elsewhere."""
        result: T = await self._writes.call(work)
        return result

    async def read(self, work: Work[T]) -> T:
        """Run ``work``, which gets a `StoreError` if it writes, on a snapshot."""
        result: T = await self._reads.call(work)
        return result

    async def write_at(self, instant: datetime, work: Work[T]) -> T | None:
        """Run ``work`` ahead of an instant, and commit at it unless somebody else wants to write before."""
        result: T | None = await self._writes.call_at(instant, work)
        return result

    def accompany(self, topic: str, work: Work[T], done: Callable[[T], None] | None = None) -> Waiting[T]:
        """Run ``work`` along with the next transaction that wakes ``topic``, in its commit."""
        if self._writer is None:
            raise StoreUnavailableError("the store is not open")
        return self._writer.companions.add(topic, work, done)

    def write_blocking(self, work: Work[T]) -> T:
        """Do `write` from any thread."""
        result: T = self._writes.call_blocking(work)
        return result

    def read_blocking(self, work: Work[T]) -> T:
        """Do `read` from any thread."""
        result: T = self._reads.call_blocking(work)
        return result

    def _run(self, connection: sa.Connection, call: Call) -> tuple[Any, Aftermath]:
        now, recorded = self._clock.now(), self._record_transitions
        if call.at is not None:
            now = max(now, call.at)
        session = SqliteSession(connection, now, self._statements, record_transitions=recorded)
        tx = SqlTx(session, self._ids)
        result = call.work(tx)
        session.check()
        return result, tx.aftermath

    def _rouse_disk(self) -> None:
        if self._settings.synchronous == "full":  # else no commit waits for the disk
            self._engine_lock.rouse_disk()

    def _woken(self, aftermath: Aftermath) -> list[str]:
        return aftermath.early(self._announcer)

    def _committed(self, aftermath: Aftermath) -> None:
        early = self._woken(aftermath)  # whose companions have run: somebody has to look at what came of them
        topics = dict.fromkeys([*early, *aftermath.pass_on(self._announcer)])
        if topics and self._wakeups is not None:
            self._wakeups.notify(*topics)


class MonotonicClock:
    """Another clock, whose steps back are not followed: what the store has called now stays past."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last: datetime | None = None
        self._lock = threading.Lock()

    def now(self) -> datetime:
        """Return the present instant, never before one returned earlier."""
        with self._lock:
            now = self._clock.now()
            if self._last is None or now > self._last:
                self._last = now
            return self._last
