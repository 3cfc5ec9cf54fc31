"""Read one cron expression: strict Vixie dialect, every part validated before anything is expanded.

The dialect: five fields ``minute hour day-of-month month day-of-week``, or six with the
seconds first when asked for. Values become bit masks (bit n set: n matches), so the size of what is kept does not
depend on the text. What the masks mean on a calendar is :mod:`mainspring.schedule.cron_match`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import NoReturn

from mainspring.errors import ScheduleError
from mainspring.schedule.instants import describe

MAX_LENGTH = 1_000

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")

NICKNAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}

_TERM = re.compile(r"(?:\*|([0-9]{1,4}|[a-z]{3})(?:-([0-9]{1,4}|[a-z]{3}))?)(?:/([0-9]{1,4}))?")
_DAY_EXTRA = re.compile(r"(l)(?:-([0-9]{1,4}))?|(lw)|([0-9]{1,4})w")
_WEEKDAY_EXTRA = re.compile(r"([0-9]{1,4}|[a-z]{3})(?:#([0-9]{1,4})|(l))")


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


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()
    first_name: int = 0

    @property
    def path(self) -> str:
        return f"cron.{self.name}"


SECOND = _Field("second", 0, 59)
MINUTE = _Field("minute", 0, 59)
HOUR = _Field("hour", 0, 23)
DAY = _Field("day_of_month", 1, 31)
MONTH = _Field("month", 1, 12, _MONTHS, 1)
WEEKDAY = _Field("day_of_week", 0, 7, _WEEKDAYS, 0)
_FIELDS = (SECOND, MINUTE, HOUR, DAY, MONTH, WEEKDAY)
_VALUE = {
    field.name: {**{name: field.first_name + index for index, name in enumerate(field.names)}} for field in _FIELDS
}


@dataclass(frozen=True, slots=True)
class CronFields:
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
        return self.parts[3] not in _BARE and self.parts[5] not in _BARE

    @property
    def every_hour(self) -> bool:
        """Whether every hour of every day is named, so that only minutes and seconds choose."""
        return self.hours == (1 << 24) - 1 and all(part in _BARE for part in self.parts[3:])


_BARE = ("*", "?")


def parse_cron(text: object, *, seconds: bool = False, day_match: str | None = None) -> CronFields:
    """Read one expression.

    Args:
        text: The expression, at most 1000 printable ASCII characters.
        seconds: Whether a leading seconds field is expected (six fields instead of five).
        day_match: ``any`` or ``all`` decides what two restricted day fields mean together. None is Vixie's rule:
            either of them, but both if one of the two starts with a star.

    Raises:
        ScheduleError: For anything else; ``field`` names the part, ``fix`` says how to mend it.

    >>> parse_cron("0 9 * * MON-FRI").weekdays == 0b0111110
    True
    >>> parse_cron("*/90 * * * *")
    Traceback (most recent call last):
        ...
    mainspring.errors.ScheduleError: cron.minute: the step must be 1 to 59 (got '*/90'). \
