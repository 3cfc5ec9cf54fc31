"""Mistakes the simulated cluster found in the worker; each test is the shortest way to one of them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

from mainspring import Context
from mainspring.adapters.memory import InProcessWakeups, MemoryStore
from mainspring.engine.registry import JobHandlerRegistry
from mainspring.engine.worker import Worker
from mainspring.errors import StoreUnavailableError
from mainspring.model.execution import Status
from mainspring.moves.admit import promote
from mainspring.moves.cancel import cancel
from mainspring.moves.enqueue import EnqueueRequest, enqueue
from mainspring.moves.reap import reap
from mainspring.testing import VirtualClock, VirtualLoop


class Flaky(MemoryStore):
    """A store that loses the answers to so many calls of one kind: it did them all the same."""

    lose: dict[str, int]

    async def write(self, work: Any) -> Any:
        result = self.write_blocking(work)
        for name, times in self.lose.items():
            if times > 0 and name in work.__qualname__:
                self.lose[name] -= 1
                raise StoreUnavailableError("the answer was lost")
        return result


class Bench:
    """A worker over a store that loses answers, and the reaper."""

    def __init__(self) -> None:
        self.wakeups = InProcessWakeups()
        clock = VirtualClock(asyncio.get_running_loop(), datetime(2026, 3, 2, 8, tzinfo=UTC))
        self.store = Flaky(clock, random=random.Random(1), wakeups=self.wakeups)
        self.store.lose = {}
        self.registry = JobHandlerRegistry()
        self.worker = Worker("w", self.store, self.registry, self.wakeups, random=random.Random(2))

    async def start(self) -> None:
        await self.store.open()
        await self.worker.start()

    def enqueue(self, **fields: Any) -> str:
        made = self.store.write_blocking(lambda tx: enqueue(tx, [EnqueueRequest("h", **fields)]))
        return made[0].id

    def get(self, execution_id: str) -> Any:
        return self.store.read_blocking(lambda tx: tx.executions.get(execution_id))

    async def beat(self) -> None:
        self.worker.on_beat(await self.store.write(self.worker.beat()))
        await asyncio.sleep(0.1)


def virtually(test: Callable[[Bench], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        bench = Bench()
        await test(bench)
        await bench.worker.stop(timedelta(0))

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(main())


def test_a_claim_whose_answer_was_lost_is_given_back_at_the_next_heartbeat() -> None:
    """Its lease was renewed for ever by the worker that did not run it."""

    async def test(bench: Bench) -> None:
        async def h() -> str:
            return "ran"

        bench.registry.register_handler("h", h)
        await bench.start()
        bench.store.lose["Claims._work"] = 1
        execution_id = bench.enqueue()
        await asyncio.sleep(0.01)
        assert bench.get(execution_id).status is Status.RUNNING
        assert not bench.worker.running
        await bench.beat()
        after = bench.get(execution_id)
        assert (after.status, after.attempt, after.losses) == (Status.SUCCESS, 1, 0)

    virtually(test)


def test_a_worker_that_stops_gives_back_what_it_holds_unknowing() -> None:
    async def test(bench: Bench) -> None:
        bench.registry.register_handler("h", lambda: None)
        await bench.start()
        bench.store.lose["Claims._work"] = 1
        execution_id = bench.enqueue()
        await asyncio.sleep(0.01)
        await bench.worker.stop(timedelta(0))
        assert (bench.get(execution_id).status, bench.get(execution_id).attempt) == (Status.QUEUED, 0)

    virtually(test)


def test_an_attempt_whose_lease_is_gone_is_told_at_the_next_heartbeat() -> None:
    """A forced cancel fenced it off, and nobody told the handler."""

    async def test(bench: Bench) -> None:
        ends: list[str] = []

        async def h() -> None:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                ends.append("told")
                raise

        bench.registry.register_handler("h", h)
        await bench.start()
        execution_id = bench.enqueue()
        await asyncio.sleep(0.01)
        bench.store.write_blocking(lambda tx: cancel(tx, execution_id, force=True))
        await bench.beat()
        assert ends == ["told"]

    virtually(test)


def test_an_execution_claimed_again_by_the_worker_that_lost_it_is_still_known_to_it() -> None:
    """The old attempt's end removed the new attempt from the worker's books."""

    async def test(bench: Bench) -> None:
        async def h(ctx: Context) -> int:
            try:
                await asyncio.sleep(10 if ctx.fence == 1 else 60)
            except asyncio.CancelledError:
                await asyncio.sleep(1)
            return ctx.fence

        bench.registry.register_handler("h", h)
        await bench.start()
        execution_id = bench.enqueue()
        await asyncio.sleep(0.01)
        bench.store.write_blocking(
            lambda tx: reap(tx, grace=timedelta(0), draws=[0.0], leases_before=tx.now + timedelta(1))
        )
        bench.store.write_blocking(promote)
        await asyncio.sleep(0.01)
        assert [a.execution.fence for a in bench.worker.running] == [1, 3]
        await asyncio.sleep(12)
        assert [a.execution.fence for a in bench.worker.running] == [3]
        await bench.beat()
        assert bench.get(execution_id).status is Status.RUNNING

    virtually(test)


def test_a_handler_that_cancels_itself_has_failed() -> None:
    """It was released, claimed again at once, and so on without end and without using an attempt."""

    async def test(bench: Bench) -> None:
        async def h() -> None:
            raise asyncio.CancelledError

        bench.registry.register_handler("h", h)
        await bench.start()
        execution_id = bench.enqueue()
        await asyncio.sleep(0.1)
        assert (bench.get(execution_id).status, bench.get(execution_id).failures) == (Status.RETRYING, 1)

    virtually(test)


def test_log_lines_are_stored_once_and_the_last_progress_is_kept() -> None:
    async def test(bench: Bench) -> None:
        async def h(ctx: Context) -> None:
            ctx.log.info("once")
            ctx.progress(100, 100)

        bench.registry.register_handler("h", h)
        await bench.start()
        bench.store.lose["Settler._settle"] = 1
        execution_id = bench.enqueue()
        await asyncio.sleep(1)
        lines = bench.store.read_blocking(lambda tx: tx.logs.read(execution_id))
        assert [line.message for line in lines] == ["once"]
        assert bench.get(execution_id).progress["current"] == 100

    virtually(test)
