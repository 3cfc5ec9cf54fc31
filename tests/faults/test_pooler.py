"""Behind a transaction-pooling proxy, by one setting: the store keeps all its promises, and engines run on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from random import Random
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from mainspring import Mainspring
from mainspring.adapters.sql.postgres import PostgresSettings, PostgresStore
from mainspring.ports.store import ExecutionQuery, Tx
from tests import servers
from tests.contracts.test_postgres_store import PostgresContract, emptied
from tests.faults.pooler import pooled

POOLED = PostgresSettings(pooled=True)


@pytest.fixture(scope="module")
def through_pooler(postgres18_url: str) -> Iterator[str]:
    """The URL, through the proxy, of a database with our tables; it was migrated through it as well."""
    with servers.new_database(postgres18_url) as url, pooled(url) as through:
        asyncio.run(PostgresStore(through, random=Random(1), settings=POOLED).migrate())
        yield through


class TestThroughPgBouncer(PostgresContract):
    @pytest.fixture
    def database(self, through_pooler: str) -> str:
        return through_pooler

    @pytest.fixture
    async def store(self, database: str, told: dict[str, Any]) -> AsyncIterator[PostgresStore]:
        emptied(database)
        store = PostgresStore(database, random=Random(1), settings=POOLED, record_transitions=True, **told)
        await store.open()
        await store.write(lambda tx: tx.history.prepare(7))
        yield store
        await store.close()


async def test_limits_hold_within_a_transaction_and_leave_nothing_behind(through_pooler: str) -> None:
    store = PostgresStore(through_pooler, random=Random(1), settings=POOLED)
    await store.open()

    def shown(tx: Tx) -> list[str]:
        connection: sa.Connection = tx.executions._session.connection  # type: ignore[attr-defined]
        names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "enable_seqscan")
        return [str(connection.execute(sa.text(f"SHOW {name}")).scalar()) for name in names]

    for _ in range(10):
        assert await store.write(shown) == ["30s", "10s", "10s", "off"]
        assert await store.read(shown) == ["30s", "10s", "10s", "off"]
    await store.close()
    with psycopg.connect(through_pooler, autocommit=True, prepare_threshold=None) as stranger:
        for _ in range(10):
            assert stranger.execute("SHOW enable_seqscan").fetchone() == ("on",)
            assert stranger.execute("SELECT count(*) FROM pg_prepared_statements").fetchone() == (0,)
            assert stranger.execute("SELECT count(*) FROM pg_listening_channels()").fetchone() == (0,)


async def test_two_engines_behind_the_proxy_run_everything_once(through_pooler: str) -> None:
    emptied(through_pooler)
    ran: list[int] = []
    one, two = (
        Mainspring(through_pooler, postgres_pooled=True, poll_ms=100, lease_ms=5000, heartbeat_ms=1000)
        for _ in range(2)
    )

    async def work(n: int) -> int:
        ran.append(n)
        return n

    handle, _ = one.handler("work")(work), two.handler("work")(work)
    async with one.running(), two.running():
        await asyncio.gather(*(handle.aenqueue(n) for n in range(200)))

        async def done() -> bool:
            query = ExecutionQuery(handler="work", limit=500)
            found = await one.store.read(lambda tx: tx.executions.find(query))
            return [e.status for e in found] == ["success"] * 200

        async with asyncio.timeout(120):
            while not await done():  # noqa: ASYNC110 - the record is asked, and nothing tells of it here
                await asyncio.sleep(0.05)
    assert sorted(ran) == list(range(200))
