"""What every `Transport` promises, as tests over a real store. An adapter subclasses `TransportContract`.

It provides the fixtures ``transport`` (closed; told the ``wakeups``) and ``store`` (open, empty, telling ``wakeups``
and the transport). Workers here poll once a minute: what arrives within a test was carried.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import timedelta
from functools import partial
from random import Random

import pytest

from mainspring.adapters.memory import InProcessWakeups
from mainspring.engine.registry import JobHandlerRegistry
from mainspring.engine.worker import Worker
from mainspring.engine.worker_settings import WorkerSettings
from mainspring.model.execution import Execution
from mainspring.moves.claim import claim
from mainspring.moves.enqueue import EnqueueRequest, enqueue
from mainspring.ports.clock import Wakeups
from mainspring.ports.store import Store, Tx
from mainspring.ports.transport import Deliveries, Offer, Transport

MINUTE = 60.0
#: Longer than anything takes on a loaded machine.
WITHIN = 60.0
SLOTS = {"default": 5, "mail": 5}
#: Executions for each of two workers that have one handler each.
EACH = 40


class Taker:
    """The claiming half of a worker."""

    def __init__(
        self, worker_id: str, slots: Mapping[str, int], store: Store, deliveries: Deliveries, wakeups: Wakeups
    ) -> None:
        self.id, self.slots, self.deliveries = worker_id, slots, deliveries
        self._store = store
        self._listener = wakeups.listen("queued", deliveries.topic)
        self.fails = False

    async def step(self, room: Mapping[str, int] | None = None, limit: int = 10) -> list[Execution] | None:
        """Claim what is offered; None when nothing is."""
        room = self.slots if room is None else room
        offer = self.deliveries.offer(room, limit)
        if offer is None:
            return None
        try:
            claimed = await self._store.write(partial(self._claim, offer=offer, room=room, limit=limit))
        except ConnectionError:
            self.deliveries.failed(offer)
            return []
        self.deliveries.tried(offer, len(claimed), limit)
        return claimed

    def _claim(self, tx: Tx, *, offer: Offer, room: Mapping[str, int], limit: int) -> list[Execution]:
        if self.fails:
            raise ConnectionError("the database is away")
        lease = timedelta(minutes=1)
        return claim(tx, self.id, queues=room, handlers=["h"], limit=limit, lease=lease, offered=offer.ids)

    async def take(self, count: int, room: Mapping[str, int] | None = None) -> list[Execution]:
        """Claim until there are so many; fails if they do not come."""
        taken: list[Execution] = []
        async with asyncio.timeout(WITHIN):
            while len(taken) < count:
                claimed = await self.step(room, count - len(taken))
                taken += claimed or []
                if not claimed:
                    await self._listener.wait(0.05)
        return taken

    async def rest(self) -> list[Execution]:
        """Claim until nothing is offered for a while."""
        taken: list[Execution] = []
        while claimed := await self.step() or await self._listener.wait(0.3):
            taken += claimed if isinstance(claimed, list) else []
        return taken


Join = Callable[..., Awaitable[Taker]]


async def put(store: Store, count: int = 1, queue: str = "default", priority: int = 5) -> list[str]:
    """Queue executions; return their ids in the order in which they are claimed."""
    requests = [EnqueueRequest("h", queue=queue, priority=priority) for _ in range(count)]
    return [execution.id for execution in await store.write(lambda tx: enqueue(tx, requests))]


def ids(executions: list[Execution]) -> list[str]:
    return [execution.id for execution in executions]


class TransportContract:
    """Every promise of `mainspring.ports.transport`."""

    @pytest.fixture
    def wakeups(self) -> InProcessWakeups:
        return InProcessWakeups()

    @pytest.fixture
    async def opened(self, transport: Transport) -> AsyncIterator[Transport]:
        await transport.open()
        yield transport
        await transport.close()

    @pytest.fixture
    async def join(self, opened: Transport, store: Store, wakeups: InProcessWakeups) -> AsyncIterator[Join]:
        """Let a worker join; those still there leave at the end."""
        takers: list[Taker] = []

        async def joined(name: str = "w", slots: Mapping[str, int] = SLOTS, *, look: bool = True) -> Taker:
            deliveries = await opened.deliveries(name, slots, poll=MINUTE)
            takers.append(Taker(name, slots, store, deliveries, wakeups))
            if look:  # once: from here on it has to be told
                await takers[-1].rest()
            return takers[-1]

        yield joined
        for taker in takers:
            await taker.deliveries.close()

    async def test_what_is_queued_reaches_a_worker_that_waits(self, join: Join, store: Store) -> None:
        worker = await join()
        for _ in range(3):
            queued = await put(store)
            assert ids(await worker.take(1)) == queued

    async def test_what_was_queued_before_a_worker_came_reaches_it(self, join: Join, store: Store) -> None:
        queued = await put(store, 3)
        await join("other", {"mail": 1})
        late = await join("late", look=False)
        assert ids(await late.take(3)) == queued

    async def test_work_that_was_rolled_back_reaches_nobody(self, join: Join, store: Store) -> None:
        worker = await join()

        def work(tx: Tx) -> None:
            enqueue(tx, [EnqueueRequest("h")])
            raise KeyError

        with pytest.raises(KeyError):
            await store.write(work)
        queued = await put(store)
        assert ids(await worker.take(1)) == queued
        assert await worker.rest() == []

    async def test_what_is_queued_by_a_thread_reaches_a_worker(self, join: Join, store: Store) -> None:
        worker = await join()
        made = await asyncio.to_thread(store.write_blocking, lambda tx: enqueue(tx, [EnqueueRequest("h")]))
        assert ids(await worker.take(1)) == [made[0].id]

    async def test_each_execution_reaches_one_of_several_workers(self, join: Join, store: Store) -> None:
        workers = [await join(name) for name in ("a", "b", "c")]
        queued = await put(store, 60)
        taken: list[str] = []
        async with asyncio.timeout(WITHIN):
            while len(taken) < len(queued):
                for worker in workers:
                    taken += ids(await worker.step() or [])
                await asyncio.sleep(0)
        assert sorted(taken) == sorted(queued)
        assert [await worker.rest() for worker in workers] == [[], [], []]

    async def test_no_more_is_claimed_than_there_is_room_for_and_the_rest_is_not_lost(
        self, join: Join, store: Store
    ) -> None:
        worker = await join()
        queued = await put(store, 8)
        assert ids(await worker.take(3, {"default": 3})) == queued[:3]
        assert not await worker.step({"mail": 5})
        assert ids(await worker.take(5, {"default": 5})) == queued[3:]

    async def test_queues_are_kept_apart(self, join: Join, store: Store) -> None:
        mail, other = await join("mail", {"mail": 5}), await join("other", {"default": 5})
        letters, rest = await put(store, 2, "mail"), await put(store, 2)
        assert ids(await other.take(2, {"default": 5})) == rest
        assert ids(await mail.take(2, {"mail": 5})) == letters

    async def test_a_high_band_goes_before_a_low_one(self, join: Join, store: Store) -> None:
        worker = await join()
        low, normal, high = [(await put(store, 2, priority=priority)) for priority in (1, 5, 9)]
        # All three have to have arrived: room for mail alone leaves what comes in where it is.
        await self.arrived(worker, 6)
        assert ids(await worker.take(6, {"default": 1})) == high + normal + low

    async def arrived(self, worker: Taker, count: int) -> None:
        """Wait until so many executions have reached a worker that has not claimed them yet."""

    async def test_what_a_failed_claim_was_offered_is_offered_again(self, join: Join, store: Store) -> None:
        worker = await join()
        queued = await put(store, 3)
        worker.fails = True
        assert await worker.rest() == []
        worker.fails = False
        assert ids(await worker.take(3)) == queued

    async def test_what_a_worker_leaves_reaches_another(self, join: Join, store: Store) -> None:
        leaving, staying = await join("a"), await join("b", {"mail": 1})
        queued = await put(store, 5)
        assert len(await leaving.take(1, {"default": 1})) == 1
        for _ in range(2):
            await leaving.deliveries.close()
        left = await put(store, 2)
        third = await join("c", look=False)
        assert sorted(ids(await third.take(6))) == sorted(queued[1:] + left)
        assert await staying.rest() == []

    async def test_announcing_again_what_is_queued_doubles_nothing(
        self, join: Join, opened: Transport, store: Store
    ) -> None:
        worker = await join()
        queued = await put(store, 4)
        waiting = await store.read(lambda tx: tx.executions.unclaimed("default", tx.now, 10))
        assert [one.execution_id for one in waiting] == queued
        for _ in range(3):
            await opened.announce_again(waiting)
        assert ids(await worker.take(4)) == queued
        assert await worker.rest() == []

    async def test_work_offered_to_a_worker_without_its_handler_reaches_one_that_has_it(
        self, opened: Transport, store: Store, wakeups: InProcessWakeups
    ) -> None:
        """Not at its next poll, which is a minute away: whoever leaves it says so to those who can run it."""
        ran: list[str] = []
        some_ran = asyncio.Event()
        settings = WorkerSettings(queues={"default": 10}, poll=timedelta(seconds=MINUTE))
        workers, expected = [], 0
        for name in ("a", "b"):
            registry = JobHandlerRegistry()

            async def handler(name: str = name) -> None:
                ran.append(name)
                some_ran.set()

            registry.register_handler(name, handler)
            workers.append(Worker(name, store, registry, wakeups, settings, random=Random(1), transport=opened))
        try:
            for worker in workers:
                await worker.start()
            # The first of each is found by the look a worker takes when it starts, the others have to be told of.
            for rounds in (1, EACH):
                for request in [EnqueueRequest(name) for name in ("a", "b") for _ in range(rounds)]:
                    await store.write(partial(enqueue, requests=[request]))
                    await asyncio.sleep(0)
                expected += 2 * rounds
                async with asyncio.timeout(WITHIN):
                    while len(ran) < expected:
                        await some_ran.wait()
                        some_ran.clear()
        finally:
            for worker in workers:
                await worker.stop(timedelta(0))
        assert sorted(ran) == ["a"] * (EACH + 1) + ["b"] * (EACH + 1)

    async def test_how_it_stands_is_told(self, join: Join, opened: Transport, store: Store) -> None:
        await join()
        await put(store, 3)
        figures = await opened.figures(["default", "mail", "unknown"])
        assert figures.reachable
        assert not figures.problems
        assert all(stream.entries > 0 for stream in figures.streams)
