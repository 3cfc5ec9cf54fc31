"""On PostgreSQL what waits for a topic begins when it is woken, by whichever process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from random import Random
from typing import Any, ClassVar

import psycopg
import pytest

from mainspring.adapters.memory import InProcessWakeups
from mainspring.adapters.redis.connection import RedisSettings
from mainspring.adapters.redis.transport import RedisTransport
from mainspring.adapters.sql.postgres import PostgresStore
from mainspring.errors import ConflictError, StoreError, StoreUnavailableError
from mainspring.model.dispatch import Announcement
from mainspring.model.execution import Execution
from mainspring.moves.claim import claim
from mainspring.moves.enqueue import EnqueueRequest, enqueue
from mainspring.ports.store import Tx
from mainspring.ports.transport import Announcer, DatabaseTransport
from tests import servers
from tests.integration.postgres_rig import url
from tests.waiting import PATIENCE, auntil

__all__ = ["url"]

pytestmark = pytest.mark.servers

Make = Callable[..., PostgresStore]


@pytest.fixture
async def make(url: str) -> AsyncIterator[Make]:
    """Make stores on one database, as processes have them."""
    made: list[PostgresStore] = []

    def make(announcer: Announcer | None = None) -> PostgresStore:
        wakeups = InProcessWakeups()
        wakeups.listen()
        made.append(PostgresStore(url, random=Random(len(made)), wakeups=wakeups, announcer=announcer))
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


async def test_a_companion_knows_whether_its_topic_was_woken_again_since_it_was_begun(make: Make) -> None:
    mine = make()
    await mine.open()
    for again in (False, True):
        waiting = mine.accompany("queued", sees)
        mine._wake("queued")
        mine._wake("jobs", *["queued"] * again)
        assert await asyncio.wait_for(waiting.result(), PATIENCE) is None
        assert waiting.woken_again is again


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


async def test_who_announces_knows_whether_others_were_told_with_the_commit(make: Make) -> None:
    class Announcing(DatabaseTransport):
        told: ClassVar[list[bool]] = []

        def announce(self, announcements: Sequence[Announcement], *, told: bool = False) -> Iterable[str]:
            self.told.append(told)
            return super().announce(announcements)

    store = make(announcer=Announcing())
    await store.open()
    assert store._telegraph is not None
    await store.write(enqueue_one)
    await auntil("it is announced", lambda: Announcing.told == [True])
    store._telegraph._taken_until += 60.0  # it is not quiet
    await store.write(enqueue_one)
    await auntil("it is announced", lambda: Announcing.told == [True, False])


#: Asked as an update of an execution is committed.
IN_THE_END = """
CREATE FUNCTION in_the_end() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {} RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER in_the_end AFTER UPDATE ON executions DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION in_the_end();
"""
WAITS = "PERFORM pg_advisory_xact_lock(42);"
FAILS = "RAISE EXCEPTION 'not today';"
FAILS_ONCE = "IF nextval('times') = 1 THEN RAISE EXCEPTION 'again' USING ERRCODE = 'serialization_failure'; END IF;"


def claim_alone(tx: Tx) -> list[Execution]:
    lease = timedelta(seconds=15)
    return claim(tx, "w", queues={"default": 1}, handlers=["h"], limit=1, lease=lease, alone=True)


def enqueue_one(tx: Tx) -> list[Execution]:
    return enqueue(tx, [EnqueueRequest("h")])


async def claiming(make: Make) -> PostgresStore:
    """Return a store whose connections have said before what they will say, and told of it."""
    store = make()
    await store.open()
    for _ in range(12):
        await store.write(enqueue_one)
        assert len(await store.write(claim_alone)) == 1
    # Who waits for a commit goes on before others are told of it.
    await auntil("all of it has been told", lambda: store._calls.idle == store._calls.connections)
    return store


@contextmanager
def administering(url: str, *statements: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as admin:
        for statement in statements:
            admin.execute(statement)
        yield admin


async def test_a_claim_is_answered_while_its_commit_is_under_way_and_told_of_once_it_is_over(
    url: str, make: Make
) -> None:
    store, loop, told = await claiming(make), asyncio.get_running_loop(), list[Any]()
    assert store._wakeups is not None
    listener, answered = store._wakeups.listen("queued"), asyncio.Event()

    def claims(tx: Tx) -> list[Execution]:
        claimed = claim_alone(tx)
        loop.call_soon_threadsafe(answered.set)
        return claimed

    def status() -> Any:
        return admin.execute("SELECT status FROM executions WHERE id = %s", (made.id,)).fetchone()

    with administering(url, IN_THE_END.format(WAITS), "SELECT pg_advisory_lock(42)") as admin:
        waiting = store.accompany("queued", claims, told.append)
        (made,) = await store.write(enqueue_one)
        await asyncio.wait_for(answered.wait(), PATIENCE)
        assert status() == ("queued",)
        assert told == []
        assert not await listener.wait(0), "nobody is woken to look for what is not there yet"
        admin.execute("SELECT pg_advisory_unlock(42)")
        claimed = await asyncio.wait_for(waiting.result(), PATIENCE)
        assert [one.id for one in claimed] == [made.id]
        assert told == [claimed]
        assert status() == ("running",)
    assert await listener.wait(PATIENCE)
    listener.close()


async def test_a_claim_whose_commit_is_refused_was_none(url: str, make: Make) -> None:
    store, told = await claiming(make), list[Any]()
    with administering(url, IN_THE_END.format(FAILS)) as admin:
        waiting = store.accompany("queued", claim_alone, told.append)
        (made,) = await store.write(enqueue_one)
        with pytest.raises(StoreError, match="not today"):
            await asyncio.wait_for(waiting.result(), PATIENCE)
        assert told == []
        admin.execute("DROP TRIGGER in_the_end ON executions")
    assert [one.id for one in await store.write(claim_alone)] == [made.id]


async def test_of_a_claim_that_is_run_again_only_what_was_committed_is_told(url: str, make: Make) -> None:
    store, told, found = await claiming(make), list[Any](), list[Any]()

    def claims(tx: Tx) -> list[Execution]:
        found.append(claim_alone(tx))
        return found[-1]

    with administering(url, "CREATE SEQUENCE times", IN_THE_END.format(FAILS_ONCE)):
        waiting = store.accompany("queued", claims, told.append)
        await store.write(enqueue_one)
        await asyncio.wait_for(waiting.result(), PATIENCE)
    first, second = found
    assert [one.id for one in first] == [one.id for one in second]
    assert len(told) == 1
    assert told[0] is second


async def test_work_may_go_on_after_the_question_that_took_its_end_along(make: Make) -> None:
    store = await claiming(make)

    def goes_on(tx: Tx) -> tuple[list[Execution], datetime, str | None]:
        claimed, now = claim_alone(tx), tx.now
        tx.platforms.put_note("went on", "x")
        return claimed, now, tx.platforms.note("went on")

    (made,) = await store.write(enqueue_one)
    (claimed,), now, note = await store.write(goes_on)
    assert (claimed.id, claimed.started_at, note) == (made.id, now, "x")
    assert await store.read(lambda tx: tx.platforms.note("went on")) == "x"


async def test_a_claim_that_raises_once_its_end_is_under_way_leaves_nothing_for_the_next_one(make: Make) -> None:
    store = await claiming(make)

    def fails(tx: Tx) -> None:
        claim_alone(tx)
        raise LookupError("not today")

    await store.write(enqueue_one)
    with pytest.raises(LookupError, match="not today"):
        await store.write(fails)
    made = await asyncio.gather(*(store.write(enqueue_one) for _ in range(6)))
    claimed = [await store.write(claim_alone) for _ in made]
    assert sorted(one.id for (one,) in claimed) == sorted(one.id for (one,) in made)


async def test_a_claim_that_passes_over_a_conflict_was_none(make: Make) -> None:
    store = await claiming(make)

    def passes_over(tx: Tx) -> None:
        tx.platforms.note("begin")
        tx.executions.add([made])
        with suppress(ConflictError):
            claim_alone(tx)

    (made,) = await store.write(enqueue_one)
    with pytest.raises(StoreError, match="given up after an error"):
        await store.write(passes_over)
    assert [one.id for one in await store.write(claim_alone)] == [made.id]
