"""Claim for one worker: what it has room for, when something may be queued, and ahead of that where the store can."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from mainspring.engine.heartbeat import renew
from mainspring.engine.lending import LentSlots
from mainspring.engine.registry import JobHandlerRegistry
from mainspring.engine.service import Loop
from mainspring.engine.slots import Forestalled, is_short
from mainspring.engine.worker_settings import WorkerSettings
from mainspring.model.execution import Execution
from mainspring.moves.claim import claim, left_topic
from mainspring.moves.end import give_back
from mainspring.ports.clock import Wakeups
from mainspring.ports.store import Accompanied, Companion, Store, Tx
from mainspring.ports.tasks import end
from mainspring.ports.transport import AnythingQueued, Deliveries, Transport

T = TypeVar("T")


class Claimant(Protocol):
    """The worker that is claimed for."""

    @property
    def id(self) -> str:
        """Who claims."""

    @property
    def settings(self) -> WorkerSettings:
        """Its queues, batches and leases."""

    @property
    def room(self) -> dict[str, int]:
        """How many slots each queue has free; queues without any are left out."""

    @property
    def claims_at_once(self) -> int:
        """Most executions it claims at once."""

    @property
    def may_claim(self) -> bool:
        """Whether it takes more work at all. Asked in any thread."""

    def runs(self, execution_id: str, fence: int) -> bool:
        """Tell whether this attempt of an execution is under way there."""

    def begin(self, execution: Execution) -> object:
        """Start what was claimed."""


@dataclass(frozen=True, slots=True)
class _Along:
    """A claim that waits to go along with other work, and what there was room for. None where it was not to be made."""

    claim: Companion[list[Execution] | None]
    room: Mapping[str, int]
    limit: int


class Claims:
    """The claims of one worker: asked of the store as its transport offers something, or left with the store."""

    def __init__(
        self,
        worker: Claimant,
        store: Store,
        registry: JobHandlerRegistry,
        wakeups: Wakeups,
        transport: Transport,
        gap: Callable[[float], float],
    ) -> None:
        self._worker, self._store, self._registry, self._wakeups = worker, store, registry, wakeups
        self._transport, self._gap = transport, gap
        self._deliveries: Deliveries = AnythingQueued()
        self._freed = f"freed:{worker.id}"
        self._claiming = 0
        # Whether more may wait than the last claim had room for: then a slot that becomes free is a reason to look.
        self._hungry = True
        self._mislaid: set[tuple[str, int]] = set()
        self._along: _Along | None = None
        self._stopped = False
        self._forestalled = Forestalled()
        self._lent = LentSlots(worker.id, store, lease=worker.settings.lease, begin=self._handed)
        # Whether what is lent is to be taken back: more may wait than the last claim had room for, or what was handed
        # may not begin.
        self._recalls = False
        self._accompanied = store if isinstance(store, Accompanied) else None
        self._loop: Loop | None = None
        self._left: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to claim."""
        settings, poll = self._worker.settings, self._worker.settings.poll.total_seconds()
        self._deliveries = await self._transport.deliveries(self._worker.id, settings.queues, poll=poll)
        topics = ("queued", self._deliveries.topic, self._freed)
        self._loop = Loop("claim", self._step, wakeups=self._wakeups, topics=topics, poll=poll, gap=self._gap)
        self._loop.start()
        if not settings.started_events:
            self._lent.start()
        self._left = asyncio.create_task(self._look_for_left(), name="mainspring:left")

    async def stop(self) -> None:
        """Claim nothing more. What was claimed and has not begun is given back with whatever the worker still holds."""
        self._stopped = True
        if self._loop is not None:
            await self._loop.stop()
        if self._left is not None:
            await end([self._left])
        along, self._along = self._along, None
        if along is not None and not along.claim.withdraw():
            await asyncio.gather(along.claim.result(), return_exceptions=True)
        await self._lent.take_back()
        await self._deliveries.close()

    @property
    def under_way(self) -> bool:
        """Whether something is being claimed, so that there may be more to start in a moment."""
        return self._claiming > 0

    def slot_freed(self) -> None:
        """A slot has become free: look again where something may wait for it."""
        if self._hungry:
            self._wakeups.notify(self._freed)

    def mislaid(self, keys: Iterable[tuple[str, int]]) -> None:
        """Give back, with the next look, what this worker holds and does not run: by execution id and fence.

        The answer to its claim was lost on the way. Left alone its lease would be renewed for ever, and nobody would
        run it before its deadline.
        """
        self._mislaid = set(keys)
        if self._mislaid:
            self._wakeups.notify(self._freed)

    async def take(self, work: Callable[[Tx], list[Execution]]) -> list[Execution]:
        """Run a claim for this worker and start what it returns; once stopped it claims nothing."""
        if self._stopped:
            return []
        claimed = await self._counted(self._store.write(work))
        self._begin(claimed)
        return claimed

    async def _step(self) -> float | None:
        if await self._went_along():
            return None
        if self._recalls:
            self._recalls = False
            await self._lent.take_back()
        self._hungry = True  # also while this lasts: a slot that becomes free meanwhile was not counted
        await self._give_back_mislaid()
        room = self._lent.less(self._worker.room)
        if not room or not self._worker.may_claim or not self._handlers():
            if self._lent.lent:
                await self._lent.take_back()
                return 0.0
            return None
        limit = self._limit(room)
        offer = self._deliveries.offer(room, limit)
        if offer is None:
            self._hungry = len(room) < len(self._worker.settings.queues)
            self._stand_by()
            return None
        left = None if offer.ids is None else self._forestalled.left_of(offer.ids)
        try:
            claimed = [] if left == () else await self.take(self._work(room, limit, left))
        except BaseException:
            self._deliveries.failed(offer)
            raise
        self._hungry = is_short(room, claimed, limit, self._worker.settings.queues)
        self._recalls = self._hungry and self._lent.lent
        more = self._deliveries.tried(offer, len(claimed), limit) or self._recalls
        if not self._hungry and not more and offer.ids is None:
            self._stand_by()
        return 0.0 if more else None

    def _stand_by(self) -> None:
        """Leave the next claim to the store, for when something is queued: where it can, and nothing is left now.

        And lend a slot to whoever queues it.
        """
        if self._worker.may_claim:
            self._lent.lend(self._worker.room, self._handlers())
        room = self._lent.less(self._worker.room)
        if self._accompanied is None or not room:
            return
        limit = self._limit(room)
        work = self._work(room, limit)
        companion = self._accompanied.accompany(
            "queued", lambda tx: work(tx) if self._worker.may_claim else None, self._begin
        )
        self._along = _Along(companion, room, limit)

    def _begin(self, claimed: Sequence[Execution] | None) -> None:
        if not self._stopped:
            for execution in claimed or ():
                self._worker.begin(execution)

    def _handed(self, execution: Execution) -> bool:
        """Begin what was claimed for this worker, and then lend the next slot; False where it takes nothing now."""
        if self._stopped or not self._worker.may_claim:
            self._recalls = True  # it is given back with its slot: now, or by `stop`
            self._wakeups.notify(self._freed)
            return False
        self._worker.begin(execution)
        asyncio.get_running_loop().call_soon(self._stand_by_anew)
        return True

    def _stand_by_anew(self) -> None:
        if self._along is not None and self._along.claim.withdraw():
            self._along = None  # there may be no room for another one
            self._stand_by()

    async def _went_along(self) -> bool:
        """See what was claimed and begun along with other work; True where that left no reason to look for more."""
        along = self._along
        if along is None or along.claim.withdraw():
            self._along = None
            return False
        try:
            # Shielded: where this step is cancelled, `stop` waits for the claim.
            claimed = await self._counted(asyncio.shield(along.claim.result()))
        except Exception:
            self._along = None
            raise
        self._along = None
        if claimed is None:
            return False  # nobody has looked, and by now the worker may
        if self._transport.may_lose:
            self._forestalled.add(execution.id for execution in claimed)
        # What has woken the topic again has woken this loop as well, perhaps for both at once: that is looked for now.
        self._recalls = is_short(along.room, claimed, along.limit, self._worker.settings.queues)
        self._hungry = self._recalls or along.claim.woken_again
        if not self._hungry:
            self._stand_by()
        return not self._hungry

    async def _counted(self, claim: Awaitable[T]) -> T:
        self._claiming += 1
        try:
            return await claim
        finally:
            self._claiming -= 1

    async def _give_back_mislaid(self) -> None:
        if self._claiming or not self._mislaid:
            return
        asked = self._mislaid  # what a heartbeat finds meanwhile may be the answer to a claim that is under way by then
        if any(not self._worker.runs(*key) for key in asked):
            # Most of them have ended since, or had yet to begin: asked once for all what is still on lease here.
            worker_id, lease = self._worker.id, self._worker.settings.lease
            held = await self._store.write(lambda tx: renew(tx, worker_id, lease))
            still = asked & {(one.execution_id, one.fence) for one in held}
            if any(not self._worker.runs(*key) for key in still):
                await self._lent.take_back()  # from here on none of them begins
            mislaid = [key for key in still if not self._worker.runs(*key)]
            if mislaid:
                await self._store.write(lambda tx: give_back(tx, worker_id, mislaid))
        self._mislaid -= asked

    async def _look_for_left(self) -> None:
        """Look into the database when another worker was offered what only workers like this one can run."""
        listener = self._wakeups.listen(*(left_topic(name) for name in self._handlers()))
        try:
            while True:
                await listener.wait(None)
                self._deliveries.look()
                self._wakeups.notify(self._freed)
        finally:
            listener.close()

    def _limit(self, room: Mapping[str, int]) -> int:
        return min(sum(room.values()), self._worker.claims_at_once)

    def _handlers(self) -> list[str]:
        return sorted(handler.name for handler in self._registry.list_handlers())

    def _work(
        self, room: Mapping[str, int], limit: int, offered: Sequence[str] | None = None
    ) -> Callable[[Tx], list[Execution]]:
        settings = self._worker.settings

        def work(tx: Tx) -> list[Execution]:
            return claim(
                tx,
                self._worker.id,
                queues=room,
                handlers=self._handlers(),
                limit=limit,
                lease=settings.lease,
                offered=offered,
                started_events=settings.started_events,
                alone=True,
            )

        return work
