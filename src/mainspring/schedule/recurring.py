"""Intervals: a grid of elapsed time, and calendar steps that keep the anchor's wall time.

``every_ms`` counts real time: 24 hours are 24 hours, and the wall clock moves by an hour twice a year. ``every`` counts
days, weeks, months or years on the calendar. Both compute each occurrence from the anchor, never from the last run,
so nothing drifts and 31 January does not decay to the 28th.
"""

from __future__ import annotations

from calendar import monthrange
from datetime import datetime
from enum import Enum

from mainspring.schedule.instants import DAY, EPOCH_ORDINAL, HORIZON_MS, from_ms, from_wall
from mainspring.schedule.occurrence import Occurrence

_LAST_WALL = HORIZON_MS // 1_000


class ElapsedGrid:
    """The instants ``anchor + k * every`` for k = 0, 1, 2, ... in milliseconds: a rule.

    >>> ElapsedGrid(anchor=1_000, every=60_000).next(1_000).at.isoformat()
    '1970-01-01T00:01:01+00:00'
    """

    __slots__ = ("_anchor", "_every")

    def __init__(self, anchor: int, every: int) -> None:
        self._anchor = anchor
        self._every = every

    def next(self, after: int) -> Occurrence | None:
        """See :class:`~mainspring.schedule.rules.Rule`."""
        at = self._anchor + max(0, (after - self._anchor) // self._every + 1) * self._every
        return Occurrence(from_ms(at)) if at < HORIZON_MS else None

    def previous(self, before: int) -> Occurrence | None:
        """See :class:`~mainspring.schedule.rules.Rule`."""
        steps = (min(before, HORIZON_MS) - 1 - self._anchor) // self._every
        return Occurrence(from_ms(self._anchor + steps * self._every)) if steps >= 0 else None

    def count(self, after: int, until: int) -> int:
        """Return how many instants lie in ``(after, until]``, without visiting them."""
        until = min(until, HORIZON_MS - 1)
        up_to = max(0, (until - self._anchor) // self._every + 1)
        return max(0, up_to - max(0, (after - self._anchor) // self._every + 1))


class OneInstant:
    """A single instant, in milliseconds: a rule."""

    __slots__ = ("_at",)

    def __init__(self, at: int) -> None:
        self._at = at

    def next(self, after: int) -> Occurrence | None:
        """See :class:`~mainspring.schedule.rules.Rule`."""
        return Occurrence(from_ms(self._at)) if self._at > after else None

    def previous(self, before: int) -> Occurrence | None:
        """See :class:`~mainspring.schedule.rules.Rule`."""
        return Occurrence(from_ms(self._at)) if self._at < before else None


class OneWall:
    """A single wall time, in seconds: wall times for :class:`~mainspring.schedule.wall_clock.WallClockRule`."""

    __slots__ = ("_wall",)

    def __init__(self, wall: int) -> None:
        self._wall = wall

    def next_wall(self, at_least: int) -> int | None:
        """Return the wall if it is at or after ``at_least``."""
        return self._wall if self._wall >= at_least else None

    def previous_wall(self, at_most: int) -> int | None:
        """Return the wall if it is at or before ``at_most``."""
        return self._wall if self._wall <= at_most else None


class Unit(Enum):
    """What calendar steps are counted in."""

    DAYS = "days"
    WEEKS = "weeks"
    MONTHS = "months"
    YEARS = "years"


class CalendarSteps:
    """The walls ``anchor + k * size`` units, k = 0, 1, 2, ...; a missing day becomes the last of its month.

    >>> from mainspring.schedule.instants import to_wall
    >>> steps = CalendarSteps(to_wall(datetime(2026, 1, 31, 9)), Unit.MONTHS, 1)
    >>> from_wall(steps.next_wall(to_wall(datetime(2026, 2, 1)))).isoformat()
    '2026-02-28T09:00:00'
    """

    __slots__ = ("_anchor", "_day", "_in_months", "_month", "_size", "_time")

    def __init__(self, anchor: int, unit: Unit, size: int) -> None:
        start = from_wall(anchor)
        self._anchor = anchor
        self._in_months = unit in (Unit.MONTHS, Unit.YEARS)
        self._size = size * {Unit.DAYS: 1, Unit.WEEKS: 7, Unit.MONTHS: 1, Unit.YEARS: 12}[unit]
        self._month = start.year * 12 + start.month - 1
        self._day = start.day
        self._time = anchor % DAY

    def next_wall(self, at_least: int) -> int | None:
        """Return the first step at or after ``at_least``; None beyond the horizon."""
        step = max(0, self._step_near(at_least))
        wall = self._wall(step)
        if wall < at_least:
            wall = self._wall(step + 1)
        return wall if wall < _LAST_WALL else None

    def previous_wall(self, at_most: int) -> int | None:
        """Return the last step at or before ``at_most``; None before the anchor."""
        step = self._step_near(min(at_most, _LAST_WALL))
        if step >= 0 and self._wall(step) > at_most:
            step -= 1
        return self._wall(step) if step >= 0 else None

    def _step_near(self, wall: int) -> int:
        """The step in whose period ``wall`` lies: the one before it and the one after it are wrong sides of it."""
        if self._in_months:
            if wall < self._anchor:
                return -1
            when = from_wall(wall)
            return (when.year * 12 + when.month - 1 - self._month) // self._size
        return (wall - self._anchor) // (self._size * DAY)

    def _wall(self, step: int) -> int:
        if not self._in_months:
            return self._anchor + step * self._size * DAY
        year, month = divmod(self._month + step * self._size, 12)
        day = min(self._day, monthrange(year, month + 1)[1])
        return (datetime(year, month + 1, day).toordinal() - EPOCH_ORDINAL) * DAY + self._time
