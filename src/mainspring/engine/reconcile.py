"""Announce again what has been queued for a while and nobody has claimed: the transport may have lost it.

Leaderless and without a memory: what is announced twice is claimed once. Whether a stream may have lost something at
all the transport judges by what it still holds, so that a long line of work is not announced over and over.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from mainspring.model.dispatch import Dispatch
from mainspring.model.log_events import about
from mainspring.ports.store import Store, Tx
from mainspring.ports.transport import Transport

logger = logging.getLogger("mainspring")

#: Most queues looked at; most executions announced again of one queue, and in all, in a step.
QUEUES, PER_QUEUE, MOST = 1000, 500, 5000


def _some_wait(tx: Tx) -> bool:
    tx.end_with_next()
    return bool(tx.executions.queues_waiting(1))


class Reconciler:
    """One step compares the heads of queues with the transport."""

    def __init__(self, store: Store, transport: Transport, *, after: timedelta) -> None:
        self._store, self._transport, self._after = store, transport, after
        self._reached = ""

    async def step(self) -> float | None:
        """Announce again; those first that are claimed first."""
        waiting = await self._store.read(self._waiting) if await self._store.read(_some_wait) else []
        self._reached = waiting[-1].queue if len(waiting) >= MOST else ""
        announced = await self._transport.announce_again(waiting) if waiting else 0
        if announced:
            told = "announced %d executions again that were queued for %s"
            logger.info(told, announced, self._after, extra=about("executions.announced_again", count=announced))
        return None

    def _waiting(self, tx: Tx) -> list[Dispatch]:
        before, found = tx.now - self._after, list[Dispatch]()
        # Where the last step had enough, this one goes on.
        for queue in sorted(tx.executions.queues_waiting(QUEUES), key=lambda queue: (queue <= self._reached, queue)):
            found += tx.executions.unclaimed(queue, before, PER_QUEUE)
            if len(found) >= MOST:
                break
        return found