For an interval that does not fit the field use {"every_ms": ...}.
    """
    line = _checked(text)
    if line.startswith("@"):
        line = ("0 " if seconds else "") + _nickname(line)
    parts = line.lower().split()
    if len(parts) != 5 + seconds:
        _wrong_count(line, len(parts), seconds)
    if not seconds:
        parts.insert(0, "0")
    second, minute, hour, day, month, weekday = parts
    second_mask = _mask(second, SECOND)
    days, day_rules = _day_field(day, DAY)
    weekdays, weekday_rules = _day_field(weekday, WEEKDAY)
    return CronFields(
        text=str(text),
        parts=tuple(parts),
        seconds=second_mask,
        minutes=_mask(minute, MINUTE),
        hours=_mask(hour, HOUR),
        days=days,
        day_rules=day_rules,
        months=_mask(month, MONTH),
        # 7 is Sunday too.
        weekdays=(weekdays | weekdays >> 7) & 0x7F,
        weekday_rules=weekday_rules,
        either_day=_either(day, weekday, day_match),
        # A list of every hour is not a star: the distinction is lost once the text has become numbers.
        wildcard=minute[0] == "*" or hour[0] == "*" or second_mask & (second_mask - 1) != 0,
    )


def _checked(text: object) -> str:
    if not isinstance(text, str):
        _refuse("cron", describe(text), "an expression is text", 'Write it as text: "0 9 * * 1-5".')
    if len(text) > MAX_LENGTH:
        _refuse("cron", text, f"longer than {MAX_LENGTH} characters", "Split it into a list of expressions.")
    line = text.strip(" \t")
    if not line:
        _refuse("cron", text, "the expression is empty", 'Write five fields: "0 9 * * 1-5".')
    if not (line.isascii() and line.replace("\t", " ").isprintable()):
        _refuse("cron", text, "only printable ASCII characters are allowed", "Type digits, letters and blanks anew.")
    if line.startswith(("TZ=", "CRON_TZ=")):
        _refuse("cron", text, "the zone is not part of the expression", "Move it into the field timezone.")
    return line


def _nickname(line: str) -> str:
    expansion = NICKNAMES.get(line)
    if expansion is None:
        _not_a_nickname(line)
    return expansion


def _not_a_nickname(line: str) -> NoReturn:
    if line.lower() in NICKNAMES:
        _refuse("cron", line, "nicknames are lower case", f'Write "{line.lower()}".')
    advice = {
        "@reboot": 'Start it by hand or by an event: {"events": [...]}.',
        "@every": 'Use {"every_ms": ...} for an interval.',
    }
    fix = advice.get(line.lower().partition(" ")[0], "Use one of " + ", ".join(sorted(NICKNAMES)) + ".")
    _refuse("cron", line, "not a nickname of this dialect", fix)


def _wrong_count(line: str, found: int, seconds: bool) -> NoReturn:
    if not seconds and found == 6:
        _refuse(
            "cron",
            line,
            "six fields mean three different things elsewhere",
            'Set "seconds": true if the first field is the seconds; else remove the sixth.',
        )
    names = ", ".join(field.name for field in _FIELDS[0 if seconds else 1 :])
    _refuse("cron", line, f"expected {5 + seconds} fields, found {found}", f"Write {names}, separated by blanks.")


def _either(day: str, weekday: str, day_match: str | None) -> bool:
    if day_match == "all":
        return False
    if day_match == "any":
        # A bare star restricts nothing, so it takes no part in the choice.
        return day not in _BARE and weekday not in _BARE
    return day[0] not in _BARE and weekday[0] not in _BARE


def _mask(text: str, field: _Field) -> int:
    if text == "*":
        return _steps(field.low, field.high, 1)
    mask = 0
    for term in text.split(","):
        mask |= _term(term, field)
    return mask


def _day_field(text: str, field: _Field) -> tuple[int, tuple[DayRule, ...]]:
    """Read a day field: like the others, and ``?`` alone, and days that depend on the month."""
    if text in _BARE:
        return _steps(field.low, field.high, 1), ()
    mask = 0
    rules: list[DayRule] = []
    for term in text.split(","):
        rule = _day_rule(term, field) if not term.isdigit() else None
        if rule is None:
            mask |= _term(term, field)
        else:
            rules.append(rule)
    return mask, tuple(rules)


def _day_rule(term: str, field: _Field) -> DayRule | None:
    if field is DAY:
        match = _DAY_EXTRA.fullmatch(term)
        if match is None:
            return None
        last, before, last_workday, nearest = match.groups()
        if last:
            return DayRule(DayKind.BEFORE_LAST, _within(before or "0", term, DAY, 0, 30))
        if last_workday:
            return DayRule(DayKind.LAST_WORKDAY)
        return DayRule(DayKind.NEAREST_WORKDAY, _within(nearest, term, DAY, 1, 31))
    match = _WEEKDAY_EXTRA.fullmatch(term)
    if match is None:
        return None
    day, nth, _ = match.groups()
    weekday = _value(day, term, WEEKDAY) % 7
    if nth:
        return DayRule(DayKind.NTH_WEEKDAY, weekday, _within(nth, term, WEEKDAY, 1, 5))
    return DayRule(DayKind.LAST_WEEKDAY, weekday)


def _within(digits: str, term: str, field: _Field, low: int, high: int) -> int:
    number = int(digits)
    if not low <= number <= high:
        _refuse(field.path, term, f"the number must be {low} to {high}", f"Use a number from {low} to {high}.")
    return number


def _term(term: str, field: _Field) -> int:
    """Return the mask of one item of a list: ``*``, ``a``, ``a-b``, each with an optional ``/step``."""
    match = _TERM.fullmatch(term)
    if match is None:
        _refuse(field.path, term, *_diagnose(term, field))
    first, last, step = match.groups()
    if first is None:
        low, high = field.low, field.high
    else:
        low = _value(first, term, field)
        if last is not None:
            high = _value(last, term, field)
            if low > high:
                _reversed(term, low, high, field)
        elif step is not None:
            high = field.high
        else:
            return 1 << low
    if step is None:
        return _steps(low, high, 1)
    size = int(step)
    if not 1 <= size <= field.high:
        fix = 'For an interval that does not fit the field use {"every_ms": ...}.'
        _refuse(field.path, term, f"the step must be 1 to {field.high}", fix)
    return _steps(low, high, size)


@lru_cache(maxsize=2_048)
def _steps(low: int, high: int, step: int) -> int:
    mask = 0
    for value in range(low, high + 1, step):
        mask |= 1 << value
    return mask


def _value(text: str, term: str, field: _Field) -> int:
    if text.isdigit():
        number = int(text)
        if field.low <= number <= field.high:
            return number
        fix = f"Use a number from {field.low} to {field.high}."
        _refuse(field.path, term, f"{number} is outside {field.low} to {field.high}", fix)
    number_of = _VALUE[field.name].get(text)
    if number_of is None:
        _refuse(field.path, term, *_diagnose(term, field))
    return number_of


def _reversed(term: str, low: int, high: int, field: _Field) -> NoReturn:
    top = 6 if field is WEEKDAY else field.high
    tail = str(low) if low == top else f"{low}-{top}"
    head = str(high) if high == field.low else f"{field.low}-{high}"
    _refuse(field.path, term, "the range runs backwards", f'Write "{tail},{head}".')


def _diagnose(term: str, field: _Field) -> tuple[str, str]:
    """Say what is wrong with a term that fits no form, and how to mend it."""
    numbers = f"numbers {field.low} to {field.high}"
    forms = f"Use {numbers}, with * , - / as in 1,2 or 1-5 or */5" + (" or three-letter names." if field.names else ".")
    if not term:
        return "an item of the list is empty", "Remove the surplus comma."
    if "?" in term:
        return "? stands alone, and in a day field only", "Use * instead."
    if term.startswith("h") or "~" in term:
        return "hashed and random values are not part of the expression", "Use a number, and jitter_ms for the spread."
    if any(mark in term for mark in "#lw") and not field.names and field is not DAY:
        return "this field has no L, W or #", forms
    if re.search(r"[0-9]{5}", term):
        return "a number has more than four digits", f"Use {numbers}."
    if re.search(r"[a-z]{4}", term) and field.names:
        return "names have exactly three letters", f"Use one of {', '.join(field.names)}."
    return f"not a value of the field {field.name}", forms


def _refuse(field: str, text: str, problem: str, fix: str) -> NoReturn:
    raise ScheduleError(field, text, problem, fix)
