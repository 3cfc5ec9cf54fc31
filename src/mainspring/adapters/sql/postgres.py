"""The store in PostgreSQL: the same tables and the same work, each call a short transaction of its own.

Calls run on the event loop through SQLAlchemy's async engine; threads without one have a small pool of their own. Only
the server's clock decides. What is woken is told to other processes by NOTIFY, gathered, so that a busy store takes the
server's one notification lock a few times a second and not once per commit.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from mainspring.adapters.sql.dialect import POSTGRES
from mainspring.adapters.sql.failures import repeatable, translated
from mainspring.adapters.sql.schema import HEAD, current, upgrade
from mainspring.adapters.sql.session import Session
from mainspring.adapters.sql.tx import SqlTx
from mainspring.errors import SchemaError, StoreUnavailableError
from mainspring.model.ids import Ids
from mainspring.ports.clock import Wakeups
from mainspring.ports.store import Work
from mainspring.ports.transport import Aftermath, Announcer, DatabaseTransport

logger = logging.getLogger("mainspring")

T = TypeVar("T")

CHANNEL = "mainspring"
#: Seconds over which topics are gathered into one notification.
GATHER = 0.005
#: Times a transaction is run again after a deadlock or a failed serialisation.
TRIES = 5
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NOW = sa.text("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")
_MIGRATING = sa.text("SELECT pg_advisory_xact_lock(7730941)")


@dataclass(frozen=True, slots=True)
class PostgresSettings:
    """How connections are made.

    ``pooled``: a transaction-pooling proxy stands in between, so nothing may outlive a transaction: no prepared
    statements, no LISTEN. A client that freezes in a transaction is cut off by the server after ``idle_limit``, so
    that the rows it has locked are free again.
    """

    pool_size: int = 10
    pooled: bool = False
    statement_limit: timedelta = timedelta(seconds=30)
    lock_limit: timedelta = timedelta(seconds=10)
    idle_limit: timedelta = timedelta(seconds=10)


class PostgresStore:
    """`Store` in PostgreSQL 15 or newer. Its schema is made and migrated by `migrate` alone."""

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
        self._ids = Ids(random)
        self._wakeups, self._record_transitions = wakeups, record_transitions
        self._announcer = announcer or DatabaseTransport()
        self._engine: AsyncEngine | None = None
        self._threads: sa.Engine | None = None
        self._listening: asyncio.Task[None] | None = None
        self._gathered: set[str] = set()
        self._gathering: asyncio.Task[None] | None = None

    # -- opening and closing -------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Connect and see that the schema is the one this version works with. Raises `SchemaError`."""
        if self._engine is not None:
            return
        options = self._options()
        engine = create_async_engine(self._url, pool_size=self._settings.pool_size, max_overflow=5, **options)
        try:
            async with engine.connect() as connection:
                await connection.run_sync(_check_schema)
        except BaseException as error:
            await engine.dispose()
            raise translated(error) from error
        self._engine = engine
        self._threads = sa.create_engine(self._url, pool_size=2, max_overflow=3, **options)
        if self._wakeups is not None and not self._settings.pooled:
            self._listening = asyncio.create_task(self._listen(self._wakeups), name="mainspring:listen")

    async def close(self) -> None:
        """Let go of every connection."""
        for task in (self._listening, self._gathering):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        engine, self._engine = self._engine, None
        threads, self._threads = self._threads, None
        if threads is not None:
            threads.dispose()
        if engine is not None:
            await engine.dispose()

    async def migrate(self) -> str | None:
        """Make the schema, or bring it to this version's; return the revision it was at, None for an empty database.

        One process migrates at a time, in one transaction: interrupted, nothing has happened.
        """
        engine = sa.create_engine(self._url, poolclass=sa.pool.NullPool, **self._options())
        try:
            return await asyncio.to_thread(_migrate, engine)
        except Exception as error:
            raise translated(error) from error

    async def schema_version(self) -> str | None:
        """Return the schema's revision, None for a database without our tables; `SchemaError` for a newer one."""
        engine = sa.create_engine(self._url, poolclass=sa.pool.NullPool, **self._options())
        try:
            return await asyncio.to_thread(_version, engine)
        except Exception as error:
            raise translated(error) from error

    def _options(self) -> dict[str, Any]:
        connect: dict[str, Any] = {"connect_timeout": 5, "application_name": "mainspring"}
        connect |= {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 20_000}
        if self._settings.pooled:
            connect["prepare_threshold"] = None
        else:
            limits = {
                "statement_timeout": self._settings.statement_limit,
                "lock_timeout": self._settings.lock_limit,
                "idle_in_transaction_session_timeout": self._settings.idle_limit,
            }
            connect["options"] = " ".join(f"-c {k}={v // timedelta(milliseconds=1)}" for k, v in limits.items())
        return {"connect_args": connect, "pool_pre_ping": False, "pool_recycle": 1800}

    # -- work ----------------------------------------------------------------------------------------------------

    async def write(self, work: Work[T]) -> T:
        """Run ``work`` in a transaction; after a deadlock the whole of it is run again."""
        engine, tries = self._connected(), 0
        while True:
            tries += 1
            try:
                async with engine.connect() as connection:
                    result, aftermath = await connection.run_sync(self._transaction, work)
            except Exception as error:
                if tries < TRIES and repeatable(error):
                    continue
                raise translated(error) from error
            self._woken(aftermath.pass_on(self._announcer))
            return result

    async def read(self, work: Work[T]) -> T:
        """Run ``work`` on one snapshot; the server refuses it a write."""
        try:
            async with self._connected().connect() as connection:
                result: T = await connection.run_sync(self._snapshot, work)
                return result
        except Exception as error:
            raise translated(error, reading=True) from error

    def write_blocking(self, work: Work[T]) -> T:
        """Do `write` from any thread."""
        tries = 0
        while True:
            tries += 1
            try:
                with self._connected_threads().connect() as connection:
                    result, aftermath = self._transaction(connection, work)
            except Exception as error:
                if tries < TRIES and repeatable(error):
                    continue
                raise translated(error) from error
            self._woken_blocking(aftermath.pass_on(self._announcer))
            return result

    def read_blocking(self, work: Work[T]) -> T:
        """Do `read` from any thread."""
        try:
            with self._connected_threads().connect() as connection:
                result: T = self._snapshot(connection, work)
                return result
        except Exception as error:
            raise translated(error, reading=True) from error

    def _transaction(self, connection: sa.Connection, work: Work[T]) -> tuple[T, Aftermath]:
        with connection.begin():
            tx = self._tx(connection)
            return work(tx), tx.aftermath

    def _snapshot(self, connection: sa.Connection, work: Work[T]) -> T:
        with connection.begin():
            connection.execute(sa.text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
            return work(self._tx(connection))

    def _tx(self, connection: sa.Connection) -> SqlTx:
        # The clock and not the transaction's start, which may lie before a wait for a connection or a lock.
        micros = connection.execute(_NOW).scalar_one()
        # The driver counts the rows of an INSERT as well, but only those who ask are told.
        connection = connection.execution_options(preserve_rowcount=True)
        now = _EPOCH + timedelta(microseconds=int(micros))
        return SqlTx(Session(connection, POSTGRES, now, self._record_transitions), self._ids)

    def _connected(self) -> AsyncEngine:
        if self._engine is None:
            raise StoreUnavailableError("the store is not open")
        return self._engine

    def _connected_threads(self) -> sa.Engine:
        if self._threads is None:
            raise StoreUnavailableError("the store is not open")
        return self._threads

    # -- wake-ups ------------------------------------------------------------------------------------------------

    def _woken(self, topics: list[str]) -> None:
        if not topics:
            return
        if self._wakeups is not None:
            self._wakeups.notify(*topics)
        self._gathered.update(topics)
        if self._gathering is None or self._gathering.done():
            self._gathering = asyncio.create_task(self._tell_others(), name="mainspring:notify")

    def _woken_blocking(self, topics: list[str]) -> None:
        if not topics:
            return
        if self._wakeups is not None:
            self._wakeups.notify(*topics)
        # A hint: who misses it polls.
        with contextlib.suppress(sa.exc.SQLAlchemyError), self._connected_threads().connect() as connection:
            _notify(connection, topics)

    async def _tell_others(self) -> None:
        while self._gathered:
            topics, self._gathered = sorted(self._gathered), set()
            try:
                async with self._connected().connect() as connection:
                    await connection.run_sync(_notify, topics)
            except Exception as error:  # a hint: who misses it polls
                logger.debug("could not notify: %s", error)
                return
            await asyncio.sleep(GATHER)

    async def _listen(self, wakeups: Wakeups) -> None:
        """Hear what other processes woke; after a lost connection, listen again. Polling covers what was missed."""
        import psycopg

        plain = self._url.set(drivername="postgresql").render_as_string(hide_password=False)
        while True:
            try:
                connecting = psycopg.AsyncConnection.connect(plain, autocommit=True, connect_timeout=5)
                async with await connecting as connection:
                    await connection.execute(f"LISTEN {CHANNEL}")
                    async for notification in connection.notifies():
                        wakeups.notify(*notification.payload.split(","))
            except psycopg.Error as error:
                logger.debug("listening again: %s", error)
            await asyncio.sleep(1.0)


def driver_url(url: str) -> sa.URL:
    """Return a PostgreSQL URL for the driver in use; ``postgres://`` and other drivers' spellings are accepted.

    >>> driver_url("postgres://me@db/jobs").drivername
    'postgresql+psycopg'
    """
    parsed = sa.make_url(url.replace("postgres://", "postgresql://", 1))
    return parsed.set(drivername="postgresql+psycopg")


def _notify(connection: sa.Connection, topics: Iterable[str]) -> None:
    with connection.begin():
        connection.execute(sa.select(sa.func.pg_notify(CHANNEL, ",".join(topics))))


def _check_schema(connection: sa.Connection) -> None:
    version = current(connection)
    if version != HEAD:
        found = version or "not there"
        raise SchemaError(f"the database's schema is {found}; run `mainspring migrate` to make it {HEAD}")


def _migrate(engine: sa.Engine) -> str | None:
    with engine.begin() as connection:
        connection.execute(_MIGRATING)
        before = current(connection)
        upgrade(connection)
        return before


def _version(engine: sa.Engine) -> str | None:
    with engine.connect() as connection:
        return current(connection)
