"""One look a second for all loops of a dispatcher: what nobody was told of is found by it, and little else is asked."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

from mainspring.adapters.memory import InProcessWakeups, MemoryStore
from mainspring.adapters.memory.bus import InProcessBus
from mainspring.engine.dispatcher import JobDispatcherWorker
from mainspring.model.events import EventType
from mainspring.model.execution import Status
from mainspring.model.wire import definition_from_wire
from mainspring.moves.enqueue import EnqueueRequest, enqueue
from mainspring.moves.jobs import create_job
from mainspring.ports.store import ExecutionQuery
from mainspring.testing.loop import VirtualClock, VirtualLoop

START = datetime(2026, 3, 2, 8, tzinfo=UTC)
IN_A_MINUTE = (START + timedelta(seconds=60.7)).isoformat()


class DeafHouse:
    """A dispatcher that is told of nothing, for nobody hears what its store says. It counts the calls of the store."""

    def __init__(self) -> None:
        self.clock = VirtualClock(asyncio.get_running_loop(), START)
        self.store = MemoryStore(self.clock, random=random.Random(1), wakeups=InProcessWakeups())
        self.calls = 0
        for name in ("read", "write"):
            setattr(self.store, name, self._counted(getattr(self.store, name)))
        self.bus = InProcessBus()
        self.dispatcher = JobDispatcherWorker("d", self.store, self.bus, InProcessWakeups(), random=random.Random(2))

    def _counted(self, call: Callable[..., Coroutine[Any, Any, Any]]) -> Callable[..., Coroutine[Any, Any, Any]]:
        async def counted(work: Any) -> Any:
            self.calls += 1
            return await call(work)

        return counted

    async def queued(self) -> int:
        query = ExecutionQuery(statuses=(Status.QUEUED,))
        return len(await self.store.read(lambda tx: tx.executions.find(query)))


def virtually(test: Callable[[DeafHouse], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        house = DeafHouse()
        await house.store.open()
        await house.dispatcher.start()
        await test(house)
        await house.dispatcher.stop()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(main())


def test_a_dispatcher_at_rest_asks_the_store_little():
    async def test(house: DeafHouse) -> None:
        await asyncio.sleep(20)
        house.calls = 0
        await asyncio.sleep(60)
        assert house.calls / 60 < 2.4, "a look a second, the reaper's every two seconds, a report every five"
        stats = house.dispatcher.get_stats()
        assert stats.last_run is not None
        assert house.clock.now() - stats.last_run <= timedelta(seconds=1)

    virtually(test)


def test_a_job_that_nobody_was_told_of_is_decided_as_it_is_due():
    async def test(house: DeafHouse) -> None:
        await asyncio.sleep(33.3)
        wire = {"name": "once", "handler": "h", "type": "one_time", "schedule": {"run_at": IN_A_MINUTE}}
        await house.store.write(lambda tx: create_job(tx, "default", definition_from_wire(wire)))
        await asyncio.sleep(60.71 - 33.3)
        assert await house.queued() == 1

    virtually(test)


def test_work_that_nobody_was_told_of_is_queued_as_its_time_comes():
    async def test(house: DeafHouse) -> None:
        await asyncio.sleep(33.3)
        later = EnqueueRequest("h", run_at=START + timedelta(seconds=60.7))
        await house.store.write(lambda tx: enqueue(tx, [later]))
        await asyncio.sleep(60.71 - 33.3)
        assert await house.queued() == 1

    virtually(test)


def test_an_event_that_nobody_was_told_of_is_published_within_a_second():
    async def test(house: DeafHouse) -> None:
        heard: list[str] = []
        house.dispatcher.relay.on_published = lambda events: heard.extend(event.type for event in events)
        await asyncio.sleep(33.3)
        wire = {"name": "once", "handler": "h", "type": "one_time", "schedule": {"run_at": IN_A_MINUTE}}
        await house.store.write(lambda tx: create_job(tx, "default", definition_from_wire(wire)))
        await asyncio.sleep(1.01)
        assert heard == [EventType.JOB_CREATED]

    virtually(test)
