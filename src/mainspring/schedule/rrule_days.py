"""Which days a recurrence rule names: one mask a month, bit n for day n, kept for each kind of month there is.

Months are counted from year 0 (``year * 12 + month - 1``), days from 1970. Years are of one kind where they begin on
the same weekday and have the same leap years around them: whatever a rule says of dates, it says of all of them alike.
"""

from __future__ import annotations

from calendar import isleap
from collections.abc import Iterable
from datetime import date, datetime
from functools import cache, lru_cache

from mainspring.schedule.instants import DAY, EPOCH_ORDINAL, from_wall
from mainspring.schedule.rrule_text import Frequency, Recurrence

#: The months of the horizon.
FIRST_MONTH, LAST_MONTH = 1_970 * 12, 2_601 * 12

_EVERY_WEEK = sum(1 << 7 * week for week in range(5))

_Kind = tuple[int, bool, bool, bool]


class RecurrenceDays:
    """The days of one rule, what it does not say about dates taken from its start."""

    __slots__ = ("_by_day", "_masks", "_rule", "_values")

    def __init__(self, rule: Recurrence, begin: datetime) -> None:
        self._rule = rule
        self._masks: dict[tuple[int, _Kind], int] = {}
        self._values = {part: rule.values(part) for part in ("BYMONTH", "BYMONTHDAY", "BYYEARDAY", "BYWEEKNO")}
        self._by_day = rule.by_day
        self._complete(begin)

    def names(self, day: int) -> bool:
        """Return whether the rule names a day, counted from 1970."""
        when = date.fromordinal(day + EPOCH_ORDINAL)
        return self._mask(when.year * 12 + when.month - 1) >> when.day & 1 == 1

    def names_weekday(self, weekday: int) -> bool:
        """Return whether a weekday, 0 Sunday, is one of the rule's; of a rule that names no nth of a month or year."""
        return not self._by_day or (0, weekday) in self._by_day

    def count(self, month: int, months: int = 1) -> int:
        """Return how many days the rule names in so many months from ``month`` on."""
        return sum(self._mask(month).bit_count() for month in range(month, month + months))

    def of_month(self, month: int) -> list[int]:
        """Return the walls at which the named days of a month begin, in order."""
        mask, first = self._mask(month), first_day(month)
        return [(first + day - 1) * DAY for day in range(1, 32) if mask >> day & 1]

    def beyond(self, day: int, *, up: bool) -> int:
        """Return the next (or last) matching day after (before) ``day``; one outside the horizon when there is none."""
        when = date.fromordinal(day + EPOCH_ORDINAL)
        month = when.year * 12 + when.month - 1
        mask = self._mask(month)
        mask = mask >> when.day + 1 << when.day + 1 if up else mask & (1 << when.day) - 1
        while not mask:
            month += 1 if up else -1
            if not FIRST_MONTH <= month <= LAST_MONTH:
                return first_day(month)
            mask = self._mask(month)
        return first_day(month) + ((mask & -mask).bit_length() if up else mask.bit_length()) - 2

    def _complete(self, begin: datetime) -> None:
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

    def _mask(self, month: int) -> int:
        key = month % 12, _kind(month // 12)
        found = self._masks.get(key)
        if found is None:
            found = self._masks[key] = self._matching_days(month)
        return found

    def _matching_days(self, month: int) -> int:
        months = self._values["BYMONTH"]
        if months and month % 12 + 1 not in months:
            return 0
        first = first_day(month)
        length = first_day(month + 1) - first
        mask = (2 << length) - 2
        if self._values["BYMONTHDAY"]:
            mask &= _bits(number if number > 0 else length + 1 + number for number in self._values["BYMONTHDAY"])
        if self._by_day:
            mask &= self._weekday_bits(month, first, length)
        if self._values["BYYEARDAY"]:
            new_year, days = _year(month)
            wanted = (number if number > 0 else days + 1 + number for number in self._values["BYYEARDAY"])
            mask &= _bits(new_year + number - first for number in wanted)
        if mask and self._values["BYWEEKNO"]:
            mask &= self._week_bits(first, length)
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

    def _week_bits(self, first: int, length: int) -> int:
        """The days of the month whose week has one of the numbers."""
        begin = first - (_weekday(first) - self._rule.week_start) % 7
        weeks = [week for week in range(begin, first + length, 7) if self._names_week(week)]
        return _bits(day - first + 1 for week in weeks for day in range(week, week + 7))

    def _names_week(self, monday: int) -> bool:
        """Whether the week from ``monday`` has one of the numbers; week 1 is the first with four days in its year."""
        year = from_wall((monday + 3) * DAY).year
        first, following = self._first_week(year), self._first_week(year + 1)
        number, weeks = (monday - first) // 7 + 1, (following - first) // 7
        wanted = self._values["BYWEEKNO"]
        return number in wanted or number - weeks - 1 in wanted

    def _first_week(self, year: int) -> int:
        new_year = first_day(year * 12)
        start = new_year - (_weekday(new_year) - self._rule.week_start) % 7
        return start if start + 3 >= new_year else start + 7


@lru_cache(1_024)
def _kind(year: int) -> _Kind:
    return date(year, 1, 1).weekday(), isleap(year - 1), isleap(year), isleap(year + 1)


@cache
def years_of_each_kind() -> tuple[int, ...]:
    """Return one year of each kind there is: 28."""
    return tuple({_kind(year): year for year in range(2_000, 2_400)}.values())


def _bits(days: Iterable[int]) -> int:
    mask = 0
    for day in days:
        if 1 <= day <= 31:
            mask |= 1 << day
    return mask


def first_day(month: int) -> int:
    """Return the 1st of a month, in days from 1970."""
    return date(month // 12, month % 12 + 1, 1).toordinal() - EPOCH_ORDINAL


def _year(month: int) -> tuple[int, int]:
    """First day and length of the year a month lies in."""
    first = first_day(month // 12 * 12)
    return first, first_day(month // 12 * 12 + 12) - first


def _weekday(day: int) -> int:
    return (day + EPOCH_ORDINAL) % 7
