"""What a cron expression is once it has been read: one bit mask a field, and the days that depend on the month.

The text is read by :mod:`mainspring.schedule.cron_text`; what the masks mean on a calendar is
:mod:`mainspring.schedule.cron_match`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")

#: Texts of a day field that restrict nothing.
BARE = ("*", "?")


@dataclass(frozen=True, slots=True)
class Field:
    """One of the fields of an expression: its values, from ``low`` to ``high``, and the numbers of their names."""

    name: str
    low: int
    high: int
    numbers: dict[str, int]
    every: int
    """The mask of all its values."""

    @property
    def path(self) -> str:
        """How errors call it."""
        return f"cron.{self.name}"


def _field(name: str, low: int, high: int, names: tuple[str, ...] = ()) -> Field:
    return Field(name, low, high, {name: low + index for index, name in enumerate(names)}, span_mask(low, high))


def span_mask(low: int, high: int) -> int:
    """Return the mask of ``low`` to ``high``, both included."""
    return (2 << high) - (1 << low)


SECOND = _field("second", 0, 59)
MINUTE = _field("minute", 0, 59)
HOUR = _field("hour", 0, 23)
DAY = _field("day_of_month", 1, 31)
MONTH = _field("month", 1, 12, _MONTHS)
WEEKDAY = _field("day_of_week", 0, 7, _WEEKDAYS)
FIELDS = (SECOND, MINUTE, HOUR, DAY, MONTH, WEEKDAY)


class DayKind(Enum):
    """A day that depends on the month: what ``L``, ``L-n``, ``LW``, ``nW``, ``d#n`` and ``dL`` name."""

    BEFORE_LAST = "L-n"
    LAST_WORKDAY = "LW"
    NEAREST_WORKDAY = "nW"
    NTH_WEEKDAY = "d#n"
    LAST_WEEKDAY = "dL"


@dataclass(frozen=True, slots=True)
class DayRule:
    """One such day. ``day``: the n of ``L-n`` and ``nW``, or the weekday (0 Sunday) of ``d#n`` and ``dL``."""

    kind: DayKind
    day: int = 0
    nth: int = 0


class CronFields(NamedTuple):
    """An expression, read. Masks have bit n set where n matches; weekdays are 0 (Sunday) to 6.

    Attributes:
        text: The expression as typed.
        parts: The text of the six fields, seconds first, lower case, nicknames replaced.
        days, day_rules: What the day-of-month field names; a bare star names all of 1 to 31.
        weekdays, weekday_rules: What the day-of-week field names.
        either_day: Whether a date matches when either day field does; else both have to.
        wildcard: Whether the expression follows real time through clock changes instead of the wall clock.
    """

    text: str
    parts: tuple[str, ...]
    seconds: int
    minutes: int
    hours: int
    days: int
    day_rules: tuple[DayRule, ...]
    months: int
    weekdays: int
    weekday_rules: tuple[DayRule, ...]
    either_day: bool
    wildcard: bool

    @property
    def both_days_restricted(self) -> bool:
        """Whether both day fields say something: the case people read in two ways."""
        return self.parts[3] not in BARE and self.parts[5] not in BARE

    @property
    def every_hour(self) -> bool:
        """Whether every hour of every day is named, so that only minutes and seconds choose."""
        return self.hours == HOUR.every and all(part in BARE for part in self.parts[3:])
