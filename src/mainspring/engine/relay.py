"""Outbox -> bus: publish what was committed, then mark it. Nothing rolled back is announced, and nothing is lost."""

from __future__ import annotations

import logging

from mainspring.moves.relay import mark_published, take_unpublished
from mainspring.moves.schedules import Schedules
from mainspring.ports.bus import Bus
from mainspring.ports.store import Store

logger = logging.getLogger("mainspring")


class Relay:
    """One step publishes one batch. A crash between publishing and marking publishes it again: at least once."""

    def __init__(self, store: Store, bus: Bus, schedules: Schedules, *, batch: int = 500) -> None:
        self._store, self._bus, self._schedules, self._batch = store, bus, schedules, batch

    async def step(self) -> float | None:
        """Publish one batch; return 0 when there may be more."""
        events = await self._store.write(lambda tx: take_unpublished(tx, self._batch))
        if not events:
            return None
        await self._bus.publish(events)
        problems = await self._store.write(lambda tx: mark_published(tx, self._schedules, events))
        for problem in problems:
            logger.warning("%s", problem)
        return 0.0 if len(events) == self._batch else None
