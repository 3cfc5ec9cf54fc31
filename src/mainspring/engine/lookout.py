"""One look, for all loops of a dispatcher, at whether anything comes that none of them is awake for.

Loops sleep until what they know of, and are told of what is new. A notification may be lost and clocks drift apart, so
somebody has to look: once for all of them, in one short transaction, instead of each for itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from mainspring.engine.service import Loop
from mainspring.ports.store import Store, Tx

#: Seconds by which a loop may sleep past what comes: less than that is not worth waking it.
EARLY = 0.002
#: Looks after which a loop looks for itself, whatever was seen.
LOOKS = 10


@dataclass(frozen=True, slots=True)
class Seen:
    """What comes next for each loop, by the store's clock; None for nothing."""

    now: datetime
    plan: datetime | None
    promote: datetime | None
    relay: datetime | None
    deliver: datetime | None

    def rest(self, name: str) -> timedelta | None:
        """Return how long until a loop has something to do; None for nothing."""
        at: datetime | None = getattr(self, name)
        return None if at is None else at - self.now


def look(tx: Tx) -> Seen:
    """Ask what comes next, in one question."""
    tx.end_with_next()
    found = tx.outlook()
    return Seen(
        tx.now,
        plan=found.due_at,
        # What a limit holds may be free by now: only promoting tells.
        promote=tx.now if found.blocked else found.available_at,
        relay=tx.now if found.unpublished else None,
        deliver=found.delivery_at,
    )


class Lookout:
    """Wakes those of some loops, by their names, that would sleep past what comes for them."""

    def __init__(self, store: Store, loops: Mapping[str, Loop]) -> None:
        self._store, self._loops = store, loops

    async def step(self) -> Seen:
        """Look once; return what was seen."""
        asked = asyncio.get_running_loop().time()
        seen = await self._store.read(look)
        for name, loop in self._loops.items():
            rest = seen.rest(name)
            if rest is not None and asked + rest.total_seconds() < loop.wakes_at - EARLY:
                loop.wake()
        return seen
