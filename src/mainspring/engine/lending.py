"""Slots that a worker lends while it is at rest: whoever queues work claims for it, and it hears with that commit.

A slot that is lent counts as taken. It is filled once, and lent again under the next number once it is free.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from itertools import count

from mainspring.errors import MainspringError
from mainspring.model.execution import Execution
from mainspring.moves.end import give_back
from mainspring.ports.store import Handed, Lender, Lending, Store, Vacancy

logger = logging.getLogger("mainspring")

#: How long a vacancy stands unless it is renewed, and seconds after which it is: a worker that froze is handed no more.
TERM, RENEW = timedelta(seconds=6), 2.5
#: Free slots of a queue from which one is lent: the others are for what is claimed.
ENOUGH = 2


class LentSlots:
    """What one worker lends. ``begin`` begins what it was handed; False where the worker takes nothing now."""

    def __init__(
        self,
        worker_id: str,
        store: Store,
        *,
        lease: timedelta,
        begin: Callable[[Execution], bool],
    ) -> None:
        self._worker_id, self._store, self._lease, self._begin = worker_id, store, lease, begin
        self._lending = store if isinstance(store, Lending) else None
        self._address: str | None = None
        # By queue the number under which a slot of it is lent; those that were found filled and are not heard of yet.
        self._lent: dict[str, int] = {}
        self._unheard: dict[str, int] = {}
        self._numbers = count(1)
        self._renew_at = 0.0
        # What is said to the store, one thing after the other.
        self._saying: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to hear, where the store can claim for others."""
        if self._lending is not None:
            self._address = self._lending.hear(self._worker_id, self._handed)

    def less(self, room: Mapping[str, int]) -> dict[str, int]:
        """Return how many of the free slots are not lent, by queue; queues without any are left out."""
        return {queue: left for queue, free in room.items() if (left := free - (queue in self._lent)) > 0}

    @property
    def lent(self) -> bool:
        """Whether any slot is lent."""
        return bool(self._lent)

    def lend(self, room: Mapping[str, int], handlers: Sequence[str]) -> None:
        """Lend a slot of each queue that has enough; to be called by a worker at rest, at least every few seconds."""
        if self._address is None or (self._saying is not None and not self._saying.done()):
            return
        loop = asyncio.get_running_loop()
        new = [queue for queue, free in room.items() if free >= ENOUGH and queue not in self._lent]
        if not new and (not self._lent or loop.time() < self._renew_at):
            return
        self._lent |= {queue: next(self._numbers) for queue in new}
        self._renew_at = loop.time() + RENEW
        lent = [Vacancy(queue, number, room.get(queue, 0)) for queue, number in sorted(self._lent.items())]
        lender = Lender(self._worker_id, handlers, self._lease, self._address)
        self._saying = loop.create_task(self._put(lender, lent), name="mainspring:lend")

    async def _put(self, lender: Lender, lent: Sequence[Vacancy]) -> None:
        assert self._lending is not None, "who has an address has where to lend"
        try:
            filled = await self._lending.lend(lender, lent, TERM)
        except MainspringError as error:
            logger.debug("could not lend slots, trying again: %s", error)
            return
        unheard = {one.queue: one.number for one in lent if one.queue in filled}
        lost = unheard.items() & self._unheard.items() & self._lent.items()
        self._unheard = unheard
        if lost:  # seen filled twice, and no word of it in between
            await self._take_back()

    async def take_back(self) -> None:
        """Lend nothing more. What was claimed for this worker and has not begun by now is queued again.

        Whoever is cancelled in it leaves it to go on, and the next one waits for it.
        """
        if self._saying is not None:
            await asyncio.wait([self._saying])
        if self._lent:
            self._saying = asyncio.create_task(self._take_back(), name="mainspring:take-back")
            await asyncio.shield(self._saying)

    async def _take_back(self) -> None:
        assert self._lending is not None, "who has lent has where to lend"
        # From here on nothing that was handed under these numbers begins.
        lent, self._lent = self._lent, {}
        try:
            filled = await self._lending.take_back(self._worker_id)
            lost = [(one.execution_id, one.fence) for one in filled if lent.get(one.queue) == one.number]
            if lost:
                await self._store.write(lambda tx: give_back(tx, self._worker_id, lost))
        except MainspringError as error:
            logger.debug("could not take slots back; they are lent for some seconds more: %s", error)

    def _handed(self, handed: Handed) -> None:
        queue = handed.execution.queue
        # What is refused is left under its number, and queued again as the slot is taken back.
        if self._lent.get(queue) == handed.number and self._begin(handed.execution):
            del self._lent[queue]
