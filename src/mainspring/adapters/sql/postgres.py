"""The store in PostgreSQL: the same tables and the same work, each call a short transaction of its own.

Calls are served by threads that own the connections (see `postgres_threads`), as on SQLite. Only the server's clock
decides. What is woken is told to other processes by NOTIFY (see `telegraph`).
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any, TypeVar

import sqlalchemy as sa

from mainspring.adapters.sql.companions import Companions, Waiting
from mainspring.adapters.sql.failures import translated
from mainspring.adapters.sql.guards import connect_arguments, server_settings
from mainspring.adapters.sql.line import Line, deliver
from mainspring.adapters.sql.partitions import LAYING_OUT
from mainspring.adapters.sql.postgres_activity import activity
from mainspring.adapters.sql.postgres_session import PostgresSession
from mainspring.adapters.sql.postgres_threads import PostgresThread
from mainspring.adapters.sql.postgres_wire import LEAD, Wire, Words
from mainspring.adapters.sql.schema import HEAD, current, upgrade
from mainspring.adapters.sql.statements import Statements
from mainspring.adapters.sql.telegraph import Telegraph
from mainspring.adapters.sql.tx import SqlTx
from mainspring.adapters.sql.vacancies import ADDRESSES, VacancyTable, filling, handed, may_lend
from mainspring.adapters.sql.walls import raise_walls
from mainspring.errors import SchemaError, StoreUnavailableError
from mainspring.model.ids import Ids
from mainspring.ports.activity import Activity
from mainspring.ports.clock import Wakeups
from mainspring.ports.store import Filled, Handed, Lender, Tx, Vacancy, Work
from mainspring.ports.transport import Aftermath, Announcer, DatabaseTransport

logger = logging.getLogger("mainspring")

T = TypeVar("T")

# Whoever migrates waits for his turn and then takes the time it takes; only for others' locks nobody waits for long.
_MIGRATING = [
    sa.text("SELECT set_config('statement_timeout', '0', true), set_config('lock_timeout', '0', true)"),
    sa.text(f"SELECT pg_advisory_xact_lock({LAYING_OUT})"),
    sa.text("SELECT set_config('lock_timeout', '10000', true)"),
]


@dataclass(frozen=True, slots=True)
class PostgresSettings:
    """How connections are made; at most ``pool_size``, and one for notifications.

    ``pooled``: a transaction-pooling proxy stands in between, so nothing may outlive a transaction: no prepared
    statements, no LISTEN, no settings of the connection. A client that freezes in a transaction is cut off by the
    server after ``idle_limit``, so that the rows it has locked are free again.
    """

    pool_size: int = 10
    pooled: bool = False
    statement_limit: timedelta = timedelta(seconds=30)
    lock_limit: timedelta = timedelta(seconds=10)
    idle_limit: timedelta = timedelta(seconds=10)

    def on_server(self) -> dict[str, str]:
        """Return what the server is told for each of our connections."""
        return server_settings(self.statement_limit, self.lock_limit, self.idle_limit)


class PostgresStore:
    """`Store` in PostgreSQL 15 or newer. Its schema is made and migrated by `migrate` alone."""

    lead = LEAD

    def __init__(
        self,
        url: str,
        *,
        random: Random,
        settings: PostgresSettings | None = None,
        wakeups: Wakeups | None = None,
        announcer: Announcer | None = None,
        record_transitions: bool = False,
    ) -> None:
        self._url, self._settings = driver_url(url), settings or PostgresSettings()
        if (mode := self._url.query.get("sslmode")) in ("allow", "prefer", "require"):
            logger.warning(
                "database_url says sslmode=%s, which encrypts and does not check the server's certificate: anybody may "
                "answer for it. Write sslmode=verify-full, and sslrootcert=system or the file of your own authority",
                mode,
            )
        self._ids = Ids(random)
        self._wakeups, self._record_transitions = wakeups, record_transitions
        self._announcer = announcer or DatabaseTransport()
        self._engine = sa.create_engine(
            self._url, poolclass=sa.pool.NullPool, isolation_level="AUTOCOMMIT", hide_parameters=True, **self._options()
        )
        self._statements = Statements(self._engine.dialect)
        self._calls = Line("calls")
        self._companions = Companions()
        self._telegraph: Telegraph | None = None
        # Whether workers lend slots here, and what they are told.
        self._lends = False
        self._filling = filling(self._engine.dialect)
        self._lenders: dict[str, Callable[[Handed], Any]] = {}
        self._opened = False

    # -- opening and closing -------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Connect and see that the schema is the one this version works with. Raises `SchemaError`."""
        if self._opened:
            return
        await asyncio.to_thread(self._open)

    def _open(self) -> None:
        version = self._asked(_version)
        if version != HEAD:
            found = version or "not there"
            raise SchemaError(f"the database's schema is {found}; run `mainspring migrate` to make it {HEAD}")
        pooled = self._settings.pooled
        self._lends = not (pooled or self._record_transitions) and self._asked(may_lend)
        settings = self._settings.on_server() if pooled else {}
        self._calls.start(
            [
                PostgresThread(
                    f"mainspring-postgres-{number}",
                    self._calls,
                    Wire(self._engine, settings, prepares=not pooled),
                    self._run,
                    self._words,
                    self._rouse,
                    self._committed,
                )
                for number in range(1, self._settings.pool_size + 1)
            ]
        )
        if not pooled:
            plain = self._url.set(drivername="postgresql").render_as_string(hide_password=False)
            options = self._options()["connect_args"]
            self._telegraph = Telegraph(plain, self._wake, self._handed, ADDRESSES, **options)
            self._telegraph.start()
            if self._wakeups is None:
                self._hear()
            else:
                self._wakeups.when_heard(self._hear)
        self._opened = True

    def _hear(self) -> None:
        if (telegraph := self._telegraph) is not None:
            telegraph.hear()

    async def close(self) -> None:
        """Finish what was submitted and let go of every connection."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._calls.close()
        telegraph, self._telegraph, self._opened = self._telegraph, None, False
        if telegraph is not None:
            telegraph.close()

    async def migrate(self) -> str | None:
        """Make the schema, or bring it to this version's; return the revision it was at, None for an empty database.

        One process migrates at a time, in one transaction: interrupted, nothing has happened.
        """
        return await asyncio.to_thread(self._asked, _migrate)

    async def identity(self) -> str | None:
        """Return what tells this database from one restored from a dump of it, or from a copy on another server."""
        return await asyncio.to_thread(self._asked, _identity)

    async def schema_version(self) -> str | None:
        """Return the schema's revision, None for a database without our tables; `SchemaError` for a newer one."""
        return await asyncio.to_thread(self._asked, _version)

    async def activity(self) -> Activity:
        """Return what else goes on in the database that could hold our work up."""
        found: Activity = await asyncio.to_thread(self._asked, activity)
        return found

    def _asked(self, question: Any) -> Any:
        """Ask something on a connection of its own."""
        engine = sa.create_engine(self._url, poolclass=sa.pool.NullPool, **self._options())
        try:
            with engine.begin() as connection:
                return question(connection)
        except Exception as error:
            raise translated(error) from error

    def _options(self) -> dict[str, Any]:
        return {"connect_args": connect_arguments(self._settings.on_server(), pooled=self._settings.pooled)}

    # -- work ----------------------------------------------------------------------------------------------------

    @property
    def lines(self) -> list[Line]:
        """Where calls wait for a connection, for metrics."""
        return [self._calls]

    async def write(self, work: Work[T]) -> T:
        """Run ``work`` in a transaction; after a deadlock the whole of it is run again."""
        result: T = await self._calls.call(work)
        return result

    async def read(self, work: Work[T]) -> T:
        """Run ``work`` on one snapshot; the server refuses it a write."""
        result: T = await self._calls.call(work, reading=True)
        return result

    async def write_at(self, instant: datetime, work: Work[T]) -> T | None:
        """Run ``work`` ahead of an instant, and commit at it."""
        result: T | None = await self._calls.call_at(instant, work)
        return result

    def write_blocking(self, work: Work[T]) -> T:
        """Do `write` from any thread."""
        result: T = self._calls.call_blocking(work)
        return result

    def read_blocking(self, work: Work[T]) -> T:
        """Do `read` from any thread."""
        result: T = self._calls.call_blocking(work, reading=True)
        return result

    def accompany(self, topic: str, work: Work[T], done: Callable[[T], None] | None = None) -> Waiting[T]:
        """Run ``work`` as soon as ``topic`` is woken, here or by another process, without a turn of the event loop."""
        if not self._opened:
            raise StoreUnavailableError("the store is not open")
        self._hear()
        waiting = self._companions.add(topic, work, done)
        # Nobody is woken for its topic while it runs, to look for what it will have found: its thread needs the time.
        waiting.then(lambda: self._notify(topic))
        return waiting

    def _run(self, wire: Wire, work: Work[Any]) -> tuple[Any, Aftermath]:
        recorded = self._record_transitions
        session = PostgresSession(wire, self._statements, self._end, self._hands_on, record_transitions=recorded)
        tx = SqlTx(session, self._ids)
        result = work(tx)
        session.check()
        if not wire.ended:
            self._fill(session, tx.aftermath)
        return result, tx.aftermath

    def _end(self, session: PostgresSession, aftermath: Aftermath) -> Words | None:
        self._fill(session, aftermath)
        return self._words(aftermath)

    def _fill(self, session: PostgresSession, aftermath: Aftermath) -> None:
        """Have the only execution that was queued claimed for a worker that lends a slot, if one does."""
        if (queue := aftermath.queues_one) is not None and session.hands_on:
            session.fill(self._filling.numbered, queue)

    def _hands_on(self) -> bool:
        """Whether workers may lend here, and what was claimed for one may be told at once."""
        return self._lends and self._telegraph is not None and self._telegraph.quiet

    def _words(self, aftermath: Aftermath) -> Words | None:
        """What other processes are told along with the commit."""
        telegraph = self._telegraph
        topics = aftermath.early(self._announcer) if telegraph is not None and aftermath else []
        told = telegraph.words(topics) if telegraph is not None and topics else None
        if telegraph is None or told is None:
            return None
        others = [topic for topic in topics if topic != "queued"]
        return Words(told, telegraph.told(others) if others else None)

    # -- slots that are lent ---------------------------------------------------------------------------------------

    def hear(self, worker_id: str, handed: Callable[[Handed], None]) -> str | None:
        """Have ``handed`` called with what whoever queues claims for this worker."""
        if self._telegraph is None or not self._lends:
            return None
        self._hear()
        loop, context = asyncio.get_running_loop(), contextvars.copy_context()
        self._lenders[worker_id] = lambda one: loop.call_soon_threadsafe(context.run, handed, one)
        return self._telegraph.address

    async def lend(self, lender: Lender, vacancies: Sequence[Vacancy], term: timedelta) -> set[str]:
        """Let vacancies stand, anew or longer."""

        def work(tx: Tx) -> set[str]:
            tx.end_with_next()
            return _vacancies(tx).lend(lender, vacancies, term)

        return await self.write(work)

    async def take_back(self, worker_id: str) -> list[Filled]:
        """Let none of a worker's vacancies stand; return those that were filled."""
        return await self.write(lambda tx: _vacancies(tx).take_back(worker_id))

    def _handed(self, words: str) -> None:
        """Pass on what a notification says; in the telegraph's thread."""
        try:
            one = handed(words, self._engine.dialect)
            if (lender := self._lenders.get(one.worker_id)) is not None:
                lender(one)
        except Exception as error:  # its event loop is closed, or whoever told is no friend: who hears goes on hearing
            logger.debug("what was handed to a worker did not reach it, and will be queued again: %s", error)

    # -- what is woken -----------------------------------------------------------------------------------------------

    def _rouse(self, aftermath: Aftermath) -> None:
        """Have whoever waits for work look for it once in vain, a moment before there is some."""
        queues = "queued" in aftermath.early(self._announcer)
        if queues and self._telegraph is not None and self._telegraph.rouse("queued"):
            self._wake("queued")

    def _wake(self, *topics: str) -> None:
        taken = self._companions.take(topics) if self._companions else ()
        for call in taken:
            try:
                self._calls.put(call)
            except StoreUnavailableError as error:
                call.error = error
                deliver([call])
        later = {call.topic for call in taken}
        self._notify(*(topic for topic in topics if topic not in later))

    def _notify(self, *topics: str) -> None:
        if self._wakeups is not None:
            self._wakeups.notify(*topics)

    def _committed(self, aftermath: Aftermath, told: bool) -> None:
        early = aftermath.early(self._announcer) if told else []
        topics = aftermath.pass_on(self._announcer, told=told)
        if topics or early:
            self._wake(*dict.fromkeys([*early, *topics]))
        if self._telegraph is not None and (left := [topic for topic in topics if topic not in early]):
            self._telegraph.send(left)


