"""Which wall times a cron expression names: calendar arithmetic on masks, without zones and without loops over seconds.

Walls are seconds since 1970-01-01T00:00:00 on the wall. Both directions cost the same, whatever lies in between:
at most one step per month without a match.
"""

from __future__ import annotations

from datetime import date

from mainspring.schedule.cron_text import CronFields, DayKind, DayRule
from mainspring.schedule.instants import DAY, EPOCH_ORDINAL, HORIZON_MS

_LENGTHS = (0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_LAST_DAY = HORIZON_MS // 1_000 // DAY
_WEEKLY = sum(1 << 7 * week for week in range(5))


class CronMatcher:
    """The wall times of one expression, in order. Immutable."""

    __slots__ = ("_every_day", "_fields", "_first", "_hours", "_last", "_minutes", "_seconds")

    def __init__(self, fields: CronFields) -> None:
        self._fields = fields
        self._seconds = fields.seconds
        self._minutes = fields.minutes
        self._hours = fields.hours
        self._first = _low(fields.hours) * 3_600 + _low(fields.minutes) * 60 + _low(fields.seconds)
        self._last = _high(fields.hours) * 3_600 + _high(fields.minutes) * 60 + _high(fields.seconds)
        self._every_day = fields.parts[3:] == ("*", "*", "*")

    def next_wall(self, at_least: int) -> int | None:
        """Return the first wall named at or after ``at_least``; None beyond the horizon.

        >>> from mainspring.schedule.cron_text import parse_cron
        >>> CronMatcher(parse_cron("30 2 * * *")).next_wall(0)
        9000
        """
        day, second = divmod(at_least, DAY)
        if self._every_day or self._names_day(day):
            time = self._time_from(second)
            if time >= 0:
                return day * DAY + time
        found = self._day_from(day + 1)
        return None if found is None else found * DAY + self._first

    def previous_wall(self, at_most: int) -> int | None:
        """Return the last wall named at or before ``at_most``; None before 1970.

        >>> from mainspring.schedule.cron_text import parse_cron
        >>> CronMatcher(parse_cron("30 2 * * *")).previous_wall(86_400)
        9000
        """
        day, second = divmod(at_most, DAY)
        if self._every_day or self._names_day(day):
            time = self._time_until(second)
            if time >= 0:
                return day * DAY + time
        found = self._day_until(day - 1)
        return None if found is None else found * DAY + self._last

    def fires(self) -> bool:
        """Return whether any date of the 400-year Gregorian cycle matches.

        The 400 years are 20871 whole weeks, and in them each month, with each length it has, starts on every weekday:
        looking at those combinations is looking at the whole cycle.
        """
        fields = self._fields
        return any(
            month_days(fields, length, first)
            for month in range(1, 13)
            if fields.months >> month & 1
            for length in ((29, 28) if month == 2 else (_LENGTHS[month],))
            for first in range(7)
        )

    def fires_every_year(self) -> bool:
        """Return whether each of the 14 kinds of calendar year has a matching date."""
        # 28 years between two skipped leap days hold every kind.
        return all(any(self._month_mask(year * 12 + month) for month in range(12)) for year in range(2001, 2029))

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
            return _high(earlier) * 3_600 + self._last % 3_600
        return -1

    def _names_day(self, day: int) -> bool:
        if not 0 <= day <= _LAST_DAY:
            return False
        when = date.fromordinal(day + EPOCH_ORDINAL)
        return self._month_mask(when.year * 12 + when.month - 1) >> when.day & 1 == 1

    def _day_from(self, day: int) -> int | None:
        day = max(day, 0)
        if day > _LAST_DAY:
            return None
        if self._every_day:
            return day
        when = date.fromordinal(day + EPOCH_ORDINAL)
        month = when.year * 12 + when.month - 1
        mask = self._month_mask(month) >> when.day << when.day
        while not mask:
            month += 1
            mask = self._month_mask(month)
            if month > 2_601 * 12:
                return None
        return _first_day(month) + _low(mask) - 1

    def _day_until(self, day: int) -> int | None:
        day = min(day, _LAST_DAY)
        if day < 0:
            return None
        if self._every_day:
            return day
        when = date.fromordinal(day + EPOCH_ORDINAL)
        month = when.year * 12 + when.month - 1
        mask = self._month_mask(month) & (2 << when.day) - 1
        while not mask:
            month -= 1
            mask = self._month_mask(month)
            if month < 1_970 * 12:
                return None
        return _first_day(month) + _high(mask) - 1

    def _month_mask(self, month: int) -> int:
        """Matching days of a month counted from year 0 (``year * 12 + month - 1``)."""
        year, index = divmod(month, 12)
        if not self._fields.months >> index + 1 & 1:
            return 0
        length = _LENGTHS[index + 1]
        if index == 1 and year % 4 == 0 and (year % 100 != 0 or year % 400 == 0):
            length = 29
        # Ordinal 7 is a Sunday.
        return month_days(self._fields, length, (_first_day(month) + EPOCH_ORDINAL) % 7)


def month_days(fields: CronFields, length: int, first: int) -> int:
    """Return the matching days (bits 1 to ``length``) of a month whose 1st is the weekday ``first`` (0 Sunday)."""
    days = fields.days
    for rule in fields.day_rules:
        days |= _rule_day(rule, length, first)
    # The week, turned so that bit 0 is the weekday of the 1st, then repeated for five weeks.
    weekdays = ((fields.weekdays << 7 | fields.weekdays) >> first & 0x7F) * _WEEKLY << 1
    for rule in fields.weekday_rules:
        weekdays |= _rule_day(rule, length, first)
    matching = days | weekdays if fields.either_day else days & weekdays
    return matching & (2 << length) - 2


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


def _first_day(month: int) -> int:
    return date(month // 12, month % 12 + 1, 1).toordinal() - EPOCH_ORDINAL


def _low(mask: int) -> int:
    return (mask & -mask).bit_length() - 1


def _high(mask: int) -> int:
    return mask.bit_length() - 1
