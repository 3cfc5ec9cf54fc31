"""Which instants planning is done ahead of, in virtual time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from typing import Any, TypeVar

from mainspring.adapters.memory import InProcessWakeups, MemoryStore
from mainspring.engine.gaps import AFTER
from mainspring.engine.planning import FIRST, LET_BY, Planning
from mainspring.model.execution import Actor, Status
from mainspring.model.node import Limit
from mainspring.model.wire import definition_from_wire
from mainspring.moves.end import end
from mainspring.moves.jobs import create_job
from mainspring.moves.plan import Planned
from mainspring.moves.schedules import Schedules
from mainspring.ports.store import ExecutionQuery, TooEarlyError, Tx, Work
from mainspring.testing.loop import VirtualClock, VirtualLoop

T = TypeVar("T")
START = datetime.fromisoformat("2026-03-02T08:00:00+00:00")
SECOND = timedelta(seconds=1)


class EarlyStore(MemoryStore):
    """A store that is asked to be early, and is where nobody else wants to write."""

    lead = timedelta(milliseconds=10)

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(clock, random=random.Random(1))
        self.clock = clock
        self.tried: list[datetime] = []
        self.others = False

    async def write_at(self, instant: datetime, work: Work[T]) -> T | None:
        assert self.clock.now() < instant
        self.tried.append(instant)
        if self.others:
            return None
        await asyncio.sleep((instant - self.clock.now()).total_seconds())
        try:
            return await self.write(work)
        except TooEarlyError:
            return None


class Desk:
    """Planning, stepped through as its loop does it."""

    def __init__(self) -> None:
        self.store = EarlyStore(VirtualClock(asyncio.get_running_loop(), START))
        self.planned: list[Planned] = []
        self.planning = Planning(
            self.store, InProcessWakeups(), Schedules(), batch_size=500, who="d", on_planned=self.planned.append
        )

    async def each_second(self, **fields: Any) -> None:
        wire = {"name": "job", "handler": "h", "type": "recurring", "schedule": {"every_ms": 1000}, **fields}
        _ = await self.store.write(lambda tx: create_job(tx, "default", definition_from_wire(wire)))

    async def go_on(self, seconds: float) -> None:
        """Plan for so long, and end what was planned so that the next is as foreseen."""
        ends = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < ends:
            wait = await self.planning.step()
            await self.store.write(ended)
            self.planning.gaps._free_from = 0.0
            await self.planning.foresight.step()
            assert wait is not None
            await asyncio.sleep(wait)

    @property
    def decided(self) -> int:
        return sum(planned.dispatched for planned in self.planned)


def ended(tx: Tx) -> None:
    for execution in tx.executions.find(ExecutionQuery(statuses=(Status.QUEUED,), limit=100)):
        end(tx, execution, Status.CANCELLED, Actor.DISPATCHER, reason="so")


def limited(tx: Tx) -> None:
    tx.platforms.put_limit(Limit("default", "platform", "", max_running=100))


def virtually(test: Callable[[Desk], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        desk = Desk()
        await desk.store.open()
        await test(desk)

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(main())


def test_each_instant_that_is_as_foreseen_is_planned_ahead_of() -> None:
    async def test(desk: Desk) -> None:
        await desk.each_second()
        await desk.go_on(10.5)
        assert len(desk.store.tried) == 10
        assert desk.decided == 10
        assert all(planned.now in desk.store.tried for planned in desk.planned if planned.dispatched)

    virtually(test)


def test_where_others_want_to_write_it_is_planned_at_the_instant_and_tried_again() -> None:
    async def test(desk: Desk) -> None:
        await desk.each_second()
        desk.store.others = True
        await desk.go_on(10.5)
        assert len(desk.store.tried) == 10
        assert desk.decided == 10

    virtually(test)


def test_what_is_refused_again_and_again_is_tried_less_and_less() -> None:
    async def test(desk: Desk) -> None:
        await desk.each_second()
        await desk.store.write(limited)
        await desk.go_on(100.5)
        assert desk.decided == 100
        gaps = [
            (after - before) / SECOND for before, after in zip(desk.store.tried, desk.store.tried[1:], strict=False)
        ]
        assert gaps[:4] == [2, 4, 8, LET_BY + 1]
        assert set(gaps[4:]) == {LET_BY + 1}

    virtually(test)


def test_what_goes_well_again_is_tried_each_time() -> None:
    async def test(desk: Desk) -> None:
        await desk.each_second()
        await desk.store.write(limited)
        await desk.go_on(3.5)
        await desk.store.write(lambda tx: tx.platforms.put_limit(Limit("default", "platform", "")))
        tried = len(desk.store.tried)
        await desk.go_on(20)
        assert desk.decided in (23, 24)
        assert len(desk.store.tried) - tried >= 15

    virtually(test)


def test_held_in_the_middle_of_much_that_is_due_it_keeps_nobody_waiting() -> None:
    async def test(desk: Desk) -> None:
        for number in range(FIRST + 1):
            await desk.each_second(name=f"job-{number}")
        await asyncio.sleep(1)
        assert await desk.planning.step() == 0
        was_behind = desk.planning.behind
        desk.planning.held = True
        assert await desk.planning.step() is None
        assert (was_behind, desk.planning.behind) == (True, False)
        assert desk.planning.gaps.wait(asyncio.get_running_loop().time() + AFTER) == 0

    virtually(test)
