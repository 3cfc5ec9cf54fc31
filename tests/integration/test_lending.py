"""On PostgreSQL a worker at rest lends a slot, and whoever queues work claims for it in the commit that queues."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from random import Random
from typing import Any
from uuid import uuid4

import psycopg
import pytest
import sqlalchemy as sa

from mainspring.adapters.memory import InProcessWakeups
from mainspring.adapters.sql import telegraph
from mainspring.adapters.sql.postgres import PostgresSettings, PostgresStore
from mainspring.adapters.system import system_random
from mainspring.engine import lending
from mainspring.engine.registry import JobHandlerRegistry
from mainspring.engine.worker import Worker
from mainspring.engine.worker_settings import WorkerSettings
from mainspring.model.execution import Execution, Status
from mainspring.model.node import Limit
from mainspring.moves.claim import claim
from mainspring.moves.enqueue import EnqueueRequest, enqueue, enqueue_at_once
from mainspring.ports.store import Filled, Handed, Lender, Tx, Vacancy
from tests.integration.counted_wakeups import CountedWakeups
from tests.integration.postgres_rig import url
from tests.waiting import auntil

__all__ = ["url"]

pytestmark = pytest.mark.servers

HOUR = timedelta(hours=1)


def requests(count: int, **fields: Any) -> list[EnqueueRequest]:
    return [EnqueueRequest(**{"handler": "h"} | fields)] * count


class Shop:
    """A worker in a process of its own, as far as its store knows, and somebody who queues work from another one."""

    def __init__(self, url: str, *, in_one_trip: bool = False) -> None:
        self.url, self.in_one_trip = url, in_one_trip
        self.wakeups, self.others = InProcessWakeups(), CountedWakeups()
        self.store = PostgresStore(url, random=Random(1), wakeups=self.wakeups)
        self.customer = PostgresStore(url, random=Random(2), wakeups=self.others)
        self.began: list[Execution] = []
        self.running = self.most = 0
        self.go = asyncio.Event()
        self.worker: Worker

    async def open(self, **settings: Any) -> None:
        await self.store.open()
        await self.customer.open()
        await self.start(**settings)

    async def start(self, **given: Any) -> None:
        registry = JobHandlerRegistry()
        registry.register_handler("h", self.handle)
        # Polls so seldom that nothing is found by one.
        polls: dict[str, Any] = {"queues": {"default": 10}, "poll": HOUR}
        settings = WorkerSettings(**polls | given)
        self.worker = Worker("w", self.store, registry, self.wakeups, settings, random=system_random())
        self.worker.on_attempt = lambda attempt: self.began.append(attempt.execution)
        await self.worker.start()

    async def close(self) -> None:
        self.go.set()
        await self.worker.stop()
        await self.customer.close()
        await self.store.close()

    async def handle(self) -> None:
        self.running += 1
        self.most = max(self.most, self.running)
        await self.go.wait()
        self.running -= 1

    async def queue(self, count: int = 1, **fields: Any) -> list[Execution]:
        return await self.customer.write(lambda tx: self.add(tx, requests(count, **fields)))

    def add(self, tx: Tx, asked: list[EnqueueRequest]) -> list[Execution]:
        """Enqueue in one trip, where that is what is tested and where it can be."""
        return (self.in_one_trip and enqueue_at_once(tx, asked)) or enqueue(tx, asked)

    async def queue_unheard(self, count: int, **fields: Any) -> list[Execution]:
        """Queue without telling anybody, and without handing it to anybody."""
        store = PostgresStore(self.url, random=Random(4), settings=PostgresSettings(pooled=True))
        await store.open()
        queued = await store.write(lambda tx: enqueue(tx, requests(count, **fields)))
        await store.close()
        return queued

    async def lends(self, queue: str = "default") -> None:
        """Wait until a slot of a queue stands lent: by a row that is open, and a lock that says that it is heard of."""
        await auntil(f"a slot of {queue} is lent", lambda: self.open_vacancies().get(queue))

    def open_vacancies(self) -> dict[str, int]:
        """Return the numbers of the vacancies that may be filled, by queue."""
        asked = (
            "SELECT queue, number FROM vacancies WHERE execution_id IS NULL "
            "AND until > extract(epoch FROM clock_timestamp()) * 1000000 "
            "AND NOT pg_try_advisory_xact_lock_shared(hashtextextended(address, 0))"
        )
        return dict(self.ask(asked))

    def ask(self, question: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(question)
            return cursor.fetchall() if cursor.description else []

    async def stored(self, of: Execution) -> Execution:
        found = await self.store.read(lambda tx: tx.executions.get(of.id))
        assert found is not None
        return found

    def has_begun(self, execution: Execution) -> bool:
        return execution.id in [one.id for one in self.began]

    async def begun(self, count: int) -> None:
        await auntil(f"{count} have begun", lambda: len(self.began) == count)


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let everything be told along with its commit: what comes soon after is gathered, and not handed on."""
    monkeypatch.setattr(telegraph, "GATHER", 0.0)


