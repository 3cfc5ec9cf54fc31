"""Take back what is over by the store's clock, and keep to their seconds what was meant so when that clock steps."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

from mainspring.engine.clock_watch import ClockWatch
from mainspring.model.log_events import about
from mainspring.model.wire import instant, milliseconds
from mainspring.moves.jobs import resume_due
from mainspring.moves.reap import CLOCK_STEP, Reaped, reap
from mainspring.moves.schedules import Schedules
from mainspring.ports.store import Store, Tx

logger = logging.getLogger("mainspring")

#: Random numbers for the delays of what is taken back, used in turn.
DRAWS = 100


async def take_over(store: Store, random: Random, *, grace: timedelta) -> int:
    """Take back every lease of earlier engines at once: for the one engine of a SQLite file. Returns how many."""
    draws = [random.random() for _ in range(DRAWS)]
    reaped = await store.write(lambda tx: reap(tx, grace=grace, draws=draws, leases_before=tx.now))
    if reaped.lost:
        told = "took back %d executions that an earlier engine left running"
        logger.warning(told, reaped.lost, extra=about("executions.reaped", lost=reaped.lost))
    return reaped.lost


@dataclass(frozen=True, slots=True)
class _Looked:
    reaped: Reaped
    pauses_over: bool
    step: timedelta
    now: datetime
    seconds: float


def _ask(tx: Tx, grace: timedelta, time: Callable[[], float]) -> tuple[datetime | None, datetime, float]:
    tx.end_with_next()
    seconds = time()  # before the store's clock, as in the transaction that reaps
    return tx.over_at(grace), tx.now, seconds


class Reaper:
    """The reaper of one dispatcher, which asks one question as long as nothing is over.

    After a step forward every lease seems to be over: they are left alone for one lease, in which whoever is alive
    renews. After a step back the leases of the dead would last as long as the step: those that end later than a lease
    from now are shortened to that. What else was meant as so many seconds is put right with them: timeouts, delays of
    retries, and what a queue's rate has let through. Pauses that are over end in a transaction of their own.
    """

    def __init__(
        self,
        store: Store,
        schedules: Schedules,
        *,
        grace: timedelta,
        lease: timedelta,
        draws: Callable[[], Sequence[float]],
        who: str,
        on_reaped: Callable[[Reaped], None] = lambda reaped: None,
    ) -> None:
        self._store, self._schedules, self._on_reaped = store, schedules, on_reaped
        self._grace, self._lease, self._draws, self._who = grace, lease, draws, who
        self._watch = ClockWatch()
        self._spared_until = float("-inf")

    async def step(self) -> Reaped:
        """Look once; return what was taken back, after ``on_reaped`` was told."""
        draws, time = self._draws(), asyncio.get_running_loop().time
        over_at, now, seconds = await self._store.read(lambda tx: _ask(tx, self._grace, time))
        if (over_at is None or over_at > now) and not self._watch.step(now, seconds):
            self._watch.keep(now, seconds)
            return Reaped(rest=None if over_at is None else over_at - now)
        looked = await self._store.write(lambda tx: self._look(tx, draws, time()))
        self._watch.keep(looked.now, looked.seconds)
        if looked.step:
            self._tell(looked)
        self._on_reaped(looked.reaped)
        if looked.pauses_over:
            await self._store.write(lambda tx: resume_due(tx, self._schedules))
        return looked.reaped

    def _look(self, tx: Tx, draws: Sequence[float], seconds: float) -> _Looked:
        # Nothing is kept here: the transaction may be run again.
        step = self._watch.step(tx.now, seconds)
        if step and (seen := self._watch.seen) is not None:
            tx.executions.make_up_for(step, self._lease, seen)
            tx.platforms.make_up_for(step)
            told = {"at": instant(tx.now), "step_ms": milliseconds(step), "seen_by": self._who}
            tx.platforms.put_note(CLOCK_STEP, json.dumps(told))
        spared = step > timedelta(0) or seconds < self._spared_until
        reaped = reap(tx, grace=self._grace, draws=draws, spare_leases=spared)
        return _Looked(reaped, bool(tx.jobs.paused_until_passed(1)), step, tx.now, seconds)

    def _tell(self, looked: _Looked) -> None:
        seconds, forward = abs(looked.step.total_seconds()), looked.step > timedelta(0)
        if forward:
            self._spared_until = looked.seconds + self._lease.total_seconds()
        what = "leases are left alone for one lease" if forward else "no lease lasts longer than one from now on"
        way = "forward" if forward else "back"
        told = "the store's clock stepped %s by %.1f s: %s. Check the server's clock"
        logger.warning(told, way, seconds, what, extra=about("clock.stepped", direction=way, seconds=round(seconds, 1)))
