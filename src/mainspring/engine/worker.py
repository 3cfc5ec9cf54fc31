"""Claim, execute, settle, drain: the part that runs attempts."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import socket
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from datetime import datetime, timedelta

from mainspring.engine.alarms import Alarms
from mainspring.engine.announcing import announce_handlers, tell_failed
from mainspring.engine.children import Children
from mainspring.engine.claims import Claims
from mainspring.engine.executor import Attempt, Stop
from mainspring.engine.gaps import no_gap
from mainspring.engine.heartbeat import Held, renew
from mainspring.engine.registry import JobHandlerRegistry
from mainspring.engine.service import Loop
from mainspring.engine.settler import Settler
from mainspring.engine.slots import free_slots
from mainspring.engine.threads import Threads
from mainspring.engine.worker_settings import WorkerSettings, WorkerStats
from mainspring.errors import NotFoundError, StoreUnavailableError
from mainspring.model.execution import Execution
from mainspring.model.log_events import about
from mainspring.model.node import WorkerNode
from mainspring.model.outcome import Failed, Lost, Outcome, TimedOut
from mainspring.moves.end import give_back
from mainspring.ports.clock import Wakeups
from mainspring.ports.store import Store, Tx
from mainspring.ports.tracing import Tracing
from mainspring.ports.transport import DatabaseTransport, Transport

logger = logging.getLogger("mainspring")

#: Most executions claimed at once while starting makes way for deciding.
FEW = 50

_FAILED = (Failed, TimedOut, Lost)


class Worker:
    """One worker of this process, in the event loop that starts it."""

    def __init__(
        self,
        worker_id: str,
        store: Store,
        registry: JobHandlerRegistry,
        wakeups: Wakeups,
        settings: WorkerSettings | None = None,
        *,
        random: random.Random,
        transport: Transport | None = None,
        tracing: Tracing | None = None,
        version: str = "",
        threads: Callable[[asyncio.AbstractEventLoop], Threads] = Threads,
        children: Callable[[], Children] = Children,
        gap: Callable[[float], float] = no_gap,
    ) -> None:
        self.id, self.settings, self.stats = worker_id, settings or WorkerSettings(), WorkerStats()
        self._store, self._registry, self._wakeups, self._random = store, registry, wakeups, random
        self._version, self._tracing = version, tracing
        self._transport = transport or DatabaseTransport()
        self._make_threads, self._make_children = threads, children
        # By execution and fence: one that was lost may be claimed here again while its old attempt still runs.
        self._attempts: dict[tuple[str, int], Attempt] = {}
        self._stuck: set[Attempt] = set()
        self._settler = Settler(
            store,
            random,
            batch=self.settings.claim_batch,
            log_lines=self.settings.log_lines,
            on_settled=self._on_settled,
            makes_way=lambda: self._claims.under_way or self.more_comes(),
        )
        self._draining = False
        #: Claim nothing: the fleet is held.
        self.held = False
        self._started_at: datetime | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._idle, self._busy = asyncio.Event(), asyncio.Event()
        self._idle.set()
        #: Whether work is being decided in this process that is still to be claimed. Said by who decides it.
        self.more_comes: Callable[[], bool] = lambda: False
        #: Whether so much is due in this process that deciding it goes before starting it.
        self.makes_way: Callable[[], bool] = lambda: False
        #: Called in the loop as an attempt starts, and as its handler ends: before that is recorded.
        self.on_attempt: Callable[[Attempt], None] | None = None
        self.on_end: Callable[[Attempt, Outcome], None] | None = None
        #: Called in the loop before an attempt starts where none was under way; it is by then.
        self.on_busy: Callable[[], None] = lambda: None
        self._claims = Claims(self, store, registry, wakeups, self._transport, gap)
        flush = self.settings.flush.total_seconds()
        self._flushes = Loop("flush", self._flush, wakeups=wakeups, topics=(), poll=flush, gap=gap)

    # -- life ----------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Announce the worker and its handlers, and begin to claim."""
        loop = asyncio.get_running_loop()
        self._threads, self._children = self._make_threads(loop), self._make_children()
        self._alarms = Alarms(loop)
        await self._store.write(self._announce)
        self._tasks.append(loop.create_task(self._settler.run(), name="mainspring:settle"))
        await self._claims.start()
        self._flushes.start()

    async def stop(self, grace: timedelta | None = None) -> None:
        """Drain: claim nothing more, finish what runs within the grace, release the rest without using an attempt."""
        self._draining = True
        await self._claims.stop()
        seconds = (self.settings.drain_grace if grace is None else grace).total_seconds()
        await self._wait_idle(seconds)
        for attempt in list(self._attempts.values()):
            attempt.stop(Stop.RELEASE)
        await self._wait_idle(self.settings.stop_grace.total_seconds() + 1)
        await self._flushes.stop()
        await self._wait_settled()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._children.close()
        self._threads.close()
        for attempt in self._stuck:
            attempt.disown()
        await self._say_stopped()

    def release(self) -> None:
        """Do not wait for what runs any longer: tell it to stop, so that `stop` releases it; claim nothing more."""
        self._draining = True
        for attempt in list(self._attempts.values()):
            attempt.stop(Stop.RELEASE)

    @property
    def running(self) -> list[Attempt]:
        """The attempts under way, oldest first."""
        return list(self._attempts.values())

    @property
    def busy(self) -> bool:
        """Whether a handler may run here: of an attempt under way, or one that would not stop. Asked in any thread."""
        return bool(self._attempts or self._stuck)

    @property
    def behind(self) -> bool:
        """Whether more attempts have ended than are being recorded."""
        return self._settler.waiting > 0

    @property
    def poisoned(self) -> int:
        """Slots held by handlers that would not stop after their attempt had ended."""
        self._stuck = {attempt for attempt in self._stuck if attempt.stuck}
        return len(self._stuck)

    @property
    def children(self) -> Children:
        """The child processes of this worker, once it has started."""
        return self._children

    @property
    def must_recycle(self) -> bool:
        """Whether so many slots are poisoned that the process should be replaced."""
        return self.poisoned >= self.settings.max_poisoned

    # -- attempts ------------------------------------------------------------------------------------------------

    @property
    def room(self) -> dict[str, int]:
        """How many slots each queue has free; queues without any are left out. None once too many are poisoned."""
        if self.must_recycle:
            return {}
        # A slot is free once the handler has ended; its outcome may still wait to be recorded.
        busy = [attempt for attempt in self._attempts.values() if attempt.outcome is None]
        return free_slots(self.settings.queues, [attempt.execution for attempt in [*busy, *self._stuck]])

    @property
    def claims_at_once(self) -> int:
        """Most it claims at once: few while much that is due is still to be decided in its process."""
        most = self.settings.claim_batch
        return min(FEW, most) if self.makes_way() else most

    @property
    def may_claim(self) -> bool:
        """Whether it takes more work: not while held or draining, nor while much that has ended is unrecorded."""
        unsettled = self._settler.waiting > self.settings.claim_batch
        return not (self.held or self._draining or unsettled)

    def runs(self, execution_id: str, fence: int) -> bool:
        """Tell whether this attempt of an execution is under way here."""
        return (execution_id, fence) in self._attempts

    async def take(self, work: Callable[[Tx], list[Execution]]) -> list[Execution]:
        """Run a claim for this worker and start what it returns; once it drains it claims nothing."""
        return await self._claims.take(work)

    def begin(self, execution: Execution) -> Attempt | None:
        """Start the attempt of an execution this worker has claimed."""
        self.stats.claimed += 1
        try:
            handler = self._registry.resolve_handler(execution.handler, execution.platform_id)
        except NotFoundError:
            # The handler is another platform's: nobody here may run it. The lease runs out and says so.
            logger.error(
                "claimed %s, whose handler %s is not this platform's",
                execution.id,
                execution.handler,
                extra=about("handler.foreign", execution=execution.id, handler=execution.handler),
            )
            return None
        attempt = Attempt(
            execution,
            handler,
            threads=self._threads,
            children=self._children,
            grace=self.settings.stop_grace.total_seconds(),
            on_end=self._on_end,
            alarms=self._alarms,
        )
        if self._tracing is not None:
            attempt.trace = self._tracing.process(execution)
        self._attempts[execution.id, execution.fence] = attempt
        if len(self._attempts) == 1:
            self.on_busy()
        self._idle.clear()
        attempt.start()
        self._busy.set()
        if self.on_attempt is not None:
            self.on_attempt(attempt)
        return attempt

    # -- settle --------------------------------------------------------------------------------------------------

    def _on_end(self, attempt: Attempt, outcome: Outcome) -> None:
        if attempt.stuck:
            self._stuck.add(attempt)
            logger.warning(
                "%s of %s would not stop; its slot is poisoned",
                attempt.execution.id,
                attempt.handler.name,
                extra=about("slot.poisoned", execution=attempt.execution.id, handler=attempt.handler.name),
            )
        if isinstance(outcome, _FAILED):
            tell_failed(attempt.execution, outcome)
        if attempt.trace is not None:
            attempt.trace.end(outcome)
        if self.on_end is not None:
            self.on_end(attempt, outcome)
        self._settler.put(attempt, outcome)

    def _on_settled(self, batch: Sequence[tuple[Attempt, Outcome]], accepted: set[str]) -> None:
        self.stats.settled += len(accepted)
        for attempt, _ in batch:
            self._attempts.pop((attempt.execution.id, attempt.execution.fence), None)
            if attempt.execution.id not in accepted:
                self.stats.superseded += 1
                lost = attempt.execution.id
                logger.warning(
                    "result of %s dropped: its lease was lost", lost, extra=about("lease.lost", execution=lost)
                )
        if not self._attempts:
            self._idle.set()
            self._busy.clear()
        self._claims.slot_freed()

    async def _flush(self) -> None:
        await self._settler.flush([one for one in self._attempts.values() if one.outcome is None])
        await self._busy.wait()  # while nothing runs, nothing is said: a worker at rest is not woken for it

    # -- leases --------------------------------------------------------------------------------------------------

    def beat(self) -> Callable[[Tx], list[Held]]:
        """Return the work of one heartbeat: renew every lease and this worker's row. Runs in any thread.

        What ran here before the beat and is on lease no more is returned as lost.
        """
        node = self.node
        running = list(self._attempts)

        def work(tx: Tx) -> list[Held]:
            tx.nodes.put_worker(node(tx))
            held = renew(tx, self.id, self.settings.lease)
            kept = {(one.execution_id, one.fence) for one in held}
            return held + [Held(*key, False, lost=True) for key in running if key not in kept]

        return work

    def on_beat(self, held: list[Held]) -> None:
        """Act on a heartbeat's answer, in the loop: stop what is to be cancelled, and what this worker lost."""
        unknown = set()
        for one in held:
            attempt = self._attempts.get((one.execution_id, one.fence))
            if attempt is None:
                if not one.lost:
                    unknown.add((one.execution_id, one.fence))
            elif one.lost:
                attempt.stop(Stop.RELEASE)
            elif one.cancel_requested:
                attempt.stop(Stop.CANCEL)
        self._claims.mislaid(unknown)

    def node(self, tx: Tx) -> WorkerNode:
        """Return this worker's row."""
        self._started_at = self._started_at or tx.now
        return WorkerNode(
            self.id,
            socket.gethostname(),
            os.getpid(),
            self._started_at,
            tx.now,
            self._version,
            dict(self.settings.queues),
            tuple(handler.name for handler in self._registry.list_handlers()),
            status="draining" if self._draining else "running",
            running=len(self._attempts),
            poisoned=len(self._stuck),
            stats={**asdict(self.stats), "transport": dict(self._transport.counters())},
        )

    def _announce(self, tx: Tx) -> None:
        tx.nodes.put_worker(self.node(tx))
        announce_handlers(tx, self._registry)

    async def _wait_idle(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._idle.wait(), max(seconds, 0.001))
        except TimeoutError:
            return

    async def _wait_settled(self) -> None:
        """Give what has ended a last chance to be recorded; what is not will be repeated, by its lease."""
        if self._attempts and any(attempt.outcome is not None for attempt in self._attempts.values()):
            await self._wait_idle(2.0)

    async def _say_stopped(self) -> None:
        def work(tx: Tx, held: Sequence[Held]) -> None:
            give_back(tx, self.id, [(one.execution_id, one.fence) for one in held])
            tx.nodes.put_worker(replace(self.node(tx), status="stopped", running=0))

        try:
            # Whatever is still on lease to this worker nobody runs any more: unsettled, or its claim's answer was lost.
            # Asked in a transaction of its own: renewing locks what is free, and giving back waits for what is not.
            held = await self._store.write(lambda tx: renew(tx, self.id, self.settings.lease))
            await self._store.write(lambda tx: work(tx, held))
        except StoreUnavailableError as error:
            logger.warning("could not say goodbye: %s", error)