async def test_while_it_is_not_quiet_nothing_is_handed_on(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    await shop.lends()
    monkeypatch.setattr(telegraph, "GATHER", 3_600.0)
    await shop.customer.write(lambda tx: tx.wake("anything"))
    (queued,) = await shop.queue()
    shop.wakeups.notify("queued")  # in place of what is gathered
    await shop.begun(1)
    assert not was_handed(await shop.stored(queued))


@pytest.fixture(params=[True, False], ids=["in one trip", "step by step"])
async def shop(url: str, request: pytest.FixtureRequest) -> AsyncIterator[Shop]:
    shop = Shop(url, in_one_trip=request.param)
    await shop.open()
    yield shop
    await shop.close()


def was_handed(execution: Execution) -> bool:
    """Whether an execution was claimed in the commit that queued it: at the same instant."""
    return execution.status is not Status.QUEUED and execution.started_at == execution.queued_at


async def test_what_one_process_queues_is_claimed_for_a_worker_of_another_and_begun_there(shop: Shop) -> None:
    for n in range(1, 6):
        await shop.lends()
        (queued,) = await shop.queue(payload={}, priority=n)
        await shop.begun(n)
        stored = await shop.stored(queued)
        assert was_handed(stored)
        assert shop.began[-1] == stored, "it is begun as it is stored"
        assert (stored.worker_id, stored.attempt, stored.fence) == ("w", 1, 1)
        assert stored.started_at is not None
        assert stored.lease_until == stored.started_at + shop.worker.settings.lease
        assert stored.deadline_at == stored.started_at + stored.timeout


async def test_nobody_else_is_told_of_what_was_handed_to_a_worker(shop: Shop) -> None:
    await shop.lends()
    shop.others.calls.clear()
    await shop.queue()
    await shop.begun(1)
    assert not any("queued" in topics for topics in shop.others.calls)
    await shop.queue(2)  # what is not handed is told, to its own process as well
    await shop.begun(3)
    await auntil("it was told", lambda: any("queued" in topics for topics in shop.others.calls))


@pytest.mark.parametrize("slots", [1, 2, 3, 4])
async def test_a_worker_never_runs_more_than_it_has_slots_for(url: str, slots: int) -> None:
    shop = Shop(url)
    await shop.open(queues={"default": slots})
    queued = [one for _ in range(slots + 2) for one in await shop.queue()]
    await shop.begun(slots)
    shop.go.set()
    await shop.begun(slots + 2)
    assert shop.most == slots
    await auntil("all has ended", lambda: not shop.worker.running)
    assert {(await shop.stored(one)).attempt for one in queued} == {1}
    await shop.close()


async def test_the_last_slot_is_lent_to_nobody_and_taken_back_where_it_is_needed(url: str) -> None:
    shop = Shop(url)
    await shop.open(queues={"default": 2})
    await shop.lends()
    first = (await shop.queue())[0]
    await shop.begun(1)
    second = (await shop.queue())[0]
    await shop.begun(2)
    assert was_handed(await shop.stored(first))
    assert not was_handed(await shop.stored(second)), "with one slot left there is none to lend"
    await shop.close()


async def test_all_slots_are_used_although_one_was_lent(shop: Shop) -> None:
    await shop.lends()
    await shop.queue(12)
    await shop.begun(10)
    assert not shop.open_vacancies(), "what is needed is lent no more"
    shop.go.set()
    await shop.begun(12)
    assert shop.most == 10


async def test_a_slot_of_each_queue_is_lent(url: str) -> None:
    shop = Shop(url)
    await shop.open(queues={"default": 3, "mail": 3})
    for queue in ("mail", "default", "mail"):
        await shop.lends(queue)
        (queued,) = await shop.queue(queue=queue)
        await auntil("it has begun", partial(shop.has_begun, queued))
        assert was_handed(await shop.stored(queued)), queue
    await shop.close()


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"payload": {"text": "x" * 4_000}}, id="too long for a notification"),
        pytest.param({"payload": {"text": '"' * 1_400 + "\x01" * 400}}, id="too long once it is written out"),
        pytest.param({"handler": "nobody_has_it"}, id="no handler"),
        pytest.param({"queue": "other"}, id="another queue"),
    ],
)
async def test_what_cannot_be_handed_is_queued(shop: Shop, fields: dict[str, Any]) -> None:
    await shop.lends()
    (queued,) = await shop.queue(**fields)
    stored = await shop.stored(queued)
    assert stored.status is Status.QUEUED or not was_handed(stored)
    assert shop.open_vacancies(), "the slot is lent still"


