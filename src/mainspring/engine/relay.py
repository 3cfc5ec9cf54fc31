"""Outbox -> bus: publish what was committed, then mark it. Nothing rolled back is announced, and nothing is lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import datetime

from mainspring.errors import BusUnavailableError
from mainspring.model.events import Event
from mainspring.model.log_events import about
from mainspring.moves.relay import Batch, apply_unpublished, end_turn, mark_published, take_batch
from mainspring.moves.schedules import Schedules
from mainspring.ports.bus import Bus
from mainspring.ports.store import Store, Tx

logger = logging.getLogger("mainspring")

#: Seconds between two looks whether there is still something more urgent, and most that relaying makes way for it.
LOOK, PATIENCE = 0.05, 1.0


class Relay:
    """One step publishes one batch. A crash between publishing and marking publishes it again: at least once.

    Of several dispatchers one relays at a time, as long as it does; if it dies another takes over when its turn has run
    out. Should two overlap all the same, events come twice and still in order.

    While ``makes_way`` says that something more urgent waits in this process, such as what is due, events come later:
    by `PATIENCE` at most, after which all that wait are published first.
    """

    def __init__(self, store: Store, bus: Bus, schedules: Schedules, *, holder: str, batch: int = 500) -> None:
        self._store, self._bus, self._schedules = store, bus, schedules
        self._holder, self._batch = holder, batch
        self._turn_until: datetime | None = None
        #: Called with what was published from here.
        self.on_published: Callable[[Sequence[Event]], None] | None = None
        self.makes_way: Callable[[], bool] = lambda: False
        self._waits_since: float | None = None

    async def step(self) -> float | None:
        """Publish one batch; return 0 when there may be more."""
        if self._must_wait():
            return LOOK
        taken = await self._store.write(self._take)
        self._turn_until = taken.turn_until
        if not taken.events:
            self._waits_since = None
            return None
        try:
            await self._bus.publish(taken.events)
        except BusUnavailableError:
            await self._apply()
            raise
        if self.on_published is not None:
            self.on_published(taken.events)
        _log(await self._store.write(lambda tx: mark_published(tx, self._schedules, taken.events)))
        if taken.more:
            return 0.0
        self._waits_since = None
        return None

    def _must_wait(self) -> bool:
        if not self.makes_way():
            return False
        now = asyncio.get_running_loop().time()
        if self._waits_since is None:
            self._waits_since = now
        return now - self._waits_since < PATIENCE

    async def stop(self) -> None:
        """Let another dispatcher relay at once."""
        if self._turn_until is not None:
            self._turn_until = None
            await self._store.write(lambda tx: end_turn(tx, self._holder))

    async def _apply(self) -> None:
        """While the bus is away, do what follows from events all the same; they are published when it is back."""
        while True:
            count, problems = await self._store.write(lambda tx: apply_unpublished(tx, self._schedules, self._batch))
            _log(problems)
            if count < self._batch:
                return

    def _take(self, tx: Tx) -> Batch:
        return take_batch(tx, self._holder, self._turn_until, self._batch)


def _log(problems: Sequence[str]) -> None:
    for problem in problems:
        logger.warning("%s", problem, extra=about("chain.broken"))
