"""How many calls one target gets from this process: so many at once, so many a second, and the rest wait their turn.

A target is the address that is called, whatever names lead to it. So nobody's schedules make this a flooding tool, and
a receiver that comes back is not knocked over.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache


@dataclass(frozen=True, slots=True)
class TargetLimits:
    """Calls to one address: at once, a second on the long run, and more than that in a burst."""

    at_once: int = 16
    per_second: float = 50.0
    burst: int = 100


_Waiter = tuple[asyncio.AbstractEventLoop, "asyncio.Future[None]"]


@dataclass(slots=True)
class _Target:
    """Calls under way, who waits for one of them to end, and when the next may begin at the long-run rate."""

    busy: int = 0
    waiting: deque[_Waiter] = field(default_factory=deque)
    next_at: float = 0.0


class Targets:
    """The calls of one process by target. Callers may be in several event loops."""

    def __init__(self, limits: TargetLimits | None = None) -> None:
        self.limits = limits or TargetLimits()
        self._targets: dict[str, _Target] = {}
        self._lock = threading.Lock()

    @asynccontextmanager
    async def turn(self, address: str) -> AsyncIterator[None]:
        """Wait for this caller's turn at an address; it lasts while the block does."""
        await self._slot(address)
        try:
            await asyncio.sleep(self._pause(address, asyncio.get_running_loop().time()))
            yield
        finally:
            self._free(address)

    async def _slot(self, address: str) -> None:
        loop = asyncio.get_running_loop()
        with self._lock:
            target = self._targets.setdefault(address, _Target())
            if target.busy < self.limits.at_once:
                target.busy += 1
                return
            mine: asyncio.Future[None] = loop.create_future()
            target.waiting.append((loop, mine))
        try:
            await mine  # whoever ends hands its slot on: `busy` stays
        except asyncio.CancelledError:
            self._gave_up(address, (loop, mine))
            raise

    def _gave_up(self, address: str, waiter: _Waiter) -> None:
        with self._lock:
            target = self._targets.get(address)
            if target is not None and waiter in target.waiting:
                target.waiting.remove(waiter)
                return
        self._free(address)  # it was handed a slot in the same moment

    def _pause(self, address: str, now: float) -> float:
        """Return how long a call that has its slot waits for the rate, and take the rate's place for it."""
        step = 1 / self.limits.per_second
        with self._lock:
            target = self._targets[address]
            target.next_at = max(target.next_at, now - (self.limits.burst - 1) * step) + step
            return max(0.0, target.next_at - step - now)

    def _free(self, address: str) -> None:
        with self._lock:
            target = self._targets[address]
            while target.waiting:
                loop, waiter = target.waiting.popleft()
                try:
                    loop.call_soon_threadsafe(_hand, waiter)
                    return
                except RuntimeError:  # its loop has closed, and nobody waits there
                    continue
            target.busy -= 1
            if len(self._targets) > 1_000:
                self._targets = {name: one for name, one in self._targets.items() if one.busy or one.waiting}


@cache
def of_this_process() -> Targets:
    """Return the targets all clients of this process share, unless told otherwise: it is the process that is capped."""
    return Targets()


def _hand(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
