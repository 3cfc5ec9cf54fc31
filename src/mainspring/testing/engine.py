"""The engine, one step at a time: what dispatcher, worker, heartbeat and relay do, done when a test moves its clock.

Each step is the very function of ``moves`` that the loops run; only the order of things is fixed here, so that a test
runs the same way every time, in any event loop.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from random import Random
from typing import Any, TypeVar

from mainspring.adapters.memory.store import MemoryStore
from mainspring.app.application import Application
from mainspring.engine.executor import Attempt, Stop
from mainspring.engine.threads import Threads
from mainspring.errors import NotFoundError, StoreUnavailableError
from mainspring.model.execution import LIVE, Actor, Execution, LogLine, Status
from mainspring.model.job import JobStatus
from mainspring.model.outcome import Lost, Outcome
from mainspring.moves.admit import promote
from mainspring.moves.claim import claim
from mainspring.moves.end import Ended, apply_steps, settle_attempts
from mainspring.moves.jobs import resume_due
from mainspring.moves.plan import plan_due
from mainspring.moves.reap import reap
from mainspring.moves.relay import mark_published, take_unpublished
from mainspring.ports.store import ExecutionQuery, Tx, Work
from mainspring.schedule.settle import settle
from mainspring.testing.clock import ManualClock
from mainspring.testing.handler_time import HandlerTime
from mainspring.testing.inline import InlineChildren

T = TypeVar("T")

logger = logging.getLogger("mainspring")

#: Passes over everything at one instant before a test is told that its jobs feed each other without end.
MOST_PASSES = 2_000


class TestStore(MemoryStore):
    """A store in memory that can be away for a while."""

    __test__ = False
    down = False

    def write_blocking(self, work: Work[T]) -> T:
        """Run ``work``, unless the store is away."""
        self._refuse()
        return super().write_blocking(work)

    def read_blocking(self, work: Work[T]) -> T:
        """Run ``work``, unless the store is away."""
        self._refuse()
        return super().read_blocking(work)

    def _refuse(self) -> None:
        if self.down:
            raise StoreUnavailableError("the test has taken the database down")


class SteppedEngine:
    """Dispatcher and worker of one test."""

    def __init__(
        self, app: Application, store: TestStore, clock: ManualClock, *, random: Random, patience: float
    ) -> None:
        self._app, self._store, self.clock, self._random, self._patience = app, store, clock, random, patience
        self._start = clock.now()
        self._dispatching, self._working = app.settings.dispatcher(), app.settings.worker()
        self._time: HandlerTime | None = None
        self._threads: Threads | None = None
        self._attempts: dict[tuple[str, int], Attempt] = {}
        self._ended: list[tuple[Attempt, Outcome]] = []
        self._waited: set[tuple[str, int]] = set()
        self._news = asyncio.Event()
        self._workers = 1
        self._down_until: datetime | None = None
        self._dropped: list[Attempt] = []
        self._unaware: set[tuple[str, int]] = set()
        self.failed: list[Execution] = []

    # -- moving ------------------------------------------------------------------------------------------------------

    async def run_until(self, target: datetime) -> None:
        """Do everything that is due up to ``target``, each thing at its own instant, and end there."""
        loop = asyncio.get_running_loop()
        if self._time is None:
            self._time, self._threads = HandlerTime(loop), Threads(loop)
        while True:
            await self._work()
            following = self._next_instant()
            if following is None or following > target:
                break
            self._move_to(following)
        self._move_to(target)
        await self._work()

    def _move_to(self, at: datetime) -> None:
        lease = self._working.lease
        if not self._store.down:
            # Heartbeats renew every few seconds whatever handlers do; here they do so in one step.
            self._store.write_blocking(lambda tx: tx.executions.renew(self.worker_id, at + lease))
        self.clock.set(max(at, self.clock.now()))
        assert self._time is not None
        self._time.now = (self.clock.now() - self._start).total_seconds()
        if self._down_until is not None and self.clock.now() >= self._down_until:
            self._store.down, self._down_until = False, None

    async def _work(self) -> None:
        """Do everything that can be done at this instant."""
        assert self._time is not None
        for _ in range(MOST_PASSES):
            done = self._time.fire()
            await self._quiet()
            if not self._store.down:
                done += self._decide() + await self._publish() + self._claim() + self._settle()
                self._hear_of_cancels()
            await self._quiet()
            unsettled = self._ended and not self._store.down
            if not done and not unsettled and not await self._wait_for_handlers():
                return
        raise AssertionError(f"things go on happening at {self.clock.now()} without end")

    def _decide(self) -> int:
        write, d = self._store.write_blocking, self._dispatching
        planned = write(lambda tx: plan_due(tx, self._app.schedules, "dispatcher-1", limit=d.batch_size))
        if planned.failed:
            raise AssertionError(f"jobs that could not be decided, and are paused: {planned.failed}")
        draws = [self._random.random()]
        reaped = write(lambda tx: reap(tx, grace=d.grace, draws=draws))
        resumed = write(lambda tx: resume_due(tx, self._app.schedules))
        promoted = write(lambda tx: promote(tx, d.batch_size))
        return planned.jobs + bool(reaped) + resumed + promoted

    async def _publish(self) -> int:
        events = self._store.read_blocking(take_unpublished)
        if events:
            await self._app.bus.publish(events)
            for problem in self._store.write_blocking(lambda tx: mark_published(tx, self._app.schedules, events)):
                logger.warning("%s", problem)
        return len(events)

    # -- the worker --------------------------------------------------------------------------------------------------

    @property
    def worker_id(self) -> str:
        """The worker's present name; it changes when it is killed."""
        return f"worker-{self._workers}"

    def _claim(self) -> int:
        used = Counter(a.execution.queue for a in self._attempts.values() if a.outcome is None)
        room = {q: n - used[q] for q, n in self._working.queues.items() if n > used[q]}
        handlers = [handler.name for handler in self._app.registry.list_handlers()]
        if not room:
            return 0
        limit, lease = sum(room.values()), self._working.lease
        claimed = self._store.write_blocking(
            lambda tx: claim(tx, self.worker_id, queues=room, handlers=handlers, limit=limit, lease=lease)
        )
        for execution in claimed:
            self._begin(execution)
        return len(claimed)

    def _begin(self, execution: Execution) -> None:
        try:
            handler = self._app.registry.resolve_handler(execution.handler, execution.platform_id)
        except NotFoundError:
            return
        assert self._threads is not None
        assert self._time is not None
        attempt = Attempt(
            execution,
            handler,
            threads=self._threads,
            children=InlineChildren(self._threads),
            grace=self._working.stop_grace.total_seconds(),
            on_end=self._on_end,
        )
        self._attempts[execution.id, execution.fence] = attempt
        self._time.run(attempt.start)

    def _on_end(self, attempt: Attempt, outcome: Outcome) -> None:
        if attempt not in self._dropped:
            self._ended.append((attempt, outcome))
        self._news.set()

    def _settle(self) -> int:
        if not self._ended:
            return 0
        ended, self._ended = self._ended, []
        draws = [self._random.random() for _ in ended]

        def work(tx: Tx) -> set[str]:
            for attempt, _ in ended:
                self._store_words(tx, attempt)
            rows = [Ended(a.execution, outcome, draw) for (a, outcome), draw in zip(ended, draws, strict=True)]
            return settle_attempts(tx, rows, Actor.WORKER)

        self._store.write_blocking(work)
        for attempt, _ in ended:
            self._attempts.pop((attempt.execution.id, attempt.execution.fence), None)
        self._note_failures([attempt.execution.id for attempt, _ in ended])
        return len(ended)

    def _note_failures(self, ids: Iterable[str]) -> None:
        rows = [self._row(execution_id) for execution_id in ids]
        self.failed += [row for row in rows if row is not None and row.status is Status.FAILED]

    def _row(self, execution_id: str) -> Execution | None:
        return self._store.read_blocking(lambda tx: tx.executions.get(execution_id))

    def _store_words(self, tx: Tx, attempt: Attempt) -> None:
        e = attempt.execution
        lines = [
            LogLine(e.id, 0, tx.now, level, message, dict(fields), e.attempt)
            for level, message, fields in attempt.words.take_lines()
        ]
        tx.logs.append(e.id, lines, fence=e.fence, cap=self._working.log_lines)
        if (progress := attempt.words.take_progress()) is not None:
            tx.executions.put_progress([(e.id, e.fence, {**progress, "at": tx.now.isoformat()})])

    def _hear_of_cancels(self) -> None:
        for key, attempt in list(self._attempts.items()):
            row = self._row(key[0])
            if row is not None and row.fence == key[1] and row.status is Status.RUNNING:
                if row.cancel_requested_at is not None:
                    self._tell(attempt, Stop.CANCEL)
            elif key not in self._unaware:
                self._tell(attempt, Stop.RELEASE)

    def _tell(self, attempt: Attempt, why: Stop) -> None:
        assert self._time is not None
        self._time.run(lambda: attempt.stop(why))

    # -- waiting for handlers ------------------------------------------------------------------------------------------

    async def _quiet(self) -> None:
        """Let everything that is ready run, until only files, threads and timers are left to wait for."""
        ready: Any = getattr(asyncio.get_running_loop(), "_ready", None)
        silent = 0
        for _ in range(10_000):
            await asyncio.sleep(0)
            silent = silent + 1 if not ready else 0
            if silent >= (2 if ready is not None else 20):
                return

    async def _wait_for_handlers(self) -> bool:
        """Wait, in real time, for handlers that wait for something real; True when one has ended."""
        assert self._time is not None
        asleep = self._time.sleepers() if self._time.virtual else set()
        busy = [
            key
            for key, attempt in self._attempts.items()
            if attempt.outcome is None and key not in self._waited and attempt.execution.id not in asleep
        ]
        if not busy:
            return False
        self._news.clear()
        try:
            await asyncio.wait_for(self._news.wait(), self._patience)
        except TimeoutError:
            # Once per attempt: what it waits for may be something that the test does after this.
            self._waited.update(busy)
        return True

    # -- what comes next -----------------------------------------------------------------------------------------------

    def _next_instant(self) -> datetime | None:
        now = self.clock.now()
        assert self._time is not None
        timer = self._time.next_at
        found = [self._start + timedelta(seconds=timer) if timer is not None else None, self._down_until]
        if not self._store.down:
            found += self._store.read_blocking(self._instants)
        return min((at for at in found if at is not None and at > now), default=None)

    def _instants(self, tx: Tx) -> list[datetime | None]:
        grace = self._dispatching.grace
        found = [tx.jobs.next_due_at(), tx.executions.next_available_at()]
        paused = tx.jobs.find(self._app.platform_id, status=JobStatus.PAUSED, limit=10_000)
        found += [job.paused_until for job in paused]
        for e in tx.executions.find(ExecutionQuery(statuses=tuple(LIVE), limit=100_000)):
            found += [at + grace for at in (e.deadline_at, e.cancel_requested_at) if at is not None]
            if e.status in (Status.PENDING, Status.QUEUED, Status.RETRYING):
                found.append(e.start_deadline_at)
            if e.worker_id is not None and e.worker_id != self.worker_id:
                found.append(e.lease_until)
            if (e.blocked_by or "").startswith("rate:"):
                found.append(tx.now + timedelta(milliseconds=100))
        return found

    # -- faults --------------------------------------------------------------------------------------------------------

    def kill_worker(self) -> None:
        """Let the worker's process die: its attempts are gone without a word, their leases run until they are over."""
        self._drop(self._attempts.values())
        self._attempts.clear()
        self._workers += 1

    def lose_leases(self, execution_ids: set[str] | None) -> int:
        """Take running executions back from the worker, which goes on with them unaware."""
        self._unaware.update(key for key in self._attempts if execution_ids is None or key[0] in execution_ids)

        def work(tx: Tx) -> set[str]:
            rows = tx.executions.find(ExecutionQuery(statuses=(Status.RUNNING,), limit=100_000))
            taken = [e for e in rows if execution_ids is None or e.id in execution_ids]
            steps = [(e, settle(e, Lost(e.worker_id), now=tx.now, draw=0.0)) for e in taken]
            return apply_steps(tx, steps, Actor.REAPER)

        return len(self._store.write_blocking(work))

    def take_down(self, until: datetime) -> None:
        """Let the store refuse every call up to an instant."""
        self._store.down, self._down_until = True, until

    def close(self) -> None:
        """Give up what still runs."""
        self._drop(self._attempts.values())
        if self._threads is not None:
            self._threads.close()

    def _drop(self, attempts: Iterable[Attempt]) -> None:
        for attempt in list(attempts):
            self._dropped.append(attempt)
            attempt.abandon()
