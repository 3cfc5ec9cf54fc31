"""On SQLite a claim waits with the writer and goes along in the commit that queues something."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextvars import ContextVar
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mainspring.adapters.memory.bus import InProcessBus
from mainspring.adapters.sql.store import SqlStore
from mainspring.adapters.system import SystemClock, system_random
from mainspring.engine.dispatcher import JobDispatcherWorker
from mainspring.engine.registry import JobHandlerRegistry
from mainspring.engine.worker import Worker
from mainspring.engine.worker_settings import WorkerSettings
from mainspring.model.dispatch import Announcement
from mainspring.model.execution import Execution, Status
from mainspring.model.wire import definition_from_wire
from mainspring.moves.claim import claim
from mainspring.moves.enqueue import EnqueueRequest, enqueue
from mainspring.moves.jobs import create_job
from mainspring.moves.plan import Planned
from mainspring.ports.store import ExecutionQuery, Tx
from mainspring.ports.transport import AnythingQueued, DatabaseTransport, Deliveries, Offer, Transport
from tests.integration.counted_wakeups import CountedWakeups, all_told
from tests.waiting import auntil

#: Set by whoever starts the worker.
TENANT: ContextVar[str | None] = ContextVar("tenant", default=None)


class House:
    """A worker on a SQLite file, whose starts are events: a commit in which it claims wakes ``outbox``."""

    def __init__(self, path: Path, slots: int, transport: Transport | None = None) -> None:
        self.wakeups, self.started, self.go = CountedWakeups(), asyncio.Queue[int](), asyncio.Event()
        self.store = SqlStore(
            path, clock=SystemClock(), random=system_random(), wakeups=self.wakeups, announcer=transport
        )
        self.running = self.most = 0
        self.tenants: list[str | None] = []
        registry = JobHandlerRegistry()
        registry.register_handler("h", self.handle)
        settings = WorkerSettings(queues={"default": slots}, started_events=True, poll=timedelta(hours=1))
        self.worker = Worker(
            "w", self.store, registry, self.wakeups, settings, random=system_random(), transport=transport
        )

    async def handle(self, n: int = 0) -> None:
        self.running += 1
        self.tenants.append(TENANT.get())
        self.most = max(self.most, self.running)
        self.started.put_nowait(n)
        await self.go.wait()
        self.running -= 1

    async def stands_by(self) -> None:
        await auntil("the worker stands by", lambda: self.waiting)
        await all_told(self.store)
        self.wakeups.calls.clear()

    @property
    def waiting(self) -> bool:
        assert self.store._writer is not None
        return bool(self.store._writer.companions.waiting)

    async def enqueue(self, jobs: int = 1) -> list[Execution]:
        requests = [EnqueueRequest("h", {"n": n}) for n in range(jobs)]
        return await self.store.write(lambda tx: enqueue(tx, requests))

    async def statuses(self) -> list[Status]:
        found = await self.store.read(lambda tx: tx.executions.find(ExecutionQuery(limit=1000)))
        return [execution.status for execution in found]


@pytest.fixture
async def house(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[House]:
    house = House(tmp_path / "jobs.db", getattr(request, "param", 10))
    await house.store.open()
    await house.worker.start()
    await house.stands_by()
    yield house
    house.go.set()
    await house.worker.stop()
    await house.store.close()


async def test_an_enqueue_and_its_claim_are_one_commit(house: House) -> None:
    for n in range(3):
        await house.enqueue()
        await house.started.get()
        await all_told(house.store)
        assert house.wakeups.calls[0] >= {"queued", "outbox"}, n
        await house.stands_by()


async def test_what_went_along_runs_in_the_context_that_its_worker_was_started_in(tmp_path: Path) -> None:
    TENANT.set("a")
    house = House(tmp_path / "jobs.db", 10)
    await house.store.open()
    await house.enqueue()  # for a claim of the worker's own
    await house.worker.start()
    await house.stands_by()
    await house.enqueue()
    await auntil("both have begun", lambda: house.running == 2)
    house.go.set()
    await house.worker.stop()
    await house.store.close()
    assert house.tenants == ["a", "a"]


async def test_what_goes_along_knows_whether_its_topic_was_woken_again_since(tmp_path: Path) -> None:
    store = SqlStore(tmp_path / "jobs.db", clock=SystemClock(), random=system_random())
    await store.open()
    for again in (False, True):
        waiting = store.accompany("queued", lambda tx: tx.now)
        await store.write(lambda tx: tx.wake("queued"))
        await store.write(lambda tx: tx.wake("jobs", *["queued"] * again))  # noqa: B023 - done within the round
        await waiting.result()
        assert waiting.woken_again is again
    await store.close()


async def test_what_a_schedule_makes_is_claimed_in_the_commit_that_decides_it(house: House) -> None:
    dispatcher = JobDispatcherWorker("d", house.store, InProcessBus(), house.wakeups, random=system_random())
    soon = (SystemClock().now() + timedelta(seconds=0.3)).isoformat()
    wire = {"name": "job", "handler": "h", "type": "one_time", "schedule": {"run_at": soon}}
    _ = await house.store.write(lambda tx: create_job(tx, "default", definition_from_wire(wire)))
    await dispatcher.start()
    await house.started.get()
    await dispatcher.stop()
    await all_told(house.store)
    assert next(call for call in house.wakeups.calls if "queued" in call) >= {"queued", "outbox"}


async def test_what_was_decided_ahead_begins_before_its_dispatcher_goes_on(house: House) -> None:
    dispatcher = JobDispatcherWorker("d", house.store, InProcessBus(), house.wakeups, random=system_random())
    told, seen = dispatcher.planning._on_planned, list[tuple[bool, int]]()

    def note(planned: Planned) -> None:
        told(planned)
        for _, cursor in planned.moved:
            assert cursor is not None
            seen.append((cursor.cursor_at == planned.now, house.started.qsize()))

    dispatcher.planning._on_planned = note
    house.go.set()
    await dispatcher.start()

    async def one_more() -> bool:
        """Have one more job decided; tell whether that was done ahead: a machine that is too busy is late for it."""
        await house.stands_by()
        soon = (SystemClock().now() + timedelta(seconds=0.3)).isoformat()
        wire = {"name": f"job-{len(seen)}", "handler": "h", "type": "one_time", "schedule": {"run_at": soon}}
        _ = await house.store.write(lambda tx: create_job(tx, "default", definition_from_wire(wire)))
        already = len(seen)
        await auntil("it is decided", lambda: len(seen) > already)
        ahead, begun = seen[-1]
        assert begun == 1 or not ahead
        await house.started.get()
        return ahead

    await auntil("one is decided ahead", one_more)
    await dispatcher.stop()


@pytest.mark.parametrize("house", [2], indirect=True)
async def test_no_more_go_along_than_there_are_slots(house: House) -> None:
    await house.enqueue(5)
    await house.started.get()
    await house.started.get()
    assert sorted(await house.statuses()) == sorted([Status.RUNNING] * 2 + [Status.QUEUED] * 3)
    house.go.set()
    for _ in range(3):
        await house.started.get()
    assert house.most == 2


async def test_a_worker_that_is_held_claims_nothing_along(house: House) -> None:
    house.worker.held = True
    (execution,) = await house.enqueue()
    assert await house.statuses() == [Status.QUEUED]
    house.worker.held = False
    house.wakeups.notify("queued")
    await house.started.get()
    assert (await house.statuses(), execution.status) == ([Status.RUNNING], Status.QUEUED)


async def test_a_worker_that_stops_leaves_no_claim_behind(house: House) -> None:
    await house.worker.stop()
    assert not house.waiting
    await house.enqueue()
    assert await house.statuses() == [Status.QUEUED]


class Naming(DatabaseTransport):
    """A transport that takes what is announced, as streams do, and names what it is told to."""

    may_lose = True

    def announce(self, announcements: Sequence[Announcement], *, told: bool = False) -> Iterable[str]:
        return ()

    def __init__(self) -> None:
        self.named: list[str] = []
        self.tries: list[tuple[tuple[str, ...], int]] = []

    async def deliveries(self, worker_id: str, queues: Mapping[str, int], *, poll: float) -> Deliveries:
        return NamedDeliveries(self)


class NamedDeliveries(AnythingQueued):
    topic = "delivered"

    def __init__(self, transport: Naming) -> None:
        self._transport = transport

    def offer(self, room: Mapping[str, int], limit: int) -> Offer | None:
        named, self._transport.named = self._transport.named, []
        return Offer(tuple(named)) if named else None

    def tried(self, offer: Offer, claimed: int, limit: int) -> bool:
        self._transport.tries.append((offer.ids or (), claimed))
        return False


async def test_what_went_along_before_a_stream_named_it_is_not_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offered: list[Sequence[str] | None] = []

    def claiming(tx: Tx, worker_id: str, **options: Any) -> list[Execution]:
        offered.append(options["offered"])
        return claim(tx, worker_id, **options)

    monkeypatch.setattr("mainspring.engine.claims.claim", claiming)
    house = House(tmp_path / "jobs.db", 10, transport := Naming())
    await house.store.open()
    await house.worker.start()
    await house.stands_by()
    (first,) = await house.enqueue()
    await house.started.get()
    await house.stands_by()
    assert offered == [None]
    transport.named = [first.id, "unheard-of"]
    house.wakeups.notify("delivered")
    await auntil("the offer was tried", lambda: transport.tries)
    assert (transport.tries, offered) == ([((first.id, "unheard-of"), 0)], [None, ("unheard-of",)])
    transport.named = [first.id]  # by a retry, for all we know
    house.wakeups.notify("delivered")
    await auntil("the second offer was tried", lambda: len(transport.tries) == 2)
    assert offered[2:] == [(first.id,)]
    house.go.set()
    await house.worker.stop()
    await house.store.close()
