"""The loops, in virtual time over a store in memory."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from mainspring import Context
from mainspring.adapters.memory import InProcessWakeups, MemoryStore
from mainspring.adapters.memory.bus import InProcessBus
from mainspring.engine.dispatcher import DispatcherSettings, JobDispatcherWorker
from mainspring.engine.job_executor import JobExecutorService
from mainspring.engine.registry import JobHandlerRegistry
from mainspring.engine.service import Loop
from mainspring.engine.worker import Worker
from mainspring.engine.worker_settings import WorkerSettings
from mainspring.errors import NotFoundError, OverlapConflictError
from mainspring.model.execution import Status
from mainspring.model.node import Limit
from mainspring.model.wire import definition_from_wire
from mainspring.moves.claim import claim
from mainspring.moves.enqueue import EnqueueRequest, enqueue
from mainspring.moves.jobs import create_job
from mainspring.moves.reap import BATCH
from mainspring.moves.schedules import Schedules
from mainspring.ports.store import ExecutionQuery
from mainspring.testing.loop import VirtualClock, VirtualLoop

START = datetime(2026, 3, 2, 8, tzinfo=UTC)


class House:
    """A dispatcher and a worker in one virtual loop."""

    keeps: type[MemoryStore] = MemoryStore

    def __init__(self, **queues: int) -> None:
        self.wakeups, self.bus = InProcessWakeups(), InProcessBus()
        clock = VirtualClock(asyncio.get_running_loop(), START)
        self.store = self.keeps(clock, random=random.Random(1), wakeups=self.wakeups)
        self.registry, self.schedules = JobHandlerRegistry(), Schedules()
        self.dispatcher = JobDispatcherWorker(
            "d", self.store, self.bus, self.wakeups, DispatcherSettings(), random=random.Random(2)
        )
        settings = WorkerSettings(queues=queues or {"default": 20})
        self.worker = Worker("w", self.store, self.registry, self.wakeups, settings, random=random.Random(3))

        # In a process a thread does this; virtual time has none.
        self.beats = Loop("beat", self.beat, wakeups=self.wakeups, topics=("cancel",), poll=5.0)

    async def beat(self) -> None:
        self.worker.on_beat(await self.store.write(self.worker.beat()))

    async def start(self) -> None:
        await self.store.open()
        self.beats.start()
        await self.worker.start()
        await self.dispatcher.start()

    async def stop(self) -> None:
        await self.worker.stop()
        await self.beats.stop()
        await self.dispatcher.stop()

    async def job(self, **fields: Any) -> Any:
        wire = {"name": "job", "handler": "h", **fields}
        definition = definition_from_wire(wire)
        return (await self.store.write(lambda tx: create_job(tx, "default", definition))).job

    async def all(self) -> list[Any]:
        return await self.store.read(lambda tx: tx.executions.find(ExecutionQuery(limit=1000)))


def virtually(test: Callable[[House], Coroutine[Any, Any, None]], of: type[House] = House) -> None:
    """Run a test in virtual time; an hour of waiting costs nothing."""

    async def main() -> None:
        house = of()
        await test(house)

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(main())


def test_a_schedule_fires_on_time_without_polling():
    async def test(house: House) -> None:
        lateness = []

        async def tick() -> None:
            now = await house.store.read(lambda tx: tx.now)
            lateness.append((now - START).total_seconds() % 60)

        house.registry.register_handler("h", tick)
        await house.start()
        await house.job(type="recurring", schedule={"every_ms": 60_000, "anchor_at": START.isoformat()})
        await asyncio.sleep(3600.5)
        await house.stop()
        assert len(lateness) == 60
        assert max(lateness) < 0.001

    virtually(test)


def test_a_new_job_wakes_a_dispatcher_that_sleeps():
    async def test(house: House) -> None:
        ran = asyncio.Event()

        async def h() -> None:
            ran.set()

        house.registry.register_handler("h", h)
        await house.start()
        await asyncio.sleep(100)
        at = START + timedelta(seconds=100.25)
        await house.job(type="one_time", schedule={"run_at": at.isoformat()})
        async with asyncio.timeout(0.3):
            await ran.wait()
        await house.stop()

    virtually(test)


def test_a_worker_takes_no_more_than_its_slots():
    async def test(house: House) -> None:
        running, most = 0, 0
        gate = asyncio.Event()

        async def h() -> None:
            nonlocal running, most
            running += 1
            most = max(most, running)
            await gate.wait()
            running -= 1

        house.worker.settings = WorkerSettings(queues={"default": 3})
        house.registry.register_handler("h", h)
        await house.start()
        await house.store.write(lambda tx: enqueue(tx, [EnqueueRequest("h")] * 10))
        await asyncio.sleep(5)
        queued = [e for e in await house.all() if e.status is Status.QUEUED]
        assert (most, len(queued)) == (3, 7)
        gate.set()
        await asyncio.sleep(5)
        assert {e.status for e in await house.all()} == {Status.SUCCESS}
        await house.stop()

    virtually(test)


def test_it_says_that_it_is_busy_once_before_a_handler_begins_and_again_after_a_rest():
    async def test(house):
        told = list[tuple[bool, int]]()

        async def h() -> None:
            told.append((house.worker.busy, len(told)))

        house.registry.register_handler("h", h)
        house.worker.on_busy = lambda: told.append((house.worker.busy, -1))
        await house.start()
        for count in (2, 1):
            await house.store.write(lambda tx, count=count: enqueue(tx, [EnqueueRequest("h")] * count))
            await asyncio.sleep(5)
            assert not house.worker.busy
        await house.stop()
        assert told == [(True, -1), (True, 1), (True, 2), (True, -1), (True, 4)]

    virtually(test)


class Asked(MemoryStore):
    """A store that knows how often it was asked for what waits."""

    promotions = 0

    async def write(self, work: Any) -> Any:
        self.promotions += "_promote" in getattr(work, "__qualname__", "")
        return await super().write(work)


class AskedHouse(House):
    keeps = Asked


def test_what_a_limit_held_back_starts_as_soon_as_there_is_room_and_not_with_the_next_look():
    async def test(house: House) -> None:
        begun: list[float] = []

        async def h() -> None:
            begun.append(asyncio.get_running_loop().time())
            await asyncio.sleep(0.25)

        house.registry.register_handler("h", h)
        await house.start()
        await asyncio.sleep(100)
        await house.store.write(lambda tx: tx.platforms.put_limit(Limit("default", "queue", "default", max_running=1)))
        await house.store.write(lambda tx: enqueue(tx, [EnqueueRequest("h")] * 4))
        await asyncio.sleep(5)
        await house.stop()
        between = [later - sooner for sooner, later in pairwise(begun)]
        assert between == pytest.approx([0.25] * 3, abs=0.01)

    virtually(test)


def test_where_nothing_is_held_back_no_end_asks_what_it_may_let_in():
    async def test(house: House) -> None:
        async def h() -> None: ...

        house.registry.register_handler("h", h)
        await house.start()
        await asyncio.sleep(100)
        assert isinstance(house.store, Asked)
        before = house.store.promotions
        for _ in range(10):
            await house.store.write(lambda tx: enqueue(tx, [EnqueueRequest("h")]))
            await asyncio.sleep(0.05)
        assert {e.status for e in await house.all()} == {Status.SUCCESS}
        assert house.store.promotions - before <= 1  # its poll
        await house.stop()

    virtually(test, AskedHouse)


def test_what_a_dead_worker_held_runs_again_as_its_leases_end_however_many_and_whenever_the_reaper_polls():
    async def test(house: House) -> None:
        lease, begun = timedelta(seconds=3.3), []

        async def handler() -> None:
            begun.append((await house.store.read(lambda tx: tx.now) - START).total_seconds())

        house.registry.register_handler("h", handler)
        await house.store.open()
        await house.store.write(lambda tx: enqueue(tx, [EnqueueRequest("h")] * (BATCH + 1)))
        await house.store.write(
            lambda tx: claim(tx, "dead", queues={"default": 1000}, handlers=["h"], limit=1000, lease=lease)
        )
        await house.start()
        await asyncio.sleep(5)
        await house.stop()
        assert len(begun) == BATCH + 1
        assert 3.3 <= min(begun) <= max(begun) < 3.6, "looks are 2 s apart, and one takes back a batch"

    virtually(test)


def test_stats_count_what_was_dispatched_and_are_stored_with_the_dispatcher():
    async def test(house: House) -> None:
        async def h() -> None:
            await asyncio.sleep(90)

        house.registry.register_handler("h", h)
        await house.start()
        await house.job(type="recurring", schedule={"every_ms": 60_000, "max_executions": 2}, overlap="skip")
        await asyncio.sleep(300)
        stats = house.dispatcher.get_stats()
        assert (stats.jobs_dispatched, stats.jobs_skipped, stats.jobs_completed, stats.errors) == (2, 1, 1, 0)
        assert (await house.store.read(lambda tx: tx.nodes.dispatchers()))[0].stats["jobs_dispatched"] == 2
        house.dispatcher.reset_stats()
        assert house.dispatcher.get_stats().jobs_dispatched == 0
        await house.stop()
        assert (await house.store.read(lambda tx: tx.nodes.dispatchers()))[0].status == "stopped"
        assert (await house.store.read(lambda tx: tx.nodes.workers()))[0].status == "stopped"

    virtually(test)


def test_a_disabled_dispatcher_decides_nothing():
    async def test(house: House) -> None:
        house.dispatcher.settings = DispatcherSettings(enabled=False)
        await house.start()
        await house.job(type="recurring", schedule={"every_ms": 1000})
        await asyncio.sleep(10)
        assert await house.all() == []
        await house.stop()

    virtually(test)


def test_retries_run_after_their_backoff_and_progress_and_logs_are_kept():
    async def test(house: House) -> None:
        async def h(ctx: Context) -> int:
            ctx.progress(ctx.attempt, 3, "trying")
            ctx.log.warning("attempt", n=ctx.attempt)
            await asyncio.sleep(1)
            if ctx.attempt < 3:
                raise ValueError(ctx.attempt)
            return ctx.attempt

        house.registry.register_handler("h", h)
        await house.start()
        (made,) = await house.store.write(lambda tx: enqueue(tx, [EnqueueRequest("h")]))
        await asyncio.sleep(60)
        (after,) = await house.all()
        assert (after.status, after.result, after.attempt, after.failures) == (Status.SUCCESS, 3, 3, 2)
        assert after.progress["current"] == 3
        lines = await house.store.read(lambda tx: tx.logs.read(made.id))
        assert [(line.line, line.attempt) for line in lines] == [(1, 1), (2, 2), (3, 3)]
        await house.stop()

    virtually(test)


def test_execute_job_runs_it_here_through_the_record():
    async def test(house: House) -> None:
        async def h(n: int) -> int:
            if n < 0:
                raise ValueError("negative")
            await asyncio.sleep(2)
            return n + 1

        house.registry.register_handler("h", h)
        await house.start()
        job = await house.job(type="manual", payload={"n": 1}, overlap="skip", retry={"max_retries": 0})
        service = JobExecutorService(house.store, house.worker, house.wakeups)
        one = asyncio.create_task(service.execute_job(job.id, trace_id="a" * 32, worker_id="me"))
        await asyncio.sleep(1)
        with pytest.raises(OverlapConflictError):
            await service.execute_job("job")
        result = await one
        assert (result.status, result.result, result.duration_ms) == ("success", 2, 2000)
        failed = await service.execute_job("job", payload={"n": -1})
        assert failed.status == "failed"
        assert failed.error is not None
        assert failed.error["message"] == "negative"
        assert await service.add_execution_log(result.execution_id, "info", "from outside", who="me") == 2
        lines = await service.get_execution_logs(result.execution_id)
        assert [(line.message, line.external) for line in lines] == [("asked for", True), ("from outside", True)]
        assert (await service.retry_execution(failed.execution_id)).retry_of == failed.execution_id
        with pytest.raises(NotFoundError):
            await service.get_execution_logs("nobody")
        await house.stop()

    virtually(test)


def test_execute_job_leaves_it_to_others_while_its_worker_drains():
    async def test(house: House) -> None:
        ended = asyncio.Event()

        async def h() -> None:
            await ended.wait()

        house.registry.register_handler("h", h)
        await house.start()
        job = await house.job(type="manual", overlap="allow_all")
        service = JobExecutorService(house.store, house.worker, house.wakeups)
        first = asyncio.create_task(service.execute_job(job.id))
        await asyncio.sleep(1)
        stopping = asyncio.create_task(house.worker.stop())
        await asyncio.sleep(1)
        second = asyncio.create_task(service.execute_job(job.id))
        await asyncio.sleep(5)
        assert sorted(one.status for one in await house.all()) == [Status.QUEUED, Status.RUNNING]
        ended.set()
        await stopping
        assert (await first).status == "success"
        assert sorted(one.status for one in await house.all()) == [Status.QUEUED, Status.SUCCESS]
        second.cancel()
        await asyncio.gather(second, house.beats.stop(), house.dispatcher.stop(), return_exceptions=True)

    virtually(test)
