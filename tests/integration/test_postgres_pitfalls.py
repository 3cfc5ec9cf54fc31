"""What PostgreSQL does that surprises: each of its pitfalls, and that we do not fall into it."""

from __future__ import annotations

import asyncio
import socket
import threading
from datetime import datetime, timedelta
from random import Random
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from mainspring.adapters.sql.postgres import PostgresSettings, PostgresStore
from mainspring.adapters.sql.telegraph import CHANNEL, Telegraph
from mainspring.engine.heartbeat import renew
from mainspring.errors import StoreUnavailableError
from mainspring.model.execution import Actor, Execution, Status
from mainspring.model.node import Limit
from mainspring.model.outcome import Succeeded
from mainspring.moves.claim import claim
from mainspring.moves.end import Ended, end, settle_attempts
from mainspring.moves.enqueue import EnqueueRequest, enqueue
from mainspring.ports.store import ExecutionQuery, Tx
from tests.contracts.store_rows import MINUTE, add, an_event, an_execution, fetch
from tests.faults.proxy import Proxy
from tests.integration.postgres_rig import store, url
from tests.waiting import auntil

__all__ = ["store", "url"]


def connection_of(tx: Tx) -> sa.Connection:
    found: sa.Connection = tx.executions._session.connection  # type: ignore[attr-defined]
    return found


async def waiting(url: str) -> None:
    """Return once somebody waits for a lock."""
    async with asyncio.timeout(30):
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as admin:
            query = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
            while await (await admin.execute(query)).fetchone() is None:
                pass  # the question itself gives others their turn


class Held:
    """Work that stays in its transaction until it is let go."""

    def __init__(self, work: Any) -> None:
        self._work, self.inside, self.leave = work, threading.Event(), threading.Event()

    def __call__(self, tx: Tx) -> Any:
        found = self._work(tx)
        self.inside.set()
        assert self.leave.wait(60)
        return found


async def test_p3_an_event_with_a_lower_number_that_commits_later_is_not_passed_by(store: PostgresStore) -> None:
    now = await store.read(lambda tx: tx.now)
    early, late = an_event(now), an_event(now)
    slow = Held(lambda tx: tx.outbox.add([early]))
    writing = asyncio.create_task(store.write(slow))
    await asyncio.to_thread(slow.inside.wait, 30)
    await store.write(lambda tx: tx.outbox.add([late]))
    assert [e.id for e in await store.read(lambda tx: tx.outbox.unpublished(10))] == [late.id]
    await store.write(lambda tx: tx.outbox.mark_published([late.id]))
    slow.leave.set()
    await writing
    assert [e.id for e in await store.read(lambda tx: tx.outbox.unpublished(10))] == [early.id]