async def test_of_several_that_are_queued_together_none_is_handed(shop: Shop) -> None:
    await shop.lends()
    queued = await shop.queue(3)
    await shop.begun(3)
    assert not any([was_handed(await shop.stored(one)) for one in queued])


async def test_what_is_first_in_line_goes_first(shop: Shop) -> None:
    """A worker that cannot run what waits is lent to nobody who stands behind it."""
    await shop.queue(handler="nobody_has_it", priority=9)
    await shop.lends()
    (behind,) = await shop.queue(priority=1)
    await shop.begun(1)
    assert not was_handed(await shop.stored(behind))
    (before,) = await shop.queue(priority=9)
    await shop.begun(2)
    assert not was_handed(await shop.stored(before)), "of the same priority, and younger"


async def test_limits_hold_as_they_do_for_claims(shop: Shop) -> None:
    await shop.store.write(lambda tx: tx.platforms.put_limit(Limit("default", "queue", "default", max_running=1)))
    await shop.lends()
    first, second = (await shop.queue())[0], (await shop.queue())[0]
    await shop.begun(1)
    assert was_handed(await shop.stored(first))
    assert (await shop.stored(second)).status is Status.PENDING


async def test_a_transaction_of_one_platform_hands_nothing_on(shop: Shop) -> None:
    await shop.lends()

    def confined(tx: Tx) -> list[Execution]:
        tx.scope("default")
        return enqueue(tx, [EnqueueRequest("h", {})])

    (queued,) = await shop.customer.write(confined)
    await shop.begun(1)
    assert not was_handed(await shop.stored(queued))


async def test_who_wants_to_claim_what_he_queues_may(shop: Shop) -> None:
    await shop.lends()

    def kept(tx: Tx) -> list[Execution]:
        tx.keep()
        return shop.add(tx, requests(1))

    (queued,) = await shop.customer.write(kept)
    await shop.begun(1)
    assert not was_handed(await shop.stored(queued))


@pytest.mark.parametrize("settings", [{"started_events": True}], ids=["starts are events"])
async def test_who_records_starts_claims_for_himself(url: str, settings: dict[str, Any]) -> None:
    shop = Shop(url)
    await shop.open(**settings)
    (queued,) = await shop.queue()
    await shop.begun(1)
    assert not was_handed(await shop.stored(queued))
    assert not shop.ask("SELECT 1 FROM vacancies")
    await shop.close()


async def test_where_transitions_are_recorded_nobody_claims_for_others(url: str) -> None:
    store = PostgresStore(url, random=Random(1), record_transitions=True)
    await store.open()
    assert store.hear("w", lambda _: None) is None
    await store.close()


