"""Time as handlers see it in a test: what they sleep, and how long they may take, follows the test's clock.

Only what runs on behalf of an attempt is led here; the test itself, its fixtures and the event loop keep real time. So
a handler that sleeps for an hour is asleep until the test moves its clock by an hour, while one that talks to a real
database next to it is waited for.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
from collections.abc import Callable
from itertools import count
from typing import Any

from mainspring.engine.context import _current

_OWNER: contextvars.ContextVar[HandlerTime | None] = contextvars.ContextVar("mainspring_handler_time", default=None)


class HandlerTime:
    """The timers of the handlers of one environment. ``now`` is in seconds; the environment moves it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.now = 0.0
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._numbers = count()
        #: False where the loop lets nobody in (uvloop): handlers then sleep in real time.
        self.virtual = _lead(loop)

    def run(self, start: Callable[[], object]) -> None:
        """Call ``start``; whatever it sets going lives in this time."""
        context = contextvars.copy_context()
        context.run(_OWNER.set, self)
        context.run(start)

    def call_at(
        self, when: float, callback: Callable[..., object], args: tuple[Any, ...], context: contextvars.Context | None
    ) -> asyncio.TimerHandle:
        """Set a timer."""
        context = contextvars.copy_context() if context is None else context
        handle = asyncio.TimerHandle(when, callback, args, self._loop, context)
        heapq.heappush(self._timers, (when, next(self._numbers), handle))
        return handle

    @property
    def next_at(self) -> float | None:
        """When the next timer is due; None without one."""
        while self._timers and self._timers[0][2].cancelled():
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    def fire(self) -> int:
        """Run what is due; return how many timers that were."""
        fired = 0
        while (at := self.next_at) is not None and at <= self.now + 1e-6:
            _, _, handle = heapq.heappop(self._timers)
            self._loop.call_soon(_run, handle)
            fired += 1
        return fired

    def sleepers(self) -> set[str]:
        """Return the executions whose handlers wait for this time to pass."""
        found = set()
        for _, _, handle in self._timers:
            attempt = None if handle.cancelled() else _context_of(handle).get(_current)
            if attempt is not None:
                found.add(attempt.execution_id)
        return found


def _run(handle: asyncio.TimerHandle) -> None:
    if not handle.cancelled():
        handle._run()


def _context_of(handle: asyncio.TimerHandle) -> contextvars.Context:
    context: contextvars.Context = handle._context  # type: ignore[attr-defined]
    return context


def _lead(loop: asyncio.AbstractEventLoop) -> bool:
    """Have a loop ask, for each timer, whose time it is in. Done once per loop; harmless to everybody else."""
    if getattr(loop, "_mainspring_handler_time", False):
        return True
    real_at, real_time = loop.call_at, loop.time

    def owner(context: contextvars.Context | None) -> HandlerTime | None:
        return _OWNER.get() if context is None else context.get(_OWNER)

    def call_at(
        when: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        mine = owner(context)
        if mine is None:
            return real_at(when, callback, *args, context=context)
        return mine.call_at(when, callback, args, context)

    def call_later(
        delay: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        mine = owner(context)
        if mine is None:
            return real_at(real_time() + delay, callback, *args, context=context)
        return mine.call_at(mine.now + delay, callback, args, context)

    def time() -> float:
        mine = _OWNER.get()
        return real_time() if mine is None else mine.now

    try:
        for name, value in (("call_at", call_at), ("call_later", call_later), ("time", time)):
            setattr(loop, name, value)
        loop._mainspring_handler_time = True  # type: ignore[attr-defined]
    except AttributeError:
        return False
    return True