async def clock(url: str) -> datetime:
    """Return the server's clock, asked past our own code."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as admin:
        row = await (await admin.execute("SELECT clock_timestamp()")).fetchone()
    assert row is not None
    found: datetime = row[0]
    return found


async def test_p4_a_transaction_that_is_run_again_has_another_now(store: PostgresStore, url: str) -> None:
    nows: list[datetime] = []

    def work(tx: Tx) -> None:
        nows.append(tx.now)
        if len(nows) == 1:
            connection_of(tx).execute(sa.text("DO $$ BEGIN RAISE serialization_failure; END $$"))

    before = await clock(url)
    await store.write(work)
    first, again = nows
    assert before <= first < again <= await clock(url)


async def test_p4_what_waited_for_a_limit_is_let_through_when_it_holds_it(store: PostgresStore, url: str) -> None:
    """It was not: it counted from the begin of its transaction, before others who had gone first."""
    limit = Limit("default", "queue", "default", rate=5, rate_per=60.0)
    await store.write(lambda tx: tx.platforms.put_limit(limit))
    first = Held(lambda tx: enqueue(tx, [EnqueueRequest("h")]))
    one = asyncio.create_task(store.write(first))
    await asyncio.to_thread(first.inside.wait, 30)
    other = asyncio.create_task(store.write(lambda tx: enqueue(tx, [EnqueueRequest("h")] * 2)))
    await waiting(url)
    held = await clock(url)
    first.leave.set()
    await one
    await other
    let_through = await store.read(lambda tx: tx.platforms.admitted_since("default", "default", held))
    assert let_through == 2


def test_p5_many_wake_ups_are_few_notifications(url: str) -> None:
    telegraph = Telegraph(url, lambda *topics: None)
    with psycopg.connect(url, autocommit=True) as listener:
        listener.execute(f"LISTEN {CHANNEL}")
        telegraph.start()
        for number in range(2000):
            telegraph.send([f"topic-{number % 3}"])
        telegraph.send(["last"])
        heard = 0
        for notification in listener.notifies(timeout=30):
            heard += 1
            if "last" in notification.payload.split(","):
                break
        telegraph.close()
    assert 1 <= heard < 200


async def test_p8_every_connection_is_limited_by_the_server_and_watched_by_the_system(store: PostgresStore) -> None:
    def work(tx: Tx) -> tuple[list[str], list[int]]:
        names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
        said = [str(connection_of(tx).execute(sa.text(f"SHOW {name}")).scalar()) for name in names]
        driver: Any = connection_of(tx).connection.dbapi_connection
        with socket.socket(fileno=socket.dup(driver.pgconn.socket)) as wire:
            options = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT, socket.TCP_USER_TIMEOUT)
            return said, [wire.getsockopt(socket.IPPROTO_TCP, option) for option in options]

    assert await store.read(work) == (["30s", "10s", "10s"], [10, 5, 3, 20_000])


async def test_p8_a_client_that_freezes_in_a_transaction_loses_its_locks(url: str) -> None:
    settings = PostgresSettings(idle_limit=timedelta(milliseconds=500))
    frozen, other = PostgresStore(url, random=Random(1), settings=settings), PostgresStore(url, random=Random(2))
    await frozen.open()
    await other.open()
    execution = an_execution(await other.read(lambda tx: tx.now))
    await add(other, execution)
    asleep = Held(lambda tx: tx.executions.get(execution.id, lock=True))
    sleeping = asyncio.create_task(frozen.write(asleep))
    await asyncio.to_thread(asleep.inside.wait, 30)
    assert await other.write(lambda tx: tx.executions.get(execution.id, lock=True)) == execution
    asleep.leave.set()
    with pytest.raises(StoreUnavailableError):
        await sleeping
    assert await frozen.read(lambda tx: tx.executions.get(execution.id)) == execution, "and it works on"
    await frozen.close()
    await other.close()


async def test_p8_a_worker_cut_off_in_its_heartbeat_keeps_nothing_from_the_reaper(url: str) -> None:
    proxy = Proxy(url, chance=Random(1))
    settings = PostgresSettings(pool_size=1, idle_limit=timedelta(minutes=10))
    cut, other = PostgresStore(proxy.url, random=Random(1), settings=settings), PostgresStore(url, random=Random(2))
    await cut.open()
    await other.open()
    now = await other.read(lambda tx: tx.now)
    rows = [an_execution(now, Status.RUNNING) for _ in range(3)]
    await add(other, *rows)
    for _ in range(2):  # statements are known from their second time on
        assert len(await cut.write(lambda tx: renew(tx, "w-1", MINUTE))) == 3
    proxy.hold_at = b"UPDATE"
    beat = asyncio.create_task(cut.write(lambda tx: renew(tx, "w-1", MINUTE)))
    await auntil("its leases are renewed", lambda: proxy.hold_at is None)
    async with asyncio.timeout(30):
        while len(await other.write(lambda tx: tx.executions.lease_over(10, older_than=tx.now + MINUTE))) < 3:
            pass  # until the server has done what was sent; the question itself gives others their turn
    assert not beat.done(), "its answer is held"
    proxy.heal()
    assert len(await beat) == 3
    await cut.close()
    await other.close()
    proxy.close()


async def test_p9_what_committed_although_its_answer_was_lost_is_neither_lost_nor_doubled(url: str) -> None:
    proxy = Proxy(url, chance=Random(1))
    store = PostgresStore(proxy.url, random=Random(1), settings=PostgresSettings(pool_size=1))
    await store.open()

    async def lost(work: Any) -> None:
        proxy.lost_commits = 1.0
        with pytest.raises(StoreUnavailableError):
            await store.write(work)
        proxy.lost_commits = 0.0

    request = EnqueueRequest("work", {"n": 1}, idempotency_key="once")
    await lost(lambda tx: enqueue(tx, [request]))
    (made,) = await store.write(lambda tx: enqueue(tx, [request]))
    found = await store.read(lambda tx: tx.executions.find(ExecutionQuery(handler="work")))
    assert [e.id for e in found] == [made.id], "the same key gives what was made the first time"

    def take(tx: Tx) -> list[Execution]:
        return claim(tx, "w", queues={"default": 5}, handlers=["work"], limit=5, lease=MINUTE)

    await lost(take)
    assert await store.write(take) == [], "nobody is given it twice"
    held = await store.write(lambda tx: tx.executions.renew("w", tx.now + MINUTE))
    assert [one[0] for one in held] == [made.id], "the heartbeat tells the worker of what it holds and does not run"
    claimed = await fetch(store, made)
    settle = [Ended(claimed, Succeeded(7))]
    await lost(lambda tx: settle_attempts(tx, settle, Actor.WORKER))
    assert await store.write(lambda tx: settle_attempts(tx, settle, Actor.WORKER)) == set()
    assert (await fetch(store, made)).result == 7
    assert len(await store.read(lambda tx: tx.outbox.unpublished(10))) == 1
    await store.close()
    proxy.close()


async def test_p10_a_worker_that_settles_what_the_reaper_is_ending_finds_itself_superseded(
    store: PostgresStore, url: str
) -> None:
    """The row it waits for moves to another partition: its transaction is run again, and sees what became of it."""
    now = await store.read(lambda tx: tx.now)
    running = an_execution(now, Status.RUNNING)
    await add(store, running)
    reaper = Held(lambda tx: end(tx, running, Status.CANCELLED, Actor.API, reason="forced"))
    reaping = asyncio.create_task(store.write(reaper))
    await asyncio.to_thread(reaper.inside.wait, 30)
    settling = asyncio.create_task(
        store.write(lambda tx: settle_attempts(tx, [Ended(running, Succeeded(1))], Actor.WORKER))
    )
    await waiting(url)
    reaper.leave.set()
    assert await reaping
    assert await settling == set()
    assert (await fetch(store, running)).status is Status.CANCELLED


async def test_p10_who_locks_what_is_just_ending_is_given_it_as_it_ended(store: PostgresStore, url: str) -> None:
    now = await store.read(lambda tx: tx.now)
    running = an_execution(now, Status.RUNNING)
    await add(store, running)
    worker = Held(lambda tx: settle_attempts(tx, [Ended(running, Succeeded(1))], Actor.WORKER))
    settling = asyncio.create_task(store.write(worker))
    await asyncio.to_thread(worker.inside.wait, 30)
    asking = asyncio.create_task(store.write(lambda tx: tx.executions.get(running.id, lock=True)))
    await waiting(url)
    worker.leave.set()
    await settling
    found = await asking
    assert found is not None
    assert found.status is Status.SUCCESS


async def test_p10_a_heartbeat_waits_for_nothing_and_fails_for_nothing_that_ends_meanwhile(
    store: PostgresStore,
) -> None:
    now = await store.read(lambda tx: tx.now)
    rows = [an_execution(now, Status.RUNNING) for _ in range(3)]
    await add(store, *rows)
    worker = Held(lambda tx: settle_attempts(tx, [Ended(rows[0], Succeeded(1))], Actor.WORKER))
    settling = asyncio.create_task(store.write(worker))
    await asyncio.to_thread(worker.inside.wait, 30)
    until = now + timedelta(hours=1)
    held = await store.write(lambda tx: tx.executions.renew("w-1", until))
    assert {one[0] for one in held} == {row.id for row in rows}, "what is being settled is not lost yet"
    worker.leave.set()
    await settling
    assert [(await fetch(store, row)).lease_until for row in rows[1:]] == [until, until]


async def test_p11_a_server_that_takes_no_writes_is_not_asked(url: str) -> None:
    name = url.rpartition("/")[2]
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    with pytest.raises(StoreUnavailableError, match="read-only"):
        await PostgresStore(url, random=Random(1)).open()