async def test_who_may_only_add_executions_goes_on_doing_that(shop: Shop) -> None:
    """In a database of one's own a user may be granted that and no more; it claims for nobody."""
    await shop.lends()
    role = f"adds_{uuid4().hex[:8]}"
    url = sa.make_url(shop.url).set(username=role, password="p").render_as_string(hide_password=False)
    shop.ask(f"CREATE ROLE {role} LOGIN BYPASSRLS PASSWORD 'p'")
    shop.ask(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")
    shop.ask(f"GRANT INSERT ON executions, outbox TO {role}")
    try:
        store = PostgresStore(url, random=Random(4))
        await store.open()
        (queued,) = await store.write(lambda tx: enqueue(tx, [EnqueueRequest("h", {})]))
        await store.close()
        await shop.begun(1)
        assert not was_handed(await shop.stored(queued))
    finally:
        shop.ask(f"DROP OWNED BY {role}")
        shop.ask(f"DROP ROLE {role}")


async def test_through_a_pooler_nobody_lends(url: str) -> None:
    store = PostgresStore(url, random=Random(1), settings=PostgresSettings(pooled=True))
    await store.open()
    assert store.hear("w", lambda _: None) is None
    await store.close()


async def test_a_worker_that_does_not_hear_is_handed_nothing(shop: Shop) -> None:
    await shop.lends()
    shop.ask(f"SELECT pg_terminate_backend(pid) FROM ({HOLDING}) AS telegraph")
    await auntil("its connection is gone", lambda: not shop.open_vacancies())
    (queued,) = await shop.queue()
    assert not was_handed(await shop.stored(queued))
    await auntil("it hears again", shop.open_vacancies)
    shop.wakeups.notify("queued")  # in place of a poll
    await shop.begun(1)
    await shop.lends()
    (again,) = await shop.queue()
    await auntil("it has begun", partial(shop.has_begun, again))
    assert was_handed(await shop.stored(again))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param("address = 'mainspring_00000000_' || right(address, 32)", id="of a version with other columns"),
        pytest.param("until = 0", id="that has not been renewed for some seconds"),
    ],
)
async def test_a_vacancy_is_not_filled(shop: Shop, change: str) -> None:
    await shop.lends()
    shop.ask(f"UPDATE vacancies SET {change}")
    (queued,) = await shop.queue()
    await shop.begun(1)
    assert not was_handed(await shop.stored(queued))


async def test_what_was_handed_and_is_not_heard_of_is_queued_again(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lending, "RENEW", 0.0)
    await shop.lends()
    heard: list[str] = []
    assert shop.store._telegraph is not None
    whom, shop.store._telegraph._handed = shop.store._telegraph._handed, heard.append
    (queued,) = await shop.queue()
    await auntil("it was told", lambda: heard)
    assert was_handed(await shop.stored(queued))
    assert not shop.began
    # A worker at rest looks after what it lends with each poll.

    def looked() -> bool:
        shop.worker._claims._stand_by_anew()
        return bool(shop.began)

    await auntil("that is seen", looked)
    await shop.begun(1)
    stored = await shop.stored(queued)
    assert (stored.attempt, stored.losses, stored.fence) == (1, 0, 2), "no attempt was used"
    whom(heard[0])  # at last: under this number nothing begins any more
    await asyncio.sleep(0)
    await shop.store.write(lambda _: None)
    assert len(shop.began) == 1


async def test_a_worker_that_is_held_gives_back_what_it_is_handed(shop: Shop) -> None:
    await shop.lends()
    shop.worker.held = True
    (queued,) = await shop.queue()

    async def is_queued() -> bool:
        return (await shop.stored(queued)).status is Status.QUEUED

    await auntil("it is queued again", is_queued)
    assert not shop.began
    shop.worker.held = False
    shop.wakeups.notify("queued")
    await shop.begun(1)
    assert (await shop.stored(queued)).attempt == 1


