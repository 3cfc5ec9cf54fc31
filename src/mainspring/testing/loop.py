"""An event loop whose time is virtual: when nothing is ready it jumps to the next timer instead of waiting for it.

The same program on it runs the same way every time, and an hour of waiting costs nothing. It has no sockets, no
signals, no child processes and no threads: what would leave it is refused, or run inline.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar, TypeVarTuple, Unpack

from mainspring.errors import MainspringError

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

#: Rounds of the loop in which time may stand still before it says that a program only turns on the spot.
MOST_ROUNDS = 200_000


class DeadlockError(MainspringError):
    """Nothing is ready and no timer is set: what the program waits for can never come."""


class LivelockError(MainspringError):
    """The program goes on for ever without waiting for time to pass."""


class VirtualLoop(asyncio.BaseEventLoop):
    """An event loop in virtual time, which starts at 0: ``asyncio.Runner(loop_factory=VirtualLoop)``.

    Raises `DeadlockError` from whatever runs it when nothing can ever happen again, and `LivelockError` when things
    go on happening without end at one instant.

    >>> with asyncio.Runner(loop_factory=VirtualLoop) as runner:
    ...     runner.run(asyncio.sleep(3600, "an hour later"))
    'an hour later'
    """

    _scheduled: list[asyncio.TimerHandle]  # the base class's heap of timers, soonest first

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self._rounds = 0
        # Timers this close together fire together. Coarse enough for a float that counts years in seconds.
        self._clock_resolution = 1e-6
        self._selector = self

    def time(self) -> float:
        """Return the virtual seconds since the loop was made."""
        return self._now

    def select(self, timeout: float | None) -> list[Any]:
        """Stand where a selector would wait for files: move the time to the next timer."""
        if timeout is None:
            waiting = "; ".join(sorted(task.get_name() for task in asyncio.all_tasks(self)))
            what = f"nothing is ready and no timer is set at {self._now:g} s"
            raise DeadlockError(f"{what}; waiting: {waiting or 'none'}")
        if timeout > 0:
            self._now = max(self._now, self._scheduled[0].when())
            self._rounds = 0
            return []
        self._rounds += 1
        if self._rounds > MOST_ROUNDS:
            self._rounds = 0  # so that what is left can still be cancelled
            raise LivelockError(f"{MOST_ROUNDS} rounds without any time passing, at {self._now:g} s")
        return []

    def run_in_executor(self, executor: Any, func: Callable[[Unpack[Ts]], T], *args: *Ts) -> asyncio.Future[T]:
        """Run ``func`` at once, in this thread: a thread's timing could not be repeated."""
        future: asyncio.Future[T] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:
            future.set_exception(error)
        return future

    def _process_events(self, event_list: list[Any]) -> None:
        """There are no files, so no events."""

    def _write_to_self(self) -> None:
        """Nobody sleeps in a selector, so nobody has to be woken out of one."""


class VirtualClock:
    """A `Clock` on a loop's time: ``start`` when the loop was made, and on from there.

    >>> loop = VirtualLoop()
    >>> clock = VirtualClock(loop, datetime(2026, 3, 2, 9, tzinfo=UTC))
    >>> loop.run_until_complete(asyncio.sleep(90))
    >>> clock.now().isoformat()
    '2026-03-02T09:01:30+00:00'
    >>> loop.close()
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, start: datetime) -> None:
        if start.tzinfo is None:
            raise ValueError(f"a clock needs an aware instant, got {start}")
        self._loop, self._start = loop, start.astimezone(UTC)

    def now(self) -> datetime:
        """Return the present instant, to the microsecond."""
        return self._start + timedelta(seconds=self._loop.time())

    def jump(self, by: timedelta) -> None:
        """Set this clock forward, as somebody might set a machine's: the loop's own time does not notice."""
        if by < timedelta(0):
            raise ValueError(f"this clock only goes forward, got {by}")
        self._start += by
