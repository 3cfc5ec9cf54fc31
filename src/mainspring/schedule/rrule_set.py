"""A recurrence rule as RFC 5545 lets it be written: with walls added (RDATE), removed (EXDATE), and counted (COUNT)."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable

from mainspring.schedule.rrule import RecurrenceWalls
from mainspring.schedule.rrule_text import Recurrence


class WallList:
    """A finite set of walls, in order.

    >>> WallList([30, 10]).next_wall(11)
    30
    """

    __slots__ = ("_walls",)

    def __init__(self, walls: Iterable[int]) -> None:
        self._walls = sorted(set(walls))

    def next_wall(self, at_least: int) -> int | None:
        """Return the first wall at or after ``at_least``."""
        index = bisect_left(self._walls, at_least)
        return self._walls[index] if index < len(self._walls) else None

    def previous_wall(self, at_most: int) -> int | None:
        """Return the last wall at or before ``at_most``."""
        index = bisect_right(self._walls, at_most)
        return self._walls[index - 1] if index else None


class RecurrenceSet:
    """A rule with the walls added (RDATE) and removed (EXDATE); a removed wall counts towards COUNT all the same."""

    __slots__ = ("_added", "_removed", "_rule")

    def __init__(self, rule: Recurrence, start: int, added: Iterable[int], removed: Iterable[int]) -> None:
        walls = RecurrenceWalls(rule, start)
        self._rule: RecurrenceWalls | WallList = walls if rule.count is None else WallList(walls.take(rule.count))
        self._added = WallList(added)
        self._removed = frozenset(removed)

    def next_wall(self, at_least: int) -> int | None:
        """Return the first wall at or after ``at_least``, or None."""
        # Each removed wall is met at most once, so the loop ends.
        while True:
            found = [wall for source in (self._rule, self._added) if (wall := source.next_wall(at_least)) is not None]
            if not found:
                return None
            wall = min(found)
            if wall not in self._removed:
                return wall
            at_least = wall + 1

    def previous_wall(self, at_most: int) -> int | None:
        """Return the last wall at or before ``at_most``, or None."""
        while True:
            found = [
                wall for source in (self._rule, self._added) if (wall := source.previous_wall(at_most)) is not None
            ]
            if not found:
                return None
            wall = max(found)
            if wall not in self._removed:
                return wall
            at_most = wall - 1
