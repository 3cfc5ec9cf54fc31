"""Read one cron expression: strict Vixie dialect, every part validated before anything is expanded.

The dialect: five fields ``minute hour day-of-month month day-of-week``, or six with the
seconds first when asked for. Values become bit masks (bit n set: n matches), so the size of what is kept does not
depend on the text. What is said of a text that is refused is :mod:`mainspring.schedule.cron_faults`.
"""

from __future__ import annotations

import re

from mainspring.schedule.cron_faults import (
    refuse,
    refuse_count,
    refuse_nickname,
    refuse_range,
    refuse_step,
    refuse_term,
    refuse_value,
)
from mainspring.schedule.cron_fields import (
    BARE,
    DAY,
    HOUR,
    MINUTE,
    MONTH,
    SECOND,
    WEEKDAY,
    CronFields,
    DayKind,
    DayRule,
    Field,
    span_mask,
)
from mainspring.schedule.instants import describe

MAX_LENGTH = 1_000

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

# Entry n has every n-th bit set, from bit 0 on, as far as the widest field goes.
_STRIDES = (0, *(sum(1 << bit for bit in range(0, 60, step)) for step in range(1, 60)))


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
    if line[0] == "@":
        line = ("0 " if seconds else "") + _nickname(line)
    parts = line.lower().split()
    if len(parts) != 5 + seconds:
        refuse_count(line, len(parts), seconds)
    if not seconds:
        parts.insert(0, "0")
    second, minute, hour, day, month, weekday = parts
    second_mask = _mask(second, SECOND) if seconds else 1
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
        refuse("cron", describe(text), "an expression is text", 'Write it as text: "0 9 * * 1-5".')
    if len(text) > MAX_LENGTH:
        refuse("cron", text, f"longer than {MAX_LENGTH} characters", "Split it into a list of expressions.")
    line = text.strip(" \t")
    if not line:
        refuse("cron", text, "the expression is empty", 'Write five fields: "0 9 * * 1-5".')
    if not (line.isascii() and line.replace("\t", " ").isprintable()):
        refuse("cron", text, "only printable ASCII characters are allowed", "Type digits, letters and blanks anew.")
    if line.startswith(("TZ=", "CRON_TZ=")):
        refuse("cron", text, "the zone is not part of the expression", "Move it into the field timezone.")
    return line


def _nickname(line: str) -> str:
    expansion = NICKNAMES.get(line)
    if expansion is None:
        refuse_nickname(line, NICKNAMES)
    return expansion


def _either(day: str, weekday: str, day_match: str | None) -> bool:
    if day_match == "all":
        return False
    if day_match == "any":
        # A bare star restricts nothing, so it takes no part in the choice.
        return day not in BARE and weekday not in BARE
    return day[0] not in BARE and weekday[0] not in BARE


def _mask(text: str, field: Field) -> int:
    if text == "*":
        return field.every
    if "," not in text:
        return _term(text, field)
    mask = 0
    for term in text.split(","):
        mask |= _term(term, field)
    return mask


def _day_field(text: str, field: Field) -> tuple[int, tuple[DayRule, ...]]:
    """Read a day field: like the others, and ``?`` alone, and days that depend on the month."""
    if text in BARE:
        return field.every, ()
    if not ("l" in text or "w" in text or "#" in text):
        return _mask(text, field), ()
    mask = 0
    rules: list[DayRule] = []
    for term in text.split(","):
        rule = _day_rule(term, field)
        if rule is None:
            mask |= _term(term, field)
        else:
            rules.append(rule)
    return mask, tuple(rules)


def _day_rule(term: str, field: Field) -> DayRule | None:
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


def _within(digits: str, term: str, field: Field, low: int, high: int) -> int:
    number = int(digits)
    if not low <= number <= high:
        refuse(field.path, term, f"the number must be {low} to {high}", f"Use a number from {low} to {high}.")
    return number


def _term(term: str, field: Field) -> int:
    """Return the mask of one item of a list: ``*``, ``a``, ``a-b``, each with an optional ``/step``."""
    if len(term) <= 2 and term.isdigit():
        return 1 << _value(term, term, field)
    match = _TERM.fullmatch(term)
    if match is None:
        refuse_term(term, field)
    first, last, step = match.groups()
    if first is None:
        low, high = field.low, field.high
    else:
        low = high = _value(first, term, field)
        if last is not None:
            high = _value(last, term, field)
            if low > high:
                refuse_range(term, low, high, field)
        elif step is not None:
            high = field.high
    if step is None:
        return span_mask(low, high)
    size = int(step)
    if not 1 <= size <= field.high:
        refuse_step(term, field)
    return _STRIDES[size] << low & span_mask(low, high)


def _value(text: str, term: str, field: Field) -> int:
    if text.isdigit():
        number = int(text)
        if field.low <= number <= field.high:
            return number
        refuse_value(term, number, field)
    named = field.numbers.get(text)
    if named is None:
        refuse_term(term, field)
    return named