async def test_a_worker_that_stops_takes_its_slots_back_and_runs_nothing_more(shop: Shop) -> None:
    await shop.lends()
    stopping = asyncio.create_task(shop.worker.stop())
    queued = [one for _ in range(5) for one in await shop.queue()]
    shop.go.set()
    await stopping
    assert not shop.open_vacancies()
    for one in queued:
        stored = await shop.stored(one)
        assert stored.status in (Status.QUEUED, Status.SUCCESS), "nothing is left with a worker that is gone"
    begun = len(shop.began)
    await shop.queue()
    assert len(shop.began) == begun
    await shop.start()
    await shop.begun(6)


async def test_the_worker_with_the_most_room_is_handed_it(shop: Shop) -> None:
    await shop.lends()
    heard: dict[str, list[Handed]] = {"little": [], "much": []}
    store = PostgresStore(shop.url, random=Random(3))
    await store.open()
    for name, room in (("little", 5), ("much", 50)):
        address = store.hear(name, heard[name].append)
        assert address is not None
        await store.lend(Lender(name, ["h"], HOUR, address), [Vacancy("default", 1, room)], HOUR)
    await auntil("both are heard", lambda: len(shop.ask(OPEN)) == 3)
    for _ in range(3):
        await shop.queue()
    await auntil("all were handed", lambda: heard["little"] or len(shop.began) == 2)
    assert [len(heard[name]) for name in ("much", "little")] == [1, 0 if len(shop.began) == 2 else 1]
    await store.close()


OPEN = "SELECT 1 FROM vacancies WHERE NOT pg_try_advisory_xact_lock_shared(hashtextextended(address, 0))"


async def test_what_is_committed_at_an_instant_is_handed_at_it(shop: Shop) -> None:
    await shop.lends()
    while True:  # a machine that was slow for a moment is asked again
        at = await shop.customer.read(lambda tx: tx.now) + timedelta(milliseconds=12)
        queued = await shop.customer.write_at(at, lambda tx: enqueue(tx, [EnqueueRequest("h", {})]))
        if queued is not None:
            break
    await shop.begun(1)
    stored = await shop.stored(queued[0])
    assert was_handed(stored)
    assert stored.started_at is not None
    assert stored.started_at >= at


async def test_rows_of_workers_that_are_forgotten_go_with_them(shop: Shop) -> None:
    await shop.lends()
    now = await shop.store.read(lambda tx: tx.now)
    await shop.store.write(lambda tx: tx.nodes.forget(now - HOUR))
    assert shop.ask("SELECT worker_id FROM vacancies") == [("w",)]
    await shop.store.write(lambda tx: tx.nodes.forget(now + HOUR))
    assert shop.ask("SELECT worker_id FROM vacancies") == []


async def test_two_who_queue_at_once_do_not_wait_for_each_other_nor_fill_one_slot_twice(shop: Shop) -> None:
    await shop.lends()
    queued = [one for batch in await asyncio.gather(*(shop.queue() for _ in range(8))) for one in batch]
    await shop.begun(8)
    stored = [await shop.stored(one) for one in queued]
    assert {(one.attempt, one.fence) for one in stored} == {(1, 1)}


async def test_a_lent_slot_is_taken_back_where_its_queue_alone_is_short(url: str) -> None:
    shop = Shop(url)
    await shop.open(queues={"default": 10, "mail": 2})
    await shop.lends("mail")
    await shop.queue_unheard(2, queue="mail")
    shop.wakeups.notify("freed:w")  # in place of a poll
    await shop.begun(2)
    await shop.close()


async def test_claiming_goes_on_where_no_room_is_left_for_what_was_to_go_along(url: str) -> None:
    """One slot is lent and the other one taken by `execute_job`, which asks for no room."""
    shop = Shop(url)
    await shop.open(queues={"default": 2})
    await shop.lends()
    (here,) = await shop.queue_unheard(1)
    lease = shop.worker.settings.lease
    await shop.worker.take(lambda tx: claim(tx, "w", queues={}, handlers=[], limit=1, lease=lease, only=here.id))
    (handed,) = await shop.queue()
    await shop.begun(2)
    assert was_handed(await shop.stored(handed))
    await shop.queue()
    shop.go.set()
    await shop.begun(3)
    await shop.close()


