"""Claim, execute, settle, drain: the part that runs attempts."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta

from mainspring.engine.alarms import Alarms
from mainspring.engine.announcing import announce_handlers, tell_failed
from mainspring.engine.children import Children
from mainspring.engine.executor import Attempt, Stop
from mainspring.engine.heartbeat import Held, renew
from mainspring.engine.registry import JobHandlerRegistry
from mainspring.engine.service import Loop
from mainspring.engine.settler import Settler
from mainspring.engine.slots import Forestalled, free_slots, is_short
from mainspring.engine.threads import Threads
from mainspring.engine.worker_settings import WorkerSettings, WorkerStats
from mainspring.errors import NotFoundError, StoreUnavailableError
from mainspring.model.execution import Execution
from mainspring.model.log_events import about
from mainspring.model.node import WorkerNode
from mainspring.model.outcome import Failed, Lost, Outcome, TimedOut
from mainspring.moves.claim import claim, left_topic
from mainspring.moves.end import give_back
from mainspring.ports.clock import Wakeups
from mainspring.ports.store import Accompanied, Companion, Store, Tx
from mainspring.ports.tracing import Tracing
from mainspring.ports.transport import AnythingQueued, DatabaseTransport, Deliveries, Transport

logger = logging.getLogger("mainspring")

_FAILED = (Failed, TimedOut, Lost)


@dataclass(frozen=True, slots=True)
class _Along:
    """A claim that waits to go along with other work, and what there was room for."""

    claim: Companion[list[Execution]]
    room: Mapping[str, int]
    limit: int


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
    ) -> None:
        self.id, self.settings, self.stats = worker_id, settings or WorkerSettings(), WorkerStats()
        self._store, self._registry, self._wakeups, self._random = store, registry, wakeups, random
        self._version, self._tracing = version, tracing
        self._transport = transport or DatabaseTransport()
        self._deliveries: Deliveries = AnythingQueued()
        self._make_threads, self._make_children = threads, children
        # By execution and fence: one that was lost may be claimed here again while its old attempt still runs.
        self._attempts: dict[tuple[str, int], Attempt] = {}
        self._claiming = 0
        self._unknown: set[tuple[str, int]] = set()
        self._stuck: set[Attempt] = set()
        self._settler = Settler(
            store,
            random,
            batch=self.settings.claim_batch,
            log_lines=self.settings.log_lines,
            on_settled=self._on_settled,
        )
        self._draining = False
        # Whether more may wait than the last claim had room for: then a slot that becomes free is a reason to look.
        self._hungry = True
        #: Claim nothing: the fleet is held.
        self.held = False
        self._started_at: datetime | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._idle = asyncio.Event()
        self._idle.set()
        #: Called in the loop as an attempt starts, and as its handler ends: before that is recorded.
        self.on_attempt: Callable[[Attempt], None] | None = None
        self.on_end: Callable[[Attempt, Outcome], None] | None = None
        self._claims: Loop | None = None
        self._along: _Along | None = None
        self._forestalled = Forestalled()
        self._accompanied = store if isinstance(store, Accompanied) else None
        self._flushes = Loop("flush", self._flush, wakeups=wakeups, topics=(), poll=self.settings.flush.total_seconds())

    # -- life ----------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Announce the worker and its handlers, and begin to claim."""
        loop = asyncio.get_running_loop()
        self._threads, self._children = self._make_threads(loop), self._make_children()
        self._alarms = Alarms(loop)
        await self._store.write(self._announce)
        self._tasks.append(loop.create_task(self._settler.run(), name="mainspring:settle"))
        poll = self.settings.poll.total_seconds()
        self._deliveries = await self._transport.deliveries(self.id, self.settings.queues, poll=poll)
        topics = ("queued", self._deliveries.topic, self._freed)
        self._claims = Loop("claim", self._claim, wakeups=self._wakeups, topics=topics, poll=poll)
        self._claims.start()
        self._flushes.start()
        self._tasks.append(loop.create_task(self._look_for_left(), name="mainspring:left"))

    async def stop(self, grace: timedelta | None = None) -> None:
        """Drain: claim nothing more, finish what runs within the grace, release the rest without using an attempt."""
        self._draining = True
        if self._claims is not None:
            await self._claims.stop()
        along, self._along = self._along, None
        if along is not None and not along.claim.withdraw():
            await asyncio.gather(along.claim.result(), return_exceptions=True)  # given back in the end
        await self._deliveries.close()
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

    # -- claim ---------------------------------------------------------------------------------------------------

    @property
    def _freed(self) -> str:
        return f"freed:{self.id}"

    def _room(self) -> dict[str, int]:
        # A slot is free once the handler has ended; its outcome may still wait to be recorded.
        busy = [attempt for attempt in self._attempts.values() if attempt.outcome is None]
        return free_slots(self.settings.queues, [attempt.execution for attempt in [*busy, *self._stuck]])

    async def _claim(self) -> float | None:
        if await self._claimed_along():
            return None
        self._hungry = True  # also while this lasts: a slot that becomes free meanwhile was not counted
        await self._release_unknown()
        room = self._room()
        if not room or not self._may_claim or not self._handlers() or self.poisoned >= self.settings.max_poisoned:
            return None
        limit = min(sum(room.values()), self.settings.claim_batch)
        offer = self._deliveries.offer(room, limit)
        if offer is None:
            self._hungry = len(room) < len(self.settings.queues)
            self._stand_by()
            return None
        left = None if offer.ids is None else self._forestalled.left_of(offer.ids)
        try:
            claimed = [] if left == () else await self.take(self._claim_work(room, limit, left))
        except BaseException:
            self._deliveries.failed(offer)
            raise
        self._hungry = is_short(room, claimed, limit, self.settings.queues)
        more = self._deliveries.tried(offer, len(claimed), limit)
        if not self._hungry and not more and offer.ids is None:
            self._stand_by()
        return 0.0 if more else None

    def _claim_work(
        self, room: Mapping[str, int], limit: int, offered: Sequence[str] | None = None
    ) -> Callable[[Tx], list[Execution]]:
        def work(tx: Tx) -> list[Execution]:
            return claim(
                tx,
                self.id,
                queues=room,
                handlers=self._handlers(),
                limit=limit,
                lease=self.settings.lease,
                offered=offered,
                started_events=self.settings.started_events,
                alone=True,
            )

        return work

    def _handlers(self) -> list[str]:
        return sorted(handler.name for handler in self._registry.list_handlers())

    @property
    def _may_claim(self) -> bool:
        unsettled = self._settler.waiting > self.settings.claim_batch
        return not (self.held or self._draining or unsettled)

    def _stand_by(self) -> None:
        """Leave the next claim to the store, for when something is queued: where it can, and nothing is left now."""
        room = self._room()
        if self._accompanied is None or not room:
            return
        limit = min(sum(room.values()), self.settings.claim_batch)
        work = self._claim_work(room, limit)
        self._along = _Along(
            self._accompanied.accompany("queued", lambda tx: work(tx) if self._may_claim else []), room, limit
        )

    async def _claimed_along(self) -> bool:
        """Start what was claimed along with other work; True where that left no reason to look for more."""
        along, self._along = self._along, None
        if along is None or along.claim.withdraw():
            return False
        claimed = await self._begun(along.claim.result())
        if self._transport.may_lose:
            self._forestalled.add(execution.id for execution in claimed)
        self._hungry = is_short(along.room, claimed, along.limit, self.settings.queues)
        if not self._hungry:
            await asyncio.sleep(0)  # what was claimed begins first
            self._stand_by()
        return not self._hungry

    async def _look_for_left(self) -> None:
        """Look into the database when another worker was offered what only workers like this one can run."""
        handlers = (handler.name for handler in self._registry.list_handlers())
        listener = self._wakeups.listen(*(left_topic(name) for name in handlers))
        try:
            while True:
                await listener.wait(None)
                self._deliveries.look()
                self._wakeups.notify(self._freed)
        finally:
            listener.close()

    async def take(self, work: Callable[[Tx], list[Execution]]) -> list[Execution]:
        """Run a claim for this worker and start what it returns."""
        return await self._begun(self._store.write(work))

    async def _begun(self, claim: Awaitable[list[Execution]]) -> list[Execution]:
        self._claiming += 1
        try:
            claimed = await claim
        finally:
            self._claiming -= 1
        for execution in claimed:
            self.begin(execution)
        self.stats.claimed += len(claimed)
        return claimed

    async def _release_unknown(self) -> None:
        """Give back what this worker holds and does not run: the answer to its claim was lost on the way.

        Left alone its lease would be renewed for ever, and nobody would run it before its deadline.
        """
        if self._claiming or not self._unknown:
            return
        unknown = self._unknown - set(self._attempts)
        await self._store.write(lambda tx: give_back(tx, self.id, unknown))
        self._unknown = set()

    def begin(self, execution: Execution) -> Attempt | None:
        """Start the attempt of an execution this worker has claimed."""
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
        self._idle.clear()
        attempt.start()
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
        if self._hungry:
            self._wakeups.notify(self._freed)

    async def _flush(self) -> None:
        await self._settler.flush([one for one in self._attempts.values() if one.outcome is None])

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
        self._unknown = unknown
        if unknown:
            self._wakeups.notify(self._freed)

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
