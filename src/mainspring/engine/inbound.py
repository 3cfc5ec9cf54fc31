"""Events in: taken from a source, accepted in the record, acknowledged after the commit. Any number may do so."""

from __future__ import annotations

import logging

from mainspring.errors import LimitExceededError, ValidationError
from mainspring.model.log_events import about
from mainspring.moves.events import accept
from mainspring.moves.schedules import Schedules
from mainspring.ports.inbound import Inbound, Incoming
from mainspring.ports.store import Store

logger = logging.getLogger("mainspring")


class InboundReader:
    """One step takes a batch and accepts each of its events; what was taken is held until that has worked."""

    def __init__(
        self, store: Store, inbound: Inbound, schedules: Schedules, *, platform_id: str, batch: int = 100
    ) -> None:
        self._store, self._inbound, self._schedules = store, inbound, schedules
        self._platform_id, self._batch = platform_id, batch
        self._held: list[Incoming] = []
        self._accepted: list[str] = []

    async def step(self) -> float | None:
        """Accept one batch; return 0, because taking itself waits for the next."""
        if not self._held and not self._accepted:
            self._held = await self._inbound.take(self._batch)
        while self._held:
            await self._accept(self._held[0])
            self._held.pop(0)
        await self._inbound.done(self._accepted)
        self._accepted = []
        return 0.0

    async def _accept(self, incoming: Incoming) -> None:
        """Accept one. A transaction each: one that is refused must not take others with it."""
        reason = incoming.problem
        if reason is None:
            try:
                await self._store.write(
                    lambda tx: accept(tx, self._platform_id, incoming.content, schedules=self._schedules)
                )
            except (ValidationError, LimitExceededError) as error:
                reason = str(error)
        if reason is None:
            self._accepted.append(incoming.place)
            return
        await self._inbound.refuse(incoming, reason)
        told = "an event that came in as %s is refused: %s"
        logger.warning(told, incoming.place, reason, extra=about("event.refused", place=incoming.place))

    async def close(self) -> None:
        """Let go of the source; what was taken and not accepted is taken by others."""
        await self._inbound.close()
