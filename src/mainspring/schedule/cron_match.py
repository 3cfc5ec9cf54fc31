"""Which wall times a cron expression names: calendar arithmetic on masks, without zones and without loops over seconds.

Walls are seconds since 1970-01-01T00:00:00 on the wall. Both directions cost the same, whatever lies in between:
at most one step per month without a match.
"""

from __future__ import annotations

from calendar import isleap
from datetime import date

from mainspring.schedule.cron_fields import DAY as DAY_FIELD
from mainspring.schedule.cron_fields import MONTH, CronFields, DayKind, DayRule
from mainspring.schedule.instants import DAY, EPOCH_ORDINAL, HORIZON_MS

_LENGTHS = (0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
# Where 1970 begins in UTC, the walls west of it show 1969.
_FIRST_DAY, _LAST_DAY = -1, HORIZON_MS // 1_000 // DAY
_EVERY_WEEKDAY = 0x7F
# A mask of weekdays times this is the mask of six weeks, more than any month meets.
_SIX_WEEKS = sum(1 << 7 * week for week in range(6))
# The days that every month has in some year, each of them on any weekday in some year.
_ALWAYS_SOMEWHEN = (2 << 29) - 2
#: Days every month has, and all weekdays of six weeks.
_IN_EACH_MONTH = (2 << 28) - 2
_EVERY_WEEK = _EVERY_WEEKDAY * _SIX_WEEKS


class CronMatcher:
    """The wall times of one expression, in order. Immutable."""

    __slots__ = (
        "_days",
        "_either",
        "_every_day",
        "_first",
        "_hours",
        "_minutes",
        "_months",
        "_rules",
        "_seconds",
        "_weeks",
    )

    def __init__(self, fields: CronFields) -> None:
        _, _, seconds, minutes, hours, days, day_rules, months, weekdays, weekday_rules, either, _ = fields
        self._seconds, self._minutes, self._hours = seconds, minutes, hours
        self._first = _low(hours) * 3_600 + _low(minutes) * 60 + _low(seconds)
        self._days, self._months, self._either = days, months, either
        self._weeks = weekdays * _SIX_WEEKS
        self._rules = (day_rules, weekday_rules) if day_rules or weekday_rules else None
        self._every_day = days == DAY_FIELD.every and months == MONTH.every and weekdays == _EVERY_WEEKDAY

    def next_wall(self, at_least: int) -> int | None:
        """Return the first wall named at or after ``at_least``; None beyond the horizon.

        >>> from mainspring.schedule.cron_text import parse_cron
        >>> CronMatcher(parse_cron("30 2 * * *")).next_wall(0)
        9000
        """
        day, second = divmod(at_least, DAY)
        time = self._time_from(second)
        if time < 0 or day < _FIRST_DAY:
            found = self._day_from(day + 1)
            return None if found is None else found * DAY + self._first
        found = self._day_from(day)
        if found is None:
            return None
        return found * DAY + (time if found == day else self._first)

    def previous_wall(self, at_most: int) -> int | None:
        """Return the last wall named at or before ``at_most``; None when there is none since 1970.

        >>> from mainspring.schedule.cron_text import parse_cron
        >>> CronMatcher(parse_cron("30 2 * * *")).previous_wall(86_400)
        9000
        """
        day, second = divmod(at_most, DAY)
        time = self._time_until(second)
        if time < 0 or day > _LAST_DAY:
            found = self._day_until(day - 1)
            return None if found is None else found * DAY + self._last()
        found = self._day_until(day)
        if found is None:
            return None
        return found * DAY + (time if found == day else self._last())

    def fires(self) -> bool:
        """Return whether any date of the 400-year Gregorian cycle matches.

        The 400 years are 20871 whole weeks, and in them each month, with each length it has, starts on every weekday:
        looking at those combinations is looking at the whole cycle.
        """
        if self._days & _ALWAYS_SOMEWHEN and self._weeks:
            return True
        return any(
            self._matching(length, first)
            for month in range(1, 13)
            if self._months >> month & 1
            for length in ((29, 28) if month == 2 else (_LENGTHS[month],))
            for first in range(7)
        )

    def fires_every_year(self) -> bool:
        """Return whether each of the 14 kinds of calendar year has a matching date."""
        if (self._days & _IN_EACH_MONTH and self._weeks == _EVERY_WEEK) or (
            self._days == DAY_FIELD.every and self._weeks
        ):
            return True
        # 28 years between two skipped leap days hold every kind.
        return all(
            any(
                self._of_month(year, month, _first_day(year, month))
                for month in range(1, 13)
                if self._months >> month & 1
            )
            for year in range(2001, 2029)
        )

    def _time_from(self, second: int) -> int:
        """First time of day at or after ``second``, in seconds; -1 when there is none."""
        hour, rest = divmod(second, 3_600)
        if self._hours >> hour & 1:
            minute, second = divmod(rest, 60)
            if self._minutes >> minute & 1:
                later = self._seconds >> second
                if later:
                    return hour * 3_600 + minute * 60 + second + _low(later)
            later = self._minutes >> minute + 1
            if later:
                return hour * 3_600 + (minute + 1 + _low(later)) * 60 + _low(self._seconds)
        later = self._hours >> hour + 1
        if later:
            return (hour + 1 + _low(later)) * 3_600 + self._first % 3_600
        return -1

    def _time_until(self, second: int) -> int:
        """Last time of day at or before ``second``, in seconds; -1 when there is none."""
        hour, rest = divmod(second, 3_600)
        if self._hours >> hour & 1:
            minute, second = divmod(rest, 60)
            if self._minutes >> minute & 1:
                earlier = self._seconds & (2 << second) - 1
                if earlier:
                    return hour * 3_600 + minute * 60 + _high(earlier)
            earlier = self._minutes & (1 << minute) - 1
            if earlier:
                return hour * 3_600 + _high(earlier) * 60 + _high(self._seconds)
        earlier = self._hours & (1 << hour) - 1
        if earlier:
            return _high(earlier) * 3_600 + self._last() % 3_600
        return -1

    def _last(self) -> int:
        """Last time of day, in seconds."""
        return _high(self._hours) * 3_600 + _high(self._minutes) * 60 + _high(self._seconds)

    def _day_from(self, day: int) -> int | None:
        """First day at or after ``day``, counted from 1970; None beyond the horizon."""
        day = max(day, _FIRST_DAY)
        if day > _LAST_DAY:
            return None
        if self._every_day:
            return day
        when = date.fromordinal(day + EPOCH_ORDINAL)
        year, month, start = when.year, when.month, day - when.day + 1
        found = self._of_month(year, month, start) >> when.day << when.day if self._months >> month & 1 else 0
        while not found:
            later = self._months >> month + 1
            year, month = (year, month + 1 + _low(later)) if later else (year + 1, _low(self._months))
            start = _first_day(year, month)
            if start > _LAST_DAY:
                return None
            found = self._of_month(year, month, start)
        return start + _low(found) - 1

    def _day_until(self, day: int) -> int | None:
        """Last day at or before ``day``; None when there is none since 1970."""
        day = min(day, _LAST_DAY)
        if day < _FIRST_DAY:
            return None
        if self._every_day:
            return day
        when = date.fromordinal(day + EPOCH_ORDINAL)
        year, month, start = when.year, when.month, day - when.day + 1
        found = self._of_month(year, month, start) & (2 << when.day) - 1 if self._months >> month & 1 else 0
        while not found:
            earlier = self._months & (1 << month) - 1
            year, month = (year, _high(earlier)) if earlier else (year - 1, _high(self._months))
            if year < 1969:
                return None
            start = _first_day(year, month)
            found = self._of_month(year, month, start)
        day = start + _high(found) - 1
        return day if day >= _FIRST_DAY else None

    def _of_month(self, year: int, month: int, start: int) -> int:
        """Matching days of one of the named months; ``start`` is its 1st, counted from 1970."""
        length = 28 + isleap(year) if month == 2 else _LENGTHS[month]
        # 1 January 1970 was a Thursday.
        return self._matching(length, (start + 4) % 7)

    def _matching(self, length: int, first: int) -> int:
        """Matching days (bits 1 to ``length``) of a month whose 1st is the weekday ``first`` (0 Sunday)."""
        days, weekdays = self._days, self._weeks >> first << 1
        if self._rules is not None:
            of_days, of_weekdays = self._rules
            for rule in of_days:
                days |= _rule_day(rule, length, first)
            for rule in of_weekdays:
                weekdays |= _rule_day(rule, length, first)
        return (days | weekdays if self._either else days & weekdays) & (2 << length) - 2


def _rule_day(rule: DayRule, length: int, first: int) -> int:
    """Return the mask of the one day ``rule`` names in such a month, or 0."""
    match rule.kind:
        case DayKind.BEFORE_LAST:
            day = length - rule.day
        case DayKind.LAST_WORKDAY:
            day = _nearest_workday(length, length, first)
        case DayKind.NEAREST_WORKDAY:
            # There is no 31st in a short month, so nothing is near it.
            day = _nearest_workday(rule.day, length, first) if rule.day <= length else 0
        case DayKind.NTH_WEEKDAY:
            day = 1 + (rule.day - first) % 7 + 7 * (rule.nth - 1)
        case _:  # DayKind.LAST_WEEKDAY
            day = length - (first + length - 1 - rule.day) % 7
    return 1 << day if 1 <= day <= length else 0


def _nearest_workday(day: int, length: int, first: int) -> int:
    """Return the Monday-to-Friday day nearest to ``day`` without leaving the month."""
    weekday = (first + day - 1) % 7
    if weekday == 6:
        return day - 1 if day > 1 else day + 2
    if weekday == 0:
        return day + 1 if day < length else day - 2
    return day


def _first_day(year: int, month: int) -> int:
    return date(year, month, 1).toordinal() - EPOCH_ORDINAL


def _low(mask: int) -> int:
    return (mask & -mask).bit_length() - 1


def _high(mask: int) -> int:
    return mask.bit_length() - 1
