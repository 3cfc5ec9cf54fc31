"""Work out what will be due soon, in the pauses that planning leaves."""

from __future__ import annotations

import asyncio
from functools import partial

from mainspring.engine.gaps import Gaps
from mainspring.moves.ahead import Ahead, Position
from mainspring.moves.plan import Planned
from mainspring.moves.rehearse import look
from mainspring.ports.clock import Wakeups
from mainspring.ports.store import Store

#: Most jobs looked at in one transaction: a bound on how long others of the process wait for it.
CHUNK = 200
#: Seconds between two looks at all that is due soon.
PAUSE = 1.0
#: Longest that a look waits for a gap, in seconds. With something due all the time there is none.
PATIENCE = 0.5


class Foresight:
    """The step of a dispatcher that fills `Ahead`; told of planning, out of whose way it stays."""

    def __init__(self, store: Store, ahead: Ahead, wakeups: Wakeups, gaps: Gaps, *, who: str) -> None:
        self._store, self._ahead, self._wakeups, self._gaps = store, ahead, wakeups, gaps
        self.topic = f"planned:{who}"
        self._after: Position | None = None
        self._waits_since: float | None = None

    def begin(self) -> None:
        """Planning begins."""
        self._gaps.begun()

    def end(self, planned: Planned | None, wait: float | None) -> None:
        """Planning has ended, ``None`` for failed, and is to go on in ``wait`` seconds."""
        now, before = asyncio.get_running_loop().time(), self._from
        next_at = float("inf") if wait is None else now + wait
        more, decided = planned is not None and planned.more, planned is not None and bool(planned.moved)
        self._gaps.ended(now, next_at=next_at, more=more, decided=decided)
        if planned is not None and planned.now is not None and planned.moved:
            self._ahead.decided(planned.moved, planned.now)
        if self._from <= now or self._from < before:  # earlier than its step sleeps
            self._wakeups.notify(self.topic)

    async def step(self) -> float | None:
        """Look at the next few jobs; return how soon to go on."""
        now = asyncio.get_running_loop().time()
        if now < self._from:
            self._after, self._waits_since = None, None
            return self._from - now  # planning has looked, and says when that changes: nothing is due so soon
        wait = self._gaps.wait(now)
        if wait > 0:
            self._waits_since = now if self._waits_since is None else self._waits_since
            if now - self._waits_since < PATIENCE:
                return wait
        self._waits_since = None
        self._after = await self._store.read(partial(look, ahead=self._ahead, limit=CHUNK, after=self._after))
        return PAUSE if self._after is None else 0.0

    @property
    def _from(self) -> float:
        """From when on something is due within the horizon, as far as planning knows."""
        return self._gaps.next_at - self._ahead.horizon.total_seconds()
