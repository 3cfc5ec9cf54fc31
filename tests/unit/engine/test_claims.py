"""What a worker does with a claim that went along with other work, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Generic, TypeVar

from mainspring.adapters.memory import MemoryStore
from mainspring.engine.executor import Attempt
from mainspring.engine.heartbeat import Held
from mainspring.errors import StoreUnavailableError
from mainspring.model.execution import Execution, Status
from mainspring.moves.claim import claim
from mainspring.moves.enqueue import EnqueueRequest, enqueue
from mainspring.ports.store import Work
from tests.unit.engine.test_dispatcher_and_worker import House, virtually

T = TypeVar("T")


class Guest(Generic[T]):
    """`Companion` whose work a test runs, tells of, and ends."""

    def __init__(self, work: Work[T], done: Callable[[T], None]) -> None:
        self.work, self.done = work, done
        self.taken = self.woken_again = False
        self.future: asyncio.Future[T] = asyncio.get_running_loop().create_future()

    def withdraw(self) -> bool:
        return not self.taken

    async def result(self) -> T:
        return await self.future


class Hosting(MemoryStore):
    """A store that leaves it to the test when a companion is run."""

    guest: Guest[Any]

    def accompany(self, topic: str, work: Work[Any], done: Any = None) -> Guest[Any]:
        self.guest = Guest(work, done)
        return self.guest


class Hosted(House):
    keeps = Hosting


class Scene:
    """A worker at rest, one execution queued and claimed by its companion, and who hears of what."""

    def __init__(self, house: House) -> None:
        assert isinstance(house.store, Hosting)
        self.house, self.worker, self.store = house, house.worker, house.store
        self.ran: list[str] = []
        self.heard: list[Attempt] = []

        async def h() -> None:
            self.ran.append("h")

        house.registry.register_handler("h", h)
        house.worker.on_attempt = self.heard.append

    async def claimed(self, *, held: bool = False) -> tuple[Guest[list[Execution]], list[Execution]]:
        await self.house.start()
        await asyncio.sleep(0.5)
        self.worker.held = held
        guest = self.store.guest
        guest.taken = True
        await self.store.write(lambda tx: enqueue(tx, [EnqueueRequest("h")]))
        return guest, await self.store.write(guest.work)

    def unseen(self) -> bool:
        return not (self.ran or self.heard or self.worker.running or self.worker.stats.claimed)

    async def states(self) -> list[Status]:
        return [execution.status for execution in await self.house.all()]


def test_what_went_along_begins_as_it_is_told_of_and_not_at_the_claiming_loops_next_turn():
    async def test(house: House) -> None:
        scene = Scene(house)
        guest, claimed = await scene.claimed()
        await asyncio.sleep(0.5)
        assert scene.unseen()
        guest.done(claimed)
        assert scene.heard == scene.worker.running != []
        await asyncio.sleep(0)
        assert scene.ran == ["h"]
        guest.future.set_result(claimed)
        await asyncio.sleep(0.5)
        assert scene.worker.stats.claimed == 1
        assert scene.store.guest is not guest, "it stands by again"
        await house.stop()
        assert await scene.states() == [Status.SUCCESS]

    virtually(test, Hosted)


def test_a_worker_that_was_held_as_its_claim_went_along_looks_for_itself_once_it_is_not():
    async def test(house: House) -> None:
        scene = Scene(house)
        guest, claimed = await scene.claimed(held=True)
        house.worker.held = False
        guest.done(claimed)
        guest.future.set_result(claimed)
        await asyncio.sleep(0.1)  # sooner than a poll
        assert scene.ran == ["h"]
        await house.stop()

    virtually(test, Hosted)


def test_where_the_commit_fails_nothing_begins_and_the_worker_stands_by_again():
    async def test(house: House) -> None:
        scene = Scene(house)
        guest, _ = await scene.claimed()
        guest.future.set_exception(StoreUnavailableError("the disk is full"))
        await asyncio.sleep(3)
        assert scene.unseen()
        assert scene.store.guest is not guest
        await house.stop()

    virtually(test, Hosted)


def test_a_worker_that_stops_meanwhile_waits_for_what_it_claimed_and_gives_it_back():
    async def test(house: House) -> None:
        scene = Scene(house)
        guest, claimed = await scene.claimed()
        stopping = asyncio.create_task(house.worker.stop())
        await asyncio.sleep(0.01)
        assert not stopping.done()
        guest.done(claimed)
        guest.future.set_result(claimed)
        await stopping
        assert scene.unseen()
        assert await scene.states() == [Status.QUEUED]
        await house.beats.stop()
        await house.dispatcher.stop()

    virtually(test, Hosted)


def test_what_has_ended_since_a_heartbeat_is_not_looked_up_one_by_one():
    """Of a busy worker that is most of what a heartbeat has found on lease."""

    async def test(house: House) -> None:
        async def h() -> None: ...

        house.registry.register_handler("h", h)
        await house.start()
        await house.store.write(lambda tx: enqueue(tx, [EnqueueRequest("h")] * 20))
        await asyncio.sleep(0.5)
        ended = [Held(execution.id, execution.fence, False) for execution in await house.all()]
        executions: Any = await house.store.read(lambda tx: tx.executions)
        looked_up, get = list[str](), executions.get

        def noted(execution_id: str, **how: Any) -> Any:
            looked_up.append(execution_id)
            return get(execution_id, **how)

        executions.get = noted
        house.worker.on_beat(ended)
        await asyncio.sleep(0.5)
        await house.stop()
        assert (len(ended), looked_up) == (20, [])

    virtually(test)


class Slow(MemoryStore):
    """A store that waits for the test before it asks what a worker holds, and before it answers a claim."""

    slow = False

    async def write(self, work: Any) -> Any:
        if self.slow and "_give_back_mislaid" in work.__qualname__:
            await self.asks.wait()
        done = await super().write(work)
        if self.slow and "claim_h" in work.__qualname__:
            await self.answers.wait()
        return done

    def slow_down(self) -> None:
        self.slow, self.asks, self.answers = True, asyncio.Event(), asyncio.Event()


class SlowHouse(House):
    keeps = Slow


def test_what_is_claimed_while_a_worker_asks_what_it_has_mislaid_is_not_given_back():
    """Its answer has not come yet, though a heartbeat has found it on lease already."""

    async def test(house: House) -> None:
        store, ran = house.store, list[str]()
        assert isinstance(store, Slow)

        async def h() -> None:
            ran.append("h")

        def claim_h(tx: Any) -> list[Execution]:
            how: Any = {"queues": {"default": 1}, "handlers": ["h"], "limit": 1, "lease": timedelta(seconds=15)}
            return claim(tx, house.worker.id, **how)

        house.registry.register_handler("h", h)
        await house.start()
        await asyncio.sleep(0.5)
        store.slow_down()
        house.worker.on_beat([Held("long gone", 1, False)])
        await asyncio.sleep(0.01)
        (made,) = await store.write(lambda tx: enqueue(tx, [EnqueueRequest("h")]))
        claiming = asyncio.create_task(house.worker.take(claim_h))
        await asyncio.sleep(0.01)
        house.worker.on_beat([Held(made.id, 1, False)])
        store.asks.set()
        await asyncio.sleep(0.01)
        assert [(e.status, e.fence) for e in await house.all()] == [(Status.RUNNING, 1)]
        store.answers.set()
        await claiming
        await asyncio.sleep(0.5)
        assert ([(e.status, e.fence) for e in await house.all()], ran) == ([(Status.SUCCESS, 1)], ["h"])
        await house.stop()

    virtually(test, SlowHouse)


def test_what_was_queued_while_a_claim_went_along_is_looked_for_at_once_and_not_with_the_next_poll():
    """It waited for a second: the loop was woken for both at once, and looked at what had gone along alone."""

    async def test(house: House) -> None:
        scene = Scene(house)
        guest, claimed = await scene.claimed()
        await scene.store.write(lambda tx: enqueue(tx, [EnqueueRequest("h")]))
        guest.woken_again = True
        guest.done(claimed)
        guest.future.set_result(claimed)
        scene.house.wakeups.notify("queued")
        await asyncio.sleep(0.1)
        assert scene.ran == ["h", "h"]
        await house.stop()

    virtually(test, Hosted)
