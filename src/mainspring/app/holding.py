"""Keeps a node's roles still while the fleet is held, and lets them go on when it is released."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

from mainspring.engine.service import Loop
from mainspring.model.log_events import about
from mainspring.moves.hold import Hold, held, recognise
from mainspring.ports.clock import Wakeups
from mainspring.ports.store import Store, Tx

logger = logging.getLogger("mainspring")


def _asked(tx: Tx) -> Hold | None:
    tx.end_with_next()
    return held(tx)


class Holdable(Protocol):
    """A role that begins nothing new while it is held."""

    held: bool


class Holding:
    """Looks for a hold, woken by a change of it, else every ``poll`` seconds."""

    def __init__(self, store: Store, wakeups: Wakeups, roles: Callable[[], list[Holdable]], *, poll: float) -> None:
        self._store, self._wakeups, self._roles = store, wakeups, roles
        self._hold: Hold | None = None
        self._loop = Loop("hold", self._look, wakeups=wakeups, topics=("hold",), poll=poll)

    @property
    def held(self) -> bool:
        """Whether the fleet was held at the last look."""
        return self._hold is not None

    async def start(self) -> None:
        """See which database this is and whether it is held, before any role starts; then keep looking."""
        ask = getattr(self._store, "identity", None)
        identity = None if ask is None else await ask()
        self._tell(await self._store.write(lambda tx: recognise(tx, identity)))
        self._loop.start()

    async def stop(self) -> None:
        """Look no more."""
        await self._loop.stop()

    async def _look(self) -> None:
        found = await self._store.read(_asked)
        changed = (found is None) != (self._hold is None)
        self._tell(found)
        if changed and found is None:
            # The notifications of the release may have come before this look.
            self._wakeups.notify("jobs", "pending", "queued")

    def _tell(self, found: Hold | None) -> None:
        if found is not None and found != self._hold:
            told = "the fleet is held: %s. Nothing new begins until `mainspring release`"
            logger.warning(told, found.reason, extra=about("fleet.held", reason=found.reason))
        elif found is None and self._hold is not None:
            logger.warning("the fleet is released", extra=about("fleet.released"))
        self._hold = found
        for role in self._roles():
            role.held = found is not None
