"""The store in PostgreSQL keeps the promises of the port: on 16 and 18, and on 15 where that is installed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from random import Random
from typing import Any

import psycopg
import pytest

from mainspring.adapters.sql.postgres import PostgresStore
from mainspring.adapters.sql.tables import metadata
from tests import servers
from tests.contracts.store_contract import StoreContract


def migrated(server_url: str) -> Iterator[str]:
    """Give the URL of a database with our tables."""
    with servers.new_database(server_url) as url:
        asyncio.run(PostgresStore(url, random=Random(1)).migrate())
        yield url


def emptied(database: str) -> None:
    """Delete every row. They are few and partitions many: to truncate each of these would take longer than a test."""
    with psycopg.connect(database, autocommit=True, prepare_threshold=None) as connection:
        connection.execute("; ".join(f"DELETE FROM {table}" for table in metadata.tables))


class PostgresContract(StoreContract):
    """`PostgresStore`; its clock is the server's."""

    clock_can_be_moved = False

    @pytest.fixture
    async def store(self, database: str, told: dict[str, Any]) -> AsyncIterator[PostgresStore]:
        emptied(database)
        told["wakeups"].listen()  # somebody does, from the start
        store = PostgresStore(database, random=Random(1), record_transitions=True, **told)
        await store.open()
        await store.write(lambda tx: tx.history.prepare(7))
        yield store
        await store.close()

    @pytest.fixture
    def by_row(self, store: PostgresStore, database: str) -> None:
        with psycopg.connect(database, autocommit=True) as connection:
            for (name,) in connection.execute(
                "SELECT relname FROM pg_class WHERE relname ~ '_[0-9]{8}$' AND relkind = 'r'"
            ):
                connection.execute(f"DROP TABLE {name}")


@pytest.fixture(scope="module")
def database16(postgres16_url: str) -> Iterator[str]:
    yield from migrated(postgres16_url)


@pytest.fixture(scope="module")
def database18(postgres18_url: str) -> Iterator[str]:
    yield from migrated(postgres18_url)


@pytest.fixture(scope="module")
def database15(postgres15_url: str) -> Iterator[str]:
    yield from migrated(postgres15_url)


class TestPostgres15(PostgresContract):
    @pytest.fixture
    def database(self, database15: str) -> str:
        return database15


class TestPostgres16(PostgresContract):
    @pytest.fixture
    def database(self, database16: str) -> str:
        return database16


class TestPostgres18(PostgresContract):
    @pytest.fixture
    def database(self, database18: str) -> str:
        return database18
