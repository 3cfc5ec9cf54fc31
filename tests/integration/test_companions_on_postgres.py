"""On PostgreSQL what waits for a topic begins when it is woken, by whichever process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from random import Random

import pytest

from mainspring.adapters.memory import InProcessWakeups
from mainspring.adapters.redis.connection import RedisSettings
from mainspring.adapters.redis.transport import RedisTransport
from mainspring.adapters.sql.postgres import PostgresStore
from mainspring.errors import StoreUnavailableError
from mainspring.moves.enqueue import EnqueueRequest, enqueue
from mainspring.ports.store import Tx
from mainspring.ports.transport import Announcer
from tests import servers
from tests.integration.postgres_rig import url
from tests.waiting import PATIENCE

__all__ = ["url"]

pytestmark = pytest.mark.servers

Make = Callable[..., PostgresStore]


@pytest.fixture
async def make(url: str) -> AsyncIterator[Make]:
    """Make stores on one database, as processes have them."""
    made: list[PostgresStore] = []

    def make(announcer: Announcer | None = None) -> PostgresStore:
        made.append(PostgresStore(url, random=Random(len(made)), wakeups=InProcessWakeups(), announcer=announcer))
        return made[-1]

    yield make
    for store in made:
        await store.close()


@pytest.fixture
def valkey() -> Iterator[servers.Server]:
    with servers.valkey() as server:
        yield server


def queues(tx: Tx) -> None:
    tx.platforms.put_note("queued", "x")
    tx.wake("queued")


def sees(tx: Tx) -> str | None:
    return tx.platforms.note("queued")


async def listening(store: PostgresStore) -> None:
    """Wait until a store hears what others tell: until one has told it something."""
    telegraph = store._telegraph
    assert telegraph is not None
    heard = asyncio.Event()
    loop, wake = asyncio.get_running_loop(), telegraph._wake

    def waking(*topics: str) -> None:
        loop.call_soon_threadsafe(heard.set)
        wake(*topics)

    telegraph._wake = waking
    while not heard.is_set():
        other = PostgresStore(store._url.render_as_string(hide_password=False), random=Random(99))
        await other.open()
        await other.write(lambda tx: tx.wake("nothing"))
        await other.close()
        await asyncio.sleep(0.01)
    telegraph._wake = wake


async def test_a_companion_begins_when_another_process_wakes_its_topic(make: Make) -> None:
    mine, others = make(), make()
    await mine.open()
    await others.open()
    await listening(mine)
    waiting = mine.accompany("queued", sees)
    await others.write(lambda tx: tx.wake("jobs"))
    await others.write(queues)
    assert await asyncio.wait_for(waiting.result(), PATIENCE) == "x"
    assert not waiting.withdraw()


async def test_a_companion_begins_when_its_own_process_wakes_its_topic(make: Make) -> None:
    mine = make()
    await mine.open()
    waiting, withdrawn = mine.accompany("queued", sees), mine.accompany("queued", lambda tx: "came along")
    assert withdrawn.withdraw()
    await mine.write(queues)
    assert await asyncio.wait_for(waiting.result(), PATIENCE) == "x"
    assert not withdrawn._call.future.done()


async def test_a_companion_of_a_store_that_was_closed_meanwhile_is_told_so(make: Make) -> None:
    mine = make()
    await mine.open()
    waiting = mine.accompany("queued", sees)
    await mine.close()
    mine._wake("queued")
    with pytest.raises(StoreUnavailableError):
        await waiting.result()
    with pytest.raises(StoreUnavailableError):
        mine.accompany("queued", sees)


async def test_where_it_is_quiet_a_commit_tells_workers_of_work_that_streams_carry(
    make: Make, valkey: servers.Server
) -> None:
    transport = RedisTransport(RedisSettings(valkey.url), wakeups=InProcessWakeups(), random=Random(1))
    await transport.open()
    mine, others = make(), make(announcer=transport)
    await mine.open()
    await others.open()
    await listening(mine)
    waiting = mine.accompany("queued", lambda tx: tx.executions.pending_count("default", 10))
    (made,) = await others.write(lambda tx: enqueue(tx, [EnqueueRequest("h")]))
    assert made.status == "queued"
    assert await asyncio.wait_for(waiting.result(), PATIENCE) is not None
    await transport.close()