def _vacancies(tx: Tx) -> VacancyTable:
    assert isinstance(tx, SqlTx), "a transaction of this store"
    return tx.vacancies


def driver_url(url: str) -> sa.URL:
    """Return a PostgreSQL URL for the driver in use; ``postgres://`` and other drivers' spellings are accepted.

    >>> driver_url("postgres://me@db/jobs").drivername
    'postgresql+psycopg'
    """
    parsed = sa.make_url(url.replace("postgres://", "postgresql://", 1))
    return parsed.set(drivername="postgresql+psycopg")


def _migrate(connection: sa.Connection) -> str | None:
    for statement in _MIGRATING:
        connection.execute(statement)
    before = current(connection)
    upgrade(connection)
    raise_walls(connection)
    return before


def _version(connection: sa.Connection) -> str | None:
    return current(connection)


def _identity(connection: sa.Connection) -> str:
    """The server's own number and the database's in it: a restored dump has another of one or of both."""
    database = connection.execute(sa.text("SELECT oid FROM pg_database WHERE datname = current_database()")).scalar()
    may_ask = "SELECT has_function_privilege('pg_control_system()', 'execute')"
    if not connection.execute(sa.text(may_ask)).scalar():
        return f"/{database}"
    server = connection.execute(sa.text("SELECT system_identifier FROM pg_control_system()")).scalar()
    return f"{server}/{database}"
