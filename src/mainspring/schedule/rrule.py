"""Which wall times a recurrence rule names: RFC 5545, naive, in either direction, at a cost that does not follow time.

Libraries iterate from DTSTART, or loop to the year 9999 when nothing matches. Here a rule is a row of numbered periods
(years, months, weeks, days, hours, minutes) and each period is computed on its own, so the search starts where it is
asked, goes from one period that may fit to the next, and stops after a bounded number of them. What no period can ever
fit is known without a search. ``python-dateutil`` is what the tests compare with.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from datetime import datetime

from mainspring.errors import ScheduleError
from mainspring.schedule.instants import DAY, HORIZON_MS, from_wall, to_wall
from mainspring.schedule.rrule_days import LAST_MONTH, RecurrenceDays, first_day
from mainspring.schedule.rrule_fit import PER_DAY, index_of, may_fit
from mainspring.schedule.rrule_text import Frequency, Recurrence

_LAST_WALL = HORIZON_MS // 1_000

#: Periods looked at in one search. A rule so sparse that this does not reach its next instant has none.
MOST_PERIODS = 2_000
# Counting looks at so many, and at so many more for each instant found.
_FIRST_COUNTED, _MORE_COUNTED = 1_000, 5

_MOST_TIMES = 1_440


class RecurrenceWalls:
    """The walls of one rule from its start on, in order.

    >>> from mainspring.schedule.rrule_text import parse_rrule
    >>> walls = RecurrenceWalls(parse_rrule("FREQ=MONTHLY;BYDAY=-1FR"), to_wall(datetime(2026, 1, 1, 9)))
    >>> from_wall(walls.next_wall(to_wall(datetime(2026, 2, 1)))).isoformat()
    '2026-02-27T09:00:00'
    """

    __slots__ = ("_days", "_first", "_hours", "_last", "_minutes", "_never", "_origin", "_rule", "_times")

    def __init__(self, rule: Recurrence, start: int) -> None:
        self._rule = rule
        self._first = start
        self._last = _LAST_WALL if rule.until is None else to_wall(rule.until)
        begin = from_wall(start)
        self._days = RecurrenceDays(rule, begin)
        frequency = rule.frequency
        self._hours = rule.values("BYHOUR")
        self._minutes = rule.values("BYMINUTE")
        self._times = self._times_of_period(begin)
        self._origin = self._period_of(start)
        if len(self._times) > _MOST_TIMES:
            fix = "Use FREQ=MINUTELY or FREQ=HOURLY with the same BY... parts."
            problem = f"more than {_MOST_TIMES} times in one {frequency.name} period"
            raise ScheduleError("rrule", rule.text, problem, fix)
        self._never = not may_fit(rule, self._days, times=len(self._times), origin=self._origin)

    def next_wall(self, at_least: int) -> int | None:
        """Return the first wall at or after ``at_least``; None after the end, or when the search reaches its bound."""
        if self._never:
            return None
        at_least = max(at_least, self._first)
        period = self._aligned(self._period_of(at_least), up=True)
        for _ in range(MOST_PERIODS):
            if self._start_of(period) > self._last:
                return None
            found = self._first_of(self._bases(period), at_least)
            if found is not None:
                return found if found <= self._last else None
            period = self._aligned(self._hop(period + self._rule.interval, up=True), up=True)
        return None

    def previous_wall(self, at_most: int) -> int | None:
        """Return the last wall at or before ``at_most``; None before the start, or at the bound of the search."""
        at_most = min(at_most, self._last)
        if self._never or at_most < self._first:
            return None
        period = self._aligned(self._period_of(at_most), up=False)
        for _ in range(MOST_PERIODS):
            if period < self._origin:
                return None
            found = self._last_of(self._bases(period), at_most)
            if found is not None:
                return found if found >= self._first else None
            period = self._aligned(self._hop(period - self._rule.interval, up=False), up=False)
        return None

    def take(self, count: int) -> list[int]:
        """Return the first ``count`` walls, or all of them when they are fewer.

        Raises:
            ScheduleError: If they are so far apart that finding them takes too long.
        """
        found: list[int] = []
        period, looked = self._origin, 0
        while not self._never and len(found) < count and self._start_of(period) <= self._last:
            if looked >= _FIRST_COUNTED + _MORE_COUNTED * len(found):
                problem = f"only {len(found)} of {count} instants in {looked} periods"
                raise ScheduleError("rrule.COUNT", self._rule.text, problem, "Use a smaller COUNT, or UNTIL.")
            looked += 1
            walls = self._walls_in(self._bases(period))
            found += [wall for wall in walls if self._first <= wall <= self._last]
            period = self._aligned(self._hop(period + self._rule.interval, up=True), up=True)
        return found[:count]

    def _times_of_period(self, begin: datetime) -> tuple[int, ...]:
        """The seconds after each base (a day, an hour or a minute) that are named, sorted."""
        frequency = self._rule.frequency
        hours = (0,) if frequency >= Frequency.HOURLY else self._hours or (begin.hour,)
        minutes = (0,) if frequency >= Frequency.MINUTELY else self._minutes or (begin.minute,)
        seconds = self._rule.values("BYSECOND") or (begin.second,)
        if len(hours) * len(minutes) * len(seconds) > _MOST_TIMES:
            return (0,) * (_MOST_TIMES + 1)
        return tuple(hour * 3_600 + minute * 60 + second for hour in hours for minute in minutes for second in seconds)

    # Periods: numbered so that neighbours differ by one; the rule keeps every ``interval``-th, counted from its start.

    def _period_of(self, wall: int) -> int:
        match self._rule.frequency:
            case Frequency.YEARLY:
                return from_wall(wall).year
            case Frequency.MONTHLY:
                when = from_wall(wall)
                return when.year * 12 + when.month - 1
            case Frequency.WEEKLY:
                # Day 0 was a Thursday; week 0 is the one that holds it.
                return (wall // DAY + 4 - self._rule.week_start) // 7
            case Frequency.DAILY:
                return wall // DAY
            case Frequency.HOURLY:
                return wall // 3_600
            case Frequency.MINUTELY:
                return wall // 60

    def _start_of(self, period: int) -> int:
        match self._rule.frequency:
            case Frequency.YEARLY:
                return first_day(min(period * 12, LAST_MONTH + 12)) * DAY
            case Frequency.MONTHLY:
                return first_day(min(period, LAST_MONTH + 12)) * DAY
            case Frequency.WEEKLY:
                return (period * 7 - 4 + self._rule.week_start) * DAY
            case Frequency.DAILY:
                return period * DAY
            case Frequency.HOURLY:
                return period * 3_600
            case Frequency.MINUTELY:
                return period * 60

    def _aligned(self, period: int, *, up: bool) -> int:
        late = (period - self._origin) % self._rule.interval
        if not late:
            return period
        return period - late + self._rule.interval if up else period - late

    def _bases(self, period: int) -> list[int]:
        """The walls the times of a period are added to: its matching days, or itself."""
        match self._rule.frequency:
            case Frequency.YEARLY:
                return [base for month in range(period * 12, period * 12 + 12) for base in self._days.of_month(month)]
            case Frequency.MONTHLY:
                return self._days.of_month(period)
            case Frequency.WEEKLY:
                first = self._start_of(period) // DAY
                return [day * DAY for day in range(first, first + 7) if self._days.names(day)]
            case Frequency.DAILY:
                return [period * DAY] if self._days.names(period) else []
            case Frequency.HOURLY:
                named = self._days.names(period // 24) and self._names_hour(period % 24)
                return [period * 3_600] if named else []
            case Frequency.MINUTELY:
                named = (
                    self._days.names(period // 1_440)
                    and self._names_hour(period // 60 % 24)
                    and (not self._minutes or period % 60 in self._minutes)
                )
                return [period * 60] if named else []

    def _hop(self, period: int, *, up: bool) -> int:
        """The nearest period, from this one on in the direction of the search, that may be named."""
        frequency = self._rule.frequency
        if frequency is Frequency.YEARLY:
            return period
        if frequency < Frequency.DAILY:
            edge = self._start_of(period) // DAY - 1 if up else self._start_of(period + 1) // DAY
            return self._period_of(self._days.beyond(edge, up=up) * DAY)
        per_day = PER_DAY[frequency]
        day = period // per_day
        if not self._days.names(day):
            day = self._days.beyond(day, up=up)
            return day * per_day if up else (day + 1) * per_day - 1
        if frequency is Frequency.HOURLY:
            return _nearest(period, self._hours, 24, up=up)
        if frequency is Frequency.MINUTELY:
            if self._names_hour(period // 60 % 24):
                return _nearest(period, self._minutes, 60, up=up)
            hour = _nearest(period // 60, self._hours, 24, up=up)
            return hour * 60 if up else hour * 60 + 59
        return period

    def _names_hour(self, hour: int) -> bool:
        return not self._hours or hour in self._hours

    # One period: the product of bases and times, in order; BYSETPOS chooses from it by position.

    def _first_of(self, bases: list[int], at_least: int) -> int | None:
        if self._rule.values("BYSETPOS"):
            chosen = self._chosen(bases)
            index = bisect_left(chosen, at_least)
            return chosen[index] if index < len(chosen) else None
        times = self._times
        index = bisect_left(bases, at_least - times[-1])
        if index == len(bases):
            return None
        return bases[index] + times[bisect_left(times, at_least - bases[index])]

    def _last_of(self, bases: list[int], at_most: int) -> int | None:
        if self._rule.values("BYSETPOS"):
            chosen = self._chosen(bases)
            index = bisect_right(chosen, at_most)
            return chosen[index - 1] if index else None
        times = self._times
        index = bisect_right(bases, at_most - times[0])
        if not index:
            return None
        return bases[index - 1] + times[bisect_right(times, at_most - bases[index - 1]) - 1]

    def _walls_in(self, bases: list[int]) -> list[int]:
        if self._rule.values("BYSETPOS"):
            return self._chosen(bases)
        return [base + time for base in bases for time in self._times]

    def _chosen(self, bases: list[int]) -> list[int]:
        size = len(bases) * len(self._times)
        places = (index_of(place, size) for place in self._rule.values("BYSETPOS"))
        return sorted(
            {
                bases[place // len(self._times)] + self._times[place % len(self._times)]
                for place in places
                if 0 <= place < size
            }
        )


def _nearest(period: int, named: tuple[int, ...], size: int, *, up: bool) -> int:
    """The nearest period whose remainder by ``size`` is named; where none is in this round, the next round's edge."""
    if not named:
        return period
    before = period - period % size
    index = bisect_left(named, period % size) if up else bisect_right(named, period % size) - 1
    if 0 <= index < len(named):
        return before + named[index]
    return before + size if up else before - 1
