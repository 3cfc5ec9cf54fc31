"""The step of a dispatcher that decides what is due: how much at a time, and when."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime
from functools import partial

from mainspring.engine.foresight import Foresight
from mainspring.engine.gaps import Gaps
from mainspring.engine.store_time import StoreTime
from mainspring.model.execution import Execution
from mainspring.model.log_events import about
from mainspring.moves.ahead import Ahead
from mainspring.moves.plan import Planned, plan_due
from mainspring.moves.schedules import Schedules
from mainspring.ports.clock import Wakeups
from mainspring.ports.store import Punctual, Store, TooEarlyError, Tx
from mainspring.ports.tracing import Produced, Tracing

logger = logging.getLogger("mainspring")

#: Most jobs decided in the first of several transactions: what is decided there starts while the next goes on. Each
#: may then decide twice as many, up to ``batch_size``.
FIRST = 50
#: Largest transactions that what is foreseen to be due has to fill for starting to make way from the first of them on.
MUCH = 4
#: Seconds for which starting makes way in this process, while more is due than the largest transaction has decided.
PRESSED = 2.0
#: Seconds without anything due before an instant that planning is done ahead of: it keeps others from writing.
QUIET = 0.05
#: Most instants that are let by before another is planned ahead of, where that came to nothing again and again.
LET_BY = 15


class Trials:
    """Tells which instants are worth planning ahead of: after one that was not, more are let by each time.

    >>> trials = Trials()
    >>> trials.went(well=False)
    >>> [trials.another() for _ in range(3)]
    [False, True, True]
    """

    def __init__(self) -> None:
        self._let_by = self._left = 0

    def another(self) -> bool:
        """Tell whether the next instant is worth it."""
        self._left, worth = max(self._left - 1, 0), not self._left
        return worth

    def went(self, *, well: bool) -> None:
        """Learn how it went for one that was."""
        self._let_by = 0 if well else min(2 * self._let_by + 1, LET_BY)
        self._left = self._let_by


class Planning:
    """Decides due instants, a transaction a step; ``on_planned`` is called in the loop with what each has done."""

    def __init__(
        self,
        store: Store,
        wakeups: Wakeups,
        schedules: Schedules,
        *,
        batch_size: int,
        who: str,
        on_planned: Callable[[Planned], None],
        tracing: Tracing | None = None,
    ) -> None:
        self._store, self._schedules, self._who = store, schedules, who
        self._batch_size, self._on_planned, self._tracing = batch_size, on_planned, tracing
        #: Decide nothing: the fleet is held.
        self.held = False
        #: Whether more is due than has been decided, and since when so much that transactions are full.
        self.behind = False
        self._full_since: float | None = None
        self._limit = min(FIRST, batch_size)
        self.ahead = Ahead(schedules, who)
        #: When nothing is due: for whatever else there is to do in this process.
        self.gaps = Gaps()
        self.foresight = Foresight(store, self.ahead, wakeups, self.gaps, who=who)
        self._punctual = store if isinstance(store, Punctual) else None
        #: The instant that the next step is to be done ahead of, if nothing else wakes it.
        self._appointment: datetime | None = None
        self._trials = Trials()
        #: To be told of other transactions as well: those that are done ahead of their instant teach nothing.
        self.store_time = StoreTime()

    @property
    def pressed(self) -> bool:
        """Whether so much is due that starting makes way for deciding: for `PRESSED` seconds at most."""
        return self._full_since is not None and _time() - self._full_since < PRESSED

    async def step(self) -> float | None:
        """Decide a batch; return the seconds after which to go on, None where nothing is due."""
        planned, wait = None, None
        if self.held:
            self.foresight.end(planned, wait)
            self._take_note(planned)
            return wait
        self.foresight.begin()
        try:
            planned, wait = await self._batch()
        finally:
            self.foresight.end(planned, wait)
            self._take_note(planned)
        return wait

    def _take_note(self, planned: Planned | None) -> None:
        self.behind = planned is not None and planned.more
        if planned is None or not planned.more:
            self._full_since = None
        elif self._full_since is None and (planned.jobs >= self._batch_size or self._much_more(planned)):
            self._full_since = _time()

    def _much_more(self, planned: Planned) -> bool:
        """Tell whether it is foreseen that far more is due than has been decided."""
        much = MUCH * self._batch_size
        return planned.now is not None and self.ahead.due(planned.now, much) == much

    async def _batch(self) -> tuple[Planned | None, float | None]:
        limit, asked, instant = self._limit, _time(), self._instant_ahead()
        planned = await self._planned(limit, instant)
        if planned is None:
            assert instant is not None, "only what was early is not done"
            return None, max(self._seconds_until(instant), 0.0)
        self._on_planned(planned)
        for name, why in planned.failed.items():
            told = "job %s could not be decided and is paused: %s"
            logger.error(told, name, why, extra=about("job.set_aside", job=name, reason=why))
        if instant is None and planned.now is not None:
            self.store_time.keep(asked, planned.now)
        self._limit = min(2 * limit if planned.more else FIRST, self._batch_size)
        return planned, 0.0 if planned.more else self._rest(planned.next_due_at)

    async def _planned(self, limit: int, instant: datetime | None) -> Planned | None:
        """Decide up to so many jobs, ahead of an instant where one is given; None where that cannot be."""
        spans, refused = list[Produced](), False

        def work(tx: Tx) -> Planned:
            nonlocal refused
            spans.clear()  # of a run that was undone: what is not ended is not recorded
            mark = None if self._tracing is None else partial(_marked, self._tracing, spans)
            early = instant is not None
            try:
                return plan_due(
                    tx, self._schedules, self._who, limit=limit, mark=mark, ahead=self.ahead, alone=True, early=early
                )
            except TooEarlyError:
                refused = True
                raise

        if instant is None or self._punctual is None:
            planned: Planned | None = await self._store.write(work)
        else:
            planned = await self._punctual.write_at(instant, work)
            await asyncio.sleep(0)  # what was claimed along with it begins first
            if planned is not None or refused:  # else others wanted to write, which may be otherwise the next time
                self._trials.went(well=not refused)
        for span in spans if planned is not None else ():
            span.end()
        return planned

    def _rest(self, next_due_at: datetime | None) -> float | None:
        """Return the seconds until the next instant, or a little less where planning is to be done ahead of it."""
        if next_due_at is None:
            return None
        wait = max(self._seconds_until(next_due_at), 0.0)
        if wait < QUIET or self._punctual is None or not self._trials.another():
            return wait
        self._appointment = next_due_at
        return wait - self._punctual.lead.total_seconds()

    def _instant_ahead(self) -> datetime | None:
        """Return the instant that planning is to be done ahead of: None where it was woken for something else."""
        instant, self._appointment = self._appointment, None
        if instant is None or self._punctual is None:
            return None
        return instant if 0 < self._seconds_until(instant) <= 2 * self._punctual.lead.total_seconds() else None

    def _seconds_until(self, instant: datetime) -> float:
        return self.store_time.at(instant) - _time()


def _time() -> float:
    return asyncio.get_running_loop().time()


def _marked(tracing: Tracing, spans: list[Produced], execution: Execution) -> Execution:
    """Begin the span of a new execution; return the execution with its ids."""
    span = tracing.dispatch(execution)
    spans.append(span)
    ids = span.ids
    return execution if ids is None else execution.changed(trace_id=ids.trace_id, span_id=ids.span_id)
