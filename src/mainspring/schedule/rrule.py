"""Which wall times a recurrence rule names: RFC 5545, naive, in either direction, at a cost that does not follow time.

Libraries iterate from DTSTART, or loop to the year 9999 when nothing matches. Here a rule is a row of numbered periods
(years, months, weeks, days, hours, minutes) and each period is computed on its own, so the search starts where it is
asked and stops after a bounded number of periods. ``python-dateutil`` is what the tests compare with.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from datetime import date, datetime

from mainspring.errors import ScheduleError
from mainspring.schedule.instants import DAY, EPOCH_ORDINAL, HORIZON_MS, from_wall, to_wall
from mainspring.schedule.rrule_text import Frequency, Recurrence

_LAST_WALL = HORIZON_MS // 1_000
_FIRST_MONTH, _LAST_MONTH = 1_970 * 12, 2_601 * 12
_EVERY_WEEK = sum(1 << 7 * week for week in range(5))

# Periods looked at in one search. A rule so sparse that this does not reach its next instant has none.
_MOST_PERIODS = 20_000
_MOST_COUNTED = 50_000

_MOST_TIMES = 1_440
_MOST_MASKS = 64


class RecurrenceWalls:
    """The walls of one rule from its start on, in order.

    >>> from mainspring.schedule.rrule_text import parse_rrule
    >>> walls = RecurrenceWalls(parse_rrule("FREQ=MONTHLY;BYDAY=-1FR"), to_wall(datetime(2026, 1, 1, 9)))
    >>> from_wall(walls.next_wall(to_wall(datetime(2026, 2, 1)))).isoformat()
    '2026-02-27T09:00:00'
    """

    __slots__ = ("_by_day", "_first", "_hours", "_last", "_masks", "_minutes", "_origin", "_rule", "_times", "_values")

    def __init__(self, rule: Recurrence, start: int) -> None:
        self._rule = rule
        self._first = start
        self._last = _LAST_WALL if rule.until is None else to_wall(rule.until)
        self._masks: dict[int, int] = {}
        begin = from_wall(start)
        self._values = {part: rule.values(part) for part in ("BYMONTH", "BYMONTHDAY", "BYYEARDAY", "BYWEEKNO")}
        self._by_day = rule.by_day
        self._complete_days(begin)
        frequency = rule.frequency
        self._hours = rule.values("BYHOUR")
        self._minutes = rule.values("BYMINUTE")
        self._times = self._times_of_period(begin)
        self._origin = self._period_of(start)
        if len(self._times) > _MOST_TIMES:
            fix = "Use FREQ=MINUTELY or FREQ=HOURLY with the same BY... parts."
            problem = f"more than {_MOST_TIMES} times in one {frequency.name} period"
            raise ScheduleError("rrule", rule.text, problem, fix)

    def next_wall(self, at_least: int) -> int | None:
        """Return the first wall at or after ``at_least``; None after the end, or when the search reaches its bound."""
        at_least = max(at_least, self._first)
        period = self._aligned(self._period_of(at_least), up=True)
        for _ in range(_MOST_PERIODS):
            if self._start_of(period) > self._last:
                return None
            found = self._first_of(self._bases(period), at_least)
            if found is not None:
                return found if found <= self._last else None
            period = self._aligned(max(period + self._rule.interval, self._hop(period, up=True)), up=True)
        return None

    def previous_wall(self, at_most: int) -> int | None:
        """Return the last wall at or before ``at_most``; None before the start, or at the bound of the search."""
        at_most = min(at_most, self._last)
        if at_most < self._first:
            return None
        period = self._aligned(self._period_of(at_most), up=False)
        for _ in range(_MOST_PERIODS):
            if period < self._origin:
                return None
            found = self._last_of(self._bases(period), at_most)
            if found is not None:
                return found if found >= self._first else None
            period = self._aligned(min(period - self._rule.interval, self._hop(period, up=False)), up=False)
        return None

    def take(self, count: int) -> list[int]:
        """Return the first ``count`` walls, or all of them when they are fewer.

        Raises:
            ScheduleError: If they are so far apart that finding them takes too long.
        """
        found: list[int] = []
        period = self._origin
        for _ in range(_MOST_COUNTED):
            if len(found) >= count or self._start_of(period) > self._last:
                return found[:count]
            walls = self._walls_in(self._bases(period))
            found += [wall for wall in walls if self._first <= wall <= self._last]
            period = self._aligned(max(period + self._rule.interval, self._hop(period, up=True)), up=True)
        problem = f"fewer than {count} instants in {_MOST_COUNTED} periods"
        raise ScheduleError("rrule.COUNT", self._rule.text, problem, "Use a smaller COUNT, or UNTIL.")

    def _complete_days(self, begin: datetime) -> None:
        """Take from the start what the rule does not say about dates (RFC 5545, 3.3.10)."""
        if self._by_day or any(self._values[part] for part in ("BYMONTHDAY", "BYYEARDAY", "BYWEEKNO")):
            return
        frequency = self._rule.frequency
        if frequency is Frequency.WEEKLY:
            self._by_day = ((0, begin.isoweekday() % 7),)
        elif frequency in (Frequency.MONTHLY, Frequency.YEARLY):
            self._values["BYMONTHDAY"] = (begin.day,)
            if frequency is Frequency.YEARLY and not self._values["BYMONTH"]:
                self._values["BYMONTH"] = (begin.month,)

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
                return _first_day(min(period * 12, _LAST_MONTH + 12)) * DAY
            case Frequency.MONTHLY:
                return _first_day(min(period, _LAST_MONTH + 12)) * DAY
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
                return [base for month in range(period * 12, period * 12 + 12) for base in self._days_of(month)]
            case Frequency.MONTHLY:
                return self._days_of(period)
            case Frequency.WEEKLY:
                first = self._start_of(period) // DAY
                return [day * DAY for day in range(first, first + 7) if self._names_day(day)]
            case Frequency.DAILY:
                return [period * DAY] if self._names_day(period) else []
            case Frequency.HOURLY:
                named = self._names_day(period // 24) and self._names_hour(period % 24)
                return [period * 3_600] if named else []
            case Frequency.MINUTELY:
                named = (
                    self._names_day(period // 1_440)
                    and self._names_hour(period // 60 % 24)
                    and (not self._minutes or period % 60 in self._minutes)
                )
                return [period * 60] if named else []

    def _hop(self, period: int, *, up: bool) -> int:
        """A period beyond which, in the direction of the search, nothing before is named; ``period`` when unknown."""
        frequency = self._rule.frequency
        if frequency < Frequency.DAILY:
            return period
        per_day = {Frequency.DAILY: 1, Frequency.HOURLY: 24, Frequency.MINUTELY: 1_440}[frequency]
        day = period // per_day
        if not self._names_day(day):
            day = self._day_beyond(day, up=up)
            return day * per_day if up else (day + 1) * per_day - 1
        if frequency is Frequency.MINUTELY and not self._names_hour(period // 60 % 24):
            return (period // 60 + 1) * 60 if up else period // 60 * 60 - 1
        return period

    def _day_beyond(self, day: int, *, up: bool) -> int:
        """The next (or last) matching day after (before) ``day``; one outside the horizon when there is none."""
        when = date.fromordinal(day + EPOCH_ORDINAL)
        month = when.year * 12 + when.month - 1
        mask = self._mask(month)
        mask = mask >> when.day + 1 << when.day + 1 if up else mask & (1 << when.day) - 1
        while not mask:
            month += 1 if up else -1
            if not _FIRST_MONTH <= month <= _LAST_MONTH:
                return _first_day(month)
            mask = self._mask(month)
        return _first_day(month) + ((mask & -mask).bit_length() if up else mask.bit_length()) - 2

    # Days: one mask per month, bit n for day n.

    def _names_day(self, day: int) -> bool:
        when = date.fromordinal(day + EPOCH_ORDINAL)
        return self._mask(when.year * 12 + when.month - 1) >> when.day & 1 == 1

    def _names_hour(self, hour: int) -> bool:
        return not self._hours or hour in self._hours

    def _days_of(self, month: int) -> list[int]:
        mask, first = self._mask(month), _first_day(month)
        return [(first + day - 1) * DAY for day in range(1, 32) if mask >> day & 1]

    def _mask(self, month: int) -> int:
        found = self._masks.get(month)
        if found is None:
            if len(self._masks) >= _MOST_MASKS:
                self._masks.clear()
            found = self._masks[month] = self._matching_days(month)
        return found

    def _matching_days(self, month: int) -> int:
        months = self._values["BYMONTH"]
        if months and month % 12 + 1 not in months:
            return 0
        first = _first_day(month)
        length = _first_day(month + 1) - first
        mask = (2 << length) - 2
        if self._values["BYMONTHDAY"]:
            mask &= _bits(number if number > 0 else length + 1 + number for number in self._values["BYMONTHDAY"])
        if self._by_day:
            mask &= self._weekday_bits(month, first, length)
        if self._values["BYYEARDAY"]:
            new_year, days = _year(month)
            wanted = (number if number > 0 else days + 1 + number for number in self._values["BYYEARDAY"])
            mask &= _bits(new_year + number - first for number in wanted)
        if self._values["BYWEEKNO"]:
            mask &= _bits(day for day in range(1, length + 1) if self._names_week(first + day - 1))
        return mask

    def _weekday_bits(self, month: int, first: int, length: int) -> int:
        bits = 0
        in_month = self._rule.frequency is Frequency.MONTHLY or bool(self._rule.values("BYMONTH"))
        start, size = (first, length) if in_month else _year(month)
        for ordinal, weekday in self._by_day:
            if not ordinal:
                bits |= _EVERY_WEEK << 1 + (weekday - _weekday(first)) % 7
                continue
            if ordinal > 0:
                day = start + (weekday - _weekday(start)) % 7 + 7 * (ordinal - 1)
            else:
                last = start + size - 1
                day = last - (_weekday(last) - weekday) % 7 + 7 * (ordinal + 1)
            if start <= day < start + size:
                bits |= _bits([day - first + 1])
        return bits

    def _names_week(self, day: int) -> bool:
        """Whether the week of ``day`` has one of the numbers; week 1 is the first with four days in its year."""
        monday = day - (_weekday(day) - self._rule.week_start) % 7
        year = from_wall((monday + 3) * DAY).year
        first, following = self._first_week(year), self._first_week(year + 1)
        number, weeks = (monday - first) // 7 + 1, (following - first) // 7
        wanted = self._values["BYWEEKNO"]
        return number in wanted or number - weeks - 1 in wanted

    def _first_week(self, year: int) -> int:
        new_year = _first_day(year * 12)
        start = new_year - (_weekday(new_year) - self._rule.week_start) % 7
        return start if start + 3 >= new_year else start + 7

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
        places = (place - 1 if place > 0 else size + place for place in self._rule.values("BYSETPOS"))
        return sorted(
            {
                bases[place // len(self._times)] + self._times[place % len(self._times)]
                for place in places
                if 0 <= place < size
            }
        )


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


def _bits(days: Iterable[int]) -> int:
    mask = 0
    for day in days:
        if 1 <= day <= 31:
            mask |= 1 << day
    return mask


def _first_day(month: int) -> int:
    return date(month // 12, month % 12 + 1, 1).toordinal() - EPOCH_ORDINAL


def _year(month: int) -> tuple[int, int]:
    """First day and length of the year a month lies in."""
    first = _first_day(month // 12 * 12)
    return first, _first_day(month // 12 * 12 + 12) - first


def _weekday(day: int) -> int:
    return (day + EPOCH_ORDINAL) % 7
