"""The pauses that planning leaves: what may wait a moment keeps out of the way of what is due."""

from __future__ import annotations

from math import inf

#: Seconds kept free before an instant and after it, for those who decide and run it.
BEFORE, AFTER = 0.03, 0.05


class Gaps:
    """Tells how long to wait for the next pause; told when planning begins and ends. Times are the event loop's.

    A write that meets an instant delays all that is due then by a flush to the disk, and keeps planning from being done
    ahead of it. May be asked in any thread.

    >>> gaps = Gaps()
    >>> gaps.ended(100.0, next_at=101.0)
    >>> round(gaps.wait(100.5), 3), round(gaps.wait(100.98), 3)
    (0.0, 0.07)
    """

    def __init__(self) -> None:
        self._planning = False
        self._free_from = 0.0
        #: When planning is to go on; infinite where it knows of nothing.
        self.next_at = inf

    def begun(self) -> None:
        """Planning has begun."""
        self._planning = True

    def ended(self, now: float, *, next_at: float = inf, more: bool = False, decided: bool = False) -> None:
        """Planning has ended and goes on at ``next_at``; at once where there is ``more``. ``decided``: work begins."""
        self._planning, self.next_at = more, next_at
        if decided:
            self._free_from = now + AFTER

    def wait(self, now: float) -> float:
        """Return the seconds until nothing is in the way, as far as is known now; 0 for a pause."""
        if self._planning:
            return AFTER
        if now < self._free_from:
            return min(self._free_from - now, AFTER)  # also if asked by another clock than it was told
        return self.next_at - now + AFTER if 0 <= self.next_at - now < BEFORE else 0.0


def no_gap(now: float) -> float:
    """Return what `Gaps.wait` does where nothing is planned in this process: 0."""
    return 0.0
