"""One loop that repeats a step: woken by a notification, by the clock it asked for, or by its poll interval.

A step that fails is logged once with its name and tried again, later and later; nothing but `stop` ends the loop.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from math import inf

from mainspring.engine.gaps import no_gap
from mainspring.errors import BusUnavailableError, StoreUnavailableError
from mainspring.model.log_events import about
from mainspring.ports.clock import Listener, Wakeups
from mainspring.ports.tasks import end

logger = logging.getLogger("mainspring")

#: Seconds before a failed step is tried again: doubled from the first to the last.
BACKOFF, BACKOFF_CAP = 0.1, 5.0


class Loop:
    """Repeat ``step`` until stopped. ``step`` returns the seconds after which it wants to run again, at most ``poll``.

    ``poll`` None: one that returns None waits for news alone.

    Returning 0 means there is more to do at once. Notifications on ``topics`` wake it early; those that come while a
    step runs are not lost.

    Woken by its poll alone it may wait a moment: for the next ``gap`` (see `Gaps.wait`), once.
    """

    def __init__(
        self,
        name: str,
        step: Callable[[], Awaitable[float | None]],
        *,
        wakeups: Wakeups,
        topics: tuple[str, ...],
        poll: float | None,
        gap: Callable[[float], float] = no_gap,
    ) -> None:
        self.name, self._gap = name, gap
        self._step, self._wakeups, self._topics, self._poll = step, wakeups, topics, poll
        self._task: asyncio.Task[None] | None = None
        self.errors = 0
        #: The time of the event loop at which it wakes by itself; long past while it is awake.
        self.wakes_at = float("-inf")

    def start(self) -> None:
        """Start repeating, in the running event loop."""
        self._task = asyncio.create_task(self._run(), name=f"mainspring:{self.name}")

    async def stop(self) -> None:
        """Stop; a step that is under way is cancelled. Idempotent."""
        task, self._task = self._task, None
        if task is None:
            return
        await end([task])

    def wake(self) -> None:
        """Wake it now, with whoever else listens for what it listens for."""
        self._wakeups.notify(*self._topics)

    async def _run(self) -> None:
        listener = self._wakeups.listen(*self._topics)
        failures = 0
        try:
            while True:
                try:
                    wanted = await self._step()
                    failures = 0
                except Exception as error:
                    failures += 1
                    self.errors += 1
                    wanted = min(BACKOFF * 2 ** (failures - 1), BACKOFF_CAP)
                    self._log(error, failures)
                    await asyncio.sleep(wanted)
                    continue
                await self._rest(listener, wanted)
        finally:
            listener.close()

    async def _rest(self, listener: Listener, wanted: float | None) -> None:
        pause = min((one for one in (wanted, self._poll) if one is not None), default=None)
        if pause is not None and pause <= 0:
            await asyncio.sleep(0)
            return
        time = asyncio.get_running_loop().time
        self.wakes_at = inf if pause is None else time() + pause
        notified = await listener.wait(pause)
        if wanted is None and not notified and (more := self._gap(time())) > 0:
            await listener.wait(more)
        self.wakes_at = float("-inf")

    def _log(self, error: Exception, failures: int) -> None:
        if isinstance(error, StoreUnavailableError | BusUnavailableError):
            # Expected while a server is away: one line when it goes, and one a while later, not one per try.
            if failures in (1, 10, 100):
                what = "store" if isinstance(error, StoreUnavailableError) else "bus"
                told = "%s: the %s is unavailable, trying again: %s"
                logger.warning(told, self.name, what, error, extra=about(f"{what}.unavailable", loop=self.name))
        else:
            failed = about("step.failed", loop=self.name, failures=failures)
            logger.exception("%s: a step failed (%d in a row)", self.name, failures, extra=failed)