async def test_what_is_handed_to_a_worker_that_is_about_to_stop_does_not_wait_for_it(shop: Shop) -> None:
    await shop.queue()
    await shop.begun(1)
    await shop.lends()
    ended = asyncio.Event()
    assert shop.worker._claims._loop is not None
    end = shop.worker._claims._loop.stop

    async def slowly() -> None:
        await end()
        await ended.wait()

    shop.worker._claims._loop.stop = slowly  # type: ignore[method-assign]
    stopping = asyncio.create_task(shop.worker.stop())
    (queued,) = await shop.queue()
    assert was_handed(await shop.stored(queued))
    ended.set()

    async def is_queued() -> bool:
        return (await shop.stored(queued)).status is Status.QUEUED

    await auntil("it is queued again, while another one still runs", is_queued)
    assert not stopping.done()
    shop.go.set()
    await stopping


async def test_a_worker_that_stops_while_it_takes_its_slots_back_waits_for_that(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    await shop.lends()
    begun, go = asyncio.Event(), asyncio.Event()
    take_back = shop.store.take_back

    async def slowly(worker_id: str) -> list[Filled]:
        begun.set()
        await go.wait()
        return await take_back(worker_id)

    monkeypatch.setattr(shop.store, "take_back", slowly)
    shop.worker.held = True
    shop.wakeups.notify("freed:w")
    await begun.wait()
    stopping = asyncio.create_task(shop.worker.stop())
    await asyncio.sleep(0)
    go.set()
    await stopping
    assert not shop.open_vacancies()


async def test_who_connects_again_hears_while_the_server_believes_the_old_connection(url: str) -> None:
    """It keeps the lock of a connection that is dead until it finds out, which may take hours."""
    shop = Shop(url)
    shop.wakeups.listen()
    await shop.store.open()
    assert shop.store._telegraph is not None
    address = shop.store._telegraph.address
    await auntil("it is heard", lambda: shop.ask(HOLDING))
    with psycopg.connect(url, autocommit=True) as dead:
        taking = asyncio.to_thread(dead.execute, f"SELECT pg_advisory_lock(hashtextextended('{address}', 0))")
        taken = asyncio.create_task(taking)
        await auntil("it waits", lambda: shop.ask("SELECT 1 FROM pg_locks WHERE NOT granted"))
        shop.ask(f"SELECT pg_terminate_backend(pid) FROM ({HOLDING}) AS telegraph")
        await taken
        await shop.open()
        await auntil("it listens again", lambda: shop.ask(TRYING))
        await shop.queue(2)
        await shop.begun(2)
    await shop.lends()
    (queued,) = await shop.queue()
    await shop.begun(3)
    assert was_handed(await shop.stored(queued))
    await shop.close()


TRYING = "SELECT 1 FROM pg_stat_activity WHERE query LIKE '%pg_try_advisory_lock(%' AND pid <> pg_backend_pid()"
HOLDING = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND mode = 'ExclusiveLock'"


async def test_who_hears_what_he_cannot_read_goes_on_hearing(shop: Shop) -> None:
    await shop.lends()
    assert shop.store._telegraph is not None
    for words in ("", "odd", '["w", 1, [1, 2]]'):
        shop.ask(f"SELECT pg_notify('{shop.store._telegraph.address}', '{words}')")
    (queued,) = await shop.queue()
    await shop.begun(1)
    assert was_handed(await shop.stored(queued))


async def test_what_is_queued_after_a_transaction_whose_work_was_handed_is_told(shop: Shop) -> None:
    """Work that goes on after its end went out begins another transaction."""
    await shop.lends()
    shop.others.calls.clear()

    def goes_on(tx: Tx) -> list[Execution]:
        return enqueue_at_once(tx, [EnqueueRequest("h")]) + enqueue(tx, [EnqueueRequest("h")] * 2)

    handed, *_ = await shop.customer.write(goes_on)
    assert was_handed(await shop.stored(handed))
    await shop.begun(3)
    await auntil("it was told", lambda: any("queued" in topics for topics in shop.others.calls))
