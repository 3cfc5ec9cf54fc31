"""Both transports keep the promises of the port: the database's on each store, Redis Streams on each server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from random import Random
from typing import Any

import psycopg
import pytest
import redis

from mainspring.adapters.memory import InProcessWakeups, MemoryStore
from mainspring.adapters.redis.connection import RedisSettings
from mainspring.adapters.redis.deliveries import RedisDeliveries
from mainspring.adapters.redis.transport import RedisTransport
from mainspring.adapters.sql.postgres import PostgresStore
from mainspring.adapters.sql.store import SqlStore
from mainspring.adapters.sql.tables import metadata
from mainspring.adapters.system import SystemClock
from mainspring.ports.transport import DatabaseTransport, Transport
from tests import servers
from tests.contracts.test_postgres_store import database16, database18  # noqa: F401 - fixtures
from tests.contracts.transport_contract import WITHIN, Taker, TransportContract


class OverMemory(TransportContract):
    """Over the store in memory."""

    @pytest.fixture
    async def store(self, wakeups: InProcessWakeups, transport: Transport) -> AsyncIterator[MemoryStore]:
        store = MemoryStore(SystemClock(), random=Random(1), wakeups=wakeups, announcer=transport)
        await store.open()
        yield store
        await store.close()


class OverSqlite(TransportContract):
    """Over a SQLite file."""

    @pytest.fixture
    async def store(self, wakeups: InProcessWakeups, transport: Transport, tmp_path: Path) -> AsyncIterator[SqlStore]:
        path = tmp_path / "jobs.db"
        store = SqlStore(path, clock=SystemClock(), random=Random(1), wakeups=wakeups, announcer=transport)
        await store.open()
        yield store
        await store.close()


class OverPostgres(TransportContract):
    """Over PostgreSQL."""

    @pytest.fixture
    async def store(
        self, wakeups: InProcessWakeups, transport: Transport, database: str
    ) -> AsyncIterator[PostgresStore]:
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute(f"TRUNCATE {', '.join(metadata.tables)}")
        store = PostgresStore(database, random=Random(1), wakeups=wakeups, announcer=transport)
        await store.open()
        yield store
        await store.close()


class ByDatabase:
    """The database's own transport."""

    @pytest.fixture
    def transport(self) -> Transport:
        return DatabaseTransport()


class ByRedis:
    """Redis Streams."""

    @pytest.fixture
    def transport(self, redis_url: str, wakeups: InProcessWakeups) -> Transport:
        with redis.Redis.from_url(redis_url) as client:
            client.flushall()
        return RedisTransport(RedisSettings(redis_url), wakeups=wakeups, random=Random(1))

    async def arrived(self, worker: Taker, count: int) -> None:
        deliveries: Any = worker.deliveries
        assert isinstance(deliveries, RedisDeliveries)
        async with asyncio.timeout(WITHIN):
            while sum(line.waiting for line in deliveries._offers.lines) < count:  # noqa: ASYNC110 - a look from outside
                await asyncio.sleep(0.001)

    @pytest.fixture
    def redis_url(self, valkey_url: str) -> str:
        return valkey_url


class TestDatabaseOnMemory(ByDatabase, OverMemory):
    pass


class TestDatabaseOnSqlite(ByDatabase, OverSqlite):
    pass


class TestDatabaseOnPostgres16(ByDatabase, OverPostgres):
    @pytest.fixture
    def database(self, database16: str) -> str:  # noqa: F811
        return database16


class TestDatabaseOnPostgres18(ByDatabase, OverPostgres):
    @pytest.fixture
    def database(self, database18: str) -> str:  # noqa: F811
        return database18


class TestRedisOnMemory(ByRedis, OverMemory):
    pass


class TestRedisOnPostgres18(ByRedis, OverPostgres):
    @pytest.fixture
    def database(self, database18: str) -> str:  # noqa: F811
        return database18


@pytest.fixture(scope="module")
def system_redis_url() -> Iterator[str]:
    exe = servers.system_redis_exe()
    if exe is None:
        pytest.skip("no other Redis-compatible server is installed; MAINSPRING_TEST_REDIS_BIN names one")
    with servers.valkey(exe=exe) as server:
        yield server.url


@pytest.fixture(scope="module")
def oldest_redis_url() -> Iterator[str]:
    if not servers.has_oldest_redis():
        pytest.skip("there is no wheel of Redis 6.2 for this machine")
    with servers.valkey(oldest=True) as server:
        yield server.url


class TestOldestRedisOnMemory(ByRedis, OverMemory):
    @pytest.fixture
    def redis_url(self, oldest_redis_url: str) -> str:
        return oldest_redis_url


class TestAnotherRedisOnMemory(ByRedis, OverMemory):
    @pytest.fixture
    def redis_url(self, system_redis_url: str) -> str:
        return system_redis_url
