"""An engine that starts on a copy of its database holds the fleet and asks; on its own it never does."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql

from mainspring import Handle, Mainspring
from mainspring.adapters.sql.postgres import PostgresStore
from mainspring.moves.hold import held
from tests import servers


@pytest.fixture
def database(postgres18_url: str) -> Iterator[str]:
    with servers.new_database(postgres18_url) as url:
        yield url


async def migrated(ms: Mainspring) -> None:
    store = ms.store
    assert isinstance(store, PostgresStore)
    await store.migrate()


def copied(url: str) -> str:
    """Copy a database that nobody is connected to; return the copy's URL."""
    server, _, name = url.rpartition("/")
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        words = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        connection.execute(words.format(sql.Identifier(f"{name}_copy"), sql.Identifier(name)))
    return f"{server}/{name}_copy"


def dropped(url: str) -> None:
    server, _, name = url.rpartition("/")
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


async def test_an_engine_on_a_restored_copy_waits_to_be_released(database: str) -> None:
    ms = Mainspring(database, poll_ms=100)

    @ms.handler()
    async def add(a: int, b: int) -> int:
        return a + b

    await migrated(ms)
    for _ in range(2):  # the second start finds what the first has noted
        async with ms.running():
            assert await (await add.aenqueue(1, 2)).aresult(30) == 3

    copy = copied(database)
    try:
        restored = Mainspring(copy, poll_ms=100)
        again = restored.handler("add")(add.handler.fn)
        async with restored.running():
            found = await restored.store.read(held)
            assert found is not None
            assert "restored or copied" in found.reason
            run = await again.aenqueue(3, 4)
            with pytest.raises(TimeoutError):
                await run.aresult(0.5)
            assert (await run.arefresh()).status == "queued"
            await restored.scheduler().release_fleet()
            assert await run.aresult(30) == 7
        async with restored.running():
            assert await restored.store.read(held) is None
    finally:
        await asyncio.to_thread(dropped, copy)


async def test_a_running_engine_follows_a_hold_and_its_release(database: str) -> None:
    ms = Mainspring(database, poll_ms=100)

    @ms.handler()
    async def add(a: int, b: int) -> int:
        return a + b

    await migrated(ms)
    async with ms.running():
        assert await (await add.aenqueue(1, 2)).aresult(30) == 3
        await ms.scheduler().hold_fleet("moving")
        async with asyncio.timeout(30):
            while await runs(add):  # until the engine has heard of it
                pass
        await ms.scheduler().release_fleet()
        assert await (await add.aenqueue(5, 6)).aresult(30) == 11


async def runs(add: Handle[[int, int], Any, int]) -> bool:
    """Whether something enqueued now still starts."""
    try:
        await (await add.aenqueue(0, 0)).aresult(0.3)
    except TimeoutError:
        return False
    return True
