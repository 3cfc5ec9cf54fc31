"""Many timeouts on one timer of the event loop.

Nearly every attempt ends long before its timeout. A timer of the loop for each would be made, sorted in and cancelled
for nothing; here setting and dropping an alarm are a dictionary's insert and delete.
"""

from __future__ import annotations

import asyncio
import heapq
import math
from collections.abc import Callable
from typing import Any

#: Seconds between the instants at which alarms go off: never early, and at most this late.
GRID = 0.01
#: Instants in the order beyond twice those that have alarms, before it is made anew.
SLACK = 100


class Alarms:
    """The alarms of one event loop; used from inside it only."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._slots: dict[int, dict[object, Callable[[], Any]]] = {}
        self._order: list[int] = []
        self._timer: asyncio.TimerHandle | None = None
        self._armed = 0

    def set(self, seconds: float, key: object, callback: Callable[[], Any]) -> int:
        """Call ``callback`` once in ``seconds``; return what `drop` needs besides the key."""
        slot = math.ceil((self._loop.time() + seconds) / GRID)
        alarms = self._slots.get(slot)
        if alarms is None:
            alarms = self._slots[slot] = {}
            heapq.heappush(self._order, slot)
            if self._timer is None or slot < self._armed:
                self._arm(slot)
        alarms[key] = callback
        return slot

    def drop(self, slot: int, key: object) -> None:
        """Forget an alarm; nothing happens if it has gone off."""
        alarms = self._slots.get(slot)
        if alarms is None:
            return
        alarms.pop(key, None)
        if not alarms:
            # Not kept until its time: under load that is a hundred a second, for as long as timeouts are.
            del self._slots[slot]
            if len(self._order) > 2 * len(self._slots) + SLACK:
                self._order = sorted(self._slots)  # which is a heap

    def _arm(self, slot: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._armed = slot
        self._timer = self._loop.call_at(slot * GRID, self._ring)

    def _ring(self) -> None:
        self._timer = None
        # The loop's clock may be a hair before the instant it was asked to call at.
        now = max(self._armed, math.floor(self._loop.time() / GRID))
        while self._order and (self._order[0] <= now or self._order[0] not in self._slots):
            for callback in self._slots.pop(heapq.heappop(self._order), {}).values():
                callback()
        if self._order:
            self._arm(self._order[0])
