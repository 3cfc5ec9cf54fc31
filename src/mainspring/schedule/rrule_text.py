"""Read one recurrence rule of RFC 5545, strictly: what the RFC forbids is an error, and so is what it leaves undefined.

Lenient readers accept ``INTERVAL=0`` and never end, or ``BYMONTHDAY=32`` and never fire. What a rule names is
:mod:`mainspring.schedule.rrule`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from typing import NoReturn

from mainspring.errors import ScheduleError
from mainspring.schedule.instants import describe

MAX_LENGTH = 1_000
MOST_OCCURRENCES = 10_000
_LARGEST_INTERVAL = 100_000

#: Weekdays as in the RFC; Sunday is 0 here as in cron.
WEEKDAYS = ("SU", "MO", "TU", "WE", "TH", "FR", "SA")


class Frequency(IntEnum):
    """The period a rule repeats in, longest first. SECONDLY is not offered."""

    YEARLY = 0
    MONTHLY = 1
    WEEKLY = 2
    DAILY = 3
    HOURLY = 4
    MINUTELY = 5


# Part: lowest and highest value, and whether negative ones count from the end.
_RANGES = {
    "BYMONTH": (1, 12, False),
    "BYMONTHDAY": (1, 31, True),
    "BYYEARDAY": (1, 366, True),
    "BYWEEKNO": (1, 53, True),
    "BYHOUR": (0, 23, False),
    "BYMINUTE": (0, 59, False),
    "BYSECOND": (0, 59, False),
    "BYSETPOS": (1, 366, True),
}
_PARTS = ("FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST", "BYDAY", *_RANGES)
_NUMBER = re.compile(r"[+-]?[0-9]{1,4}")
_BYDAY = re.compile(r"([+-]?[0-9]{1,2})?(SU|MO|TU|WE|TH|FR|SA)")
_UNTIL = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})T([0-9]{2})([0-9]{2})([0-9]{2})(Z?)")


@dataclass(frozen=True, slots=True)
class Recurrence:
    """A rule, read. Lists are sorted and without repeats; an absent part is empty.

    Attributes:
        by_day: (ordinal, weekday) pairs, weekday 0 Sunday; ordinal 0 means every one, else the nth of month or year.
        week_start: First day of the week, 0 Sunday; Monday unless the rule says otherwise.
        until: Last wall time allowed, inclusive, naive; or
        until_utc: the same given as a UTC instant, without its zone.
    """

    text: str
    frequency: Frequency
    interval: int = 1
    count: int | None = None
    until: datetime | None = None
    until_utc: datetime | None = None
    week_start: int = 1
    by_day: tuple[tuple[int, int], ...] = ()
    by: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def values(self, part: str) -> tuple[int, ...]:
        """Return the numbers of a ``BY...`` part; empty when the rule does not have it."""
        return self.by.get(part, ())


def parse_rrule(text: object) -> Recurrence:
    """Read one rule: the value of an RRULE property, with or without the leading ``RRULE:``.

    Raises:
        ScheduleError: For what is not such a rule; ``field`` is ``rrule`` or ``rrule.PART``.

    >>> parse_rrule("FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,FR").by_day
    ((0, 1), (0, 5))
    >>> parse_rrule("FREQ=DAILY;INTERVAL=0")
    Traceback (most recent call last):
        ...
    mainspring.errors.ScheduleError: rrule.INTERVAL: outside 1 to 100000 (got '0'). Use a number from 1 to 100000.
    """
    parts = _split(text)
    by = {part: _numbers(parts[part], part) for part in _RANGES if part in parts}
    until = _until(parts["UNTIL"]) if "UNTIL" in parts else None
    rule = Recurrence(
        text=str(text),
        frequency=_frequency(parts),
        interval=_number(parts, "INTERVAL", _LARGEST_INTERVAL) or 1,
        count=_number(parts, "COUNT", MOST_OCCURRENCES),
        until=until[0] if until and not until[1] else None,
        until_utc=until[0] if until and until[1] else None,
        week_start=_week_start(parts),
        by_day=_days(parts["BYDAY"]) if "BYDAY" in parts else (),
        by=by,
    )
    _check_together(rule, parts)
    return rule


def _split(text: object) -> dict[str, str]:
    advice = 'Write it as "FREQ=WEEKLY;BYDAY=MO,FR".'
    if not isinstance(text, str):
        _refuse("rrule", describe(text), "a recurrence rule is text", advice)
    if len(text) > MAX_LENGTH:
        _refuse("rrule", text, f"longer than {MAX_LENGTH} characters", "Shorten it, or make several jobs.")
    if "\n" in text or text.upper().startswith("DTSTART"):
        _refuse("rrule", text, "more than the rule itself", "Give dtstart, exdate and rdate as fields of their own.")
    parts: dict[str, str] = {}
    for piece in text.upper().removeprefix("RRULE:").split(";"):
        part, equals, value = piece.partition("=")
        if not equals or not value or not piece.isascii():
            _refuse("rrule", piece, "not a NAME=value part", advice)
        if part not in _PARTS:
            fix = 'Use {"every_ms": ...}.' if part == "BYEASTER" else f"Use {', '.join(_PARTS)}."
            _refuse("rrule", part, "not a part of a recurrence rule", fix)
        if part in parts:
            _refuse(f"rrule.{part}", piece, "the part is given twice", "Keep one of them.")
        parts[part] = value
    return parts


def _frequency(parts: dict[str, str]) -> Frequency:
    word = parts.get("FREQ", "")
    if word == "SECONDLY":
        _refuse("rrule.FREQ", word, "finer than MINUTELY", 'Use {"every_ms": ...} or cron with seconds.')
    if word not in Frequency.__members__:
        _refuse("rrule.FREQ", word, "no usable frequency", f"Use one of {', '.join(Frequency.__members__)}.")
    return Frequency[word]


def _number(parts: dict[str, str], part: str, high: int) -> int | None:
    if part not in parts:
        return None
    text = parts[part]
    if not (text.isascii() and text.isdigit() and len(text) <= 6 and 1 <= int(text) <= high):
        _refuse(f"rrule.{part}", text, f"outside 1 to {high}", f"Use a number from 1 to {high}.")
    return int(text)


def _numbers(text: str, part: str) -> tuple[int, ...]:
    low, high, signed = _RANGES[part]
    told = f"{low} to {high}" + (f" or -{high} to -{low}" if signed else "")
    found = set()
    for item in text.split(","):
        number = int(item) if _NUMBER.fullmatch(item) else None
        if number is None or (number < 0 and not signed) or not low <= abs(number) <= high:
            _refuse(
                f"rrule.{part}", item, f"not a number from {told}", f"Use numbers from {told}, with commas between."
            )
        found.add(number)
    return tuple(sorted(found))


def _days(text: str) -> tuple[tuple[int, int], ...]:
    found = set()
    for item in text.split(","):
        match = _BYDAY.fullmatch(item)
        if match is None or (match[1] is not None and not 1 <= abs(int(match[1])) <= 53):
            _refuse("rrule.BYDAY", item, "not a weekday", "Use SU, MO, TU, WE, TH, FR, SA, or 2MO, -1FR and the like.")
        found.add((int(match[1] or 0), WEEKDAYS.index(match[2])))
    return tuple(sorted(found))


def _week_start(parts: dict[str, str]) -> int:
    word = parts.get("WKST", "MO")
    if word not in WEEKDAYS:
        _refuse("rrule.WKST", word, "not a weekday", f"Use one of {', '.join(WEEKDAYS)}.")
    return WEEKDAYS.index(word)


def _until(text: str) -> tuple[datetime, bool]:
    match = _UNTIL.fullmatch(text)
    if match is None:
        fix = "Write 20261231T235959 for a wall time or 20261231T235959Z for an instant."
        _refuse("rrule.UNTIL", text, "not a date and time", fix)
    try:
        year, month, day, hour, minute, second = (int(number) for number in match.groups()[:6])
        if not 1970 <= year <= 2200:
            raise ValueError("the year is outside 1970 to 2200")
        return datetime(year, month, day, hour, minute, second), bool(match[7])
    except ValueError as error:
        _refuse("rrule.UNTIL", text, f"no such date or time: {error}", "Write for example 20261231T235959.")


def _check_together(rule: Recurrence, parts: dict[str, str]) -> None:
    """Refuse parts that RFC 5545 (3.3.10) forbids together or leaves undefined."""
    frequency = rule.frequency
    ordinals = [ordinal for ordinal, _ in rule.by_day if ordinal]
    if "COUNT" in parts and "UNTIL" in parts:
        _refuse("rrule", rule.text, "COUNT and UNTIL together", "Keep one of them.")
    if "BYWEEKNO" in parts and (frequency is not Frequency.YEARLY or not rule.by_day or ordinals):
        fix = "Use it in a YEARLY rule, with weekdays such as BYDAY=MO."
        _refuse("rrule.BYWEEKNO", parts["BYWEEKNO"], "week numbers need FREQ=YEARLY and plain BYDAY", fix)
    if "BYYEARDAY" in parts and frequency in (Frequency.DAILY, Frequency.WEEKLY, Frequency.MONTHLY):
        _refuse("rrule.BYYEARDAY", parts["BYYEARDAY"], f"not allowed in a {frequency.name} rule", "Use FREQ=YEARLY.")
    if "BYMONTHDAY" in parts and frequency is Frequency.WEEKLY:
        _refuse("rrule.BYMONTHDAY", parts["BYMONTHDAY"], "not allowed in a WEEKLY rule", "Use FREQ=MONTHLY.")
    if ordinals and frequency > Frequency.MONTHLY:
        fix = "Use FREQ=MONTHLY, or weekdays without numbers."
        _refuse("rrule.BYDAY", parts["BYDAY"], f"numbered weekdays in a {frequency.name} rule", fix)
    in_month = frequency is Frequency.MONTHLY or "BYMONTH" in parts
    if in_month and any(abs(ordinal) > 5 for ordinal in ordinals):
        _refuse("rrule.BYDAY", parts["BYDAY"], "a month has at most five of a weekday", "Use -5 to 5.")
    if "BYSETPOS" in parts and not any(part.startswith("BY") and part != "BYSETPOS" for part in parts):
        _refuse("rrule.BYSETPOS", parts["BYSETPOS"], "nothing to choose from", "Add another BY... part.")


def _refuse(where: str, text: str, problem: str, fix: str) -> NoReturn:
    raise ScheduleError(where, text, problem, fix)
