"""What is wrong with a cron expression, and how to mend it. Nothing here runs for one that is right."""

from __future__ import annotations

import re
from typing import NoReturn

from mainspring.errors import ScheduleError
from mainspring.schedule.cron_fields import DAY, FIELDS, WEEKDAY, Field

_ELSEWHERE = {
    "@reboot": 'Start it by hand or by an event: {"events": [...]}.',
    "@every": 'Use {"every_ms": ...} for an interval.',
}


def refuse(field: str, text: str, problem: str, fix: str) -> NoReturn:
    """Raise the error of a part of an expression."""
    raise ScheduleError(field, text, problem, fix)


def refuse_nickname(line: str, known: dict[str, str]) -> NoReturn:
    """Raise the error of a line that starts with ``@`` and is none of the ``known``."""
    if line.lower() in known:
        refuse("cron", line, "nicknames are lower case", f'Write "{line.lower()}".')
    fix = _ELSEWHERE.get(line.lower().partition(" ")[0], "Use one of " + ", ".join(sorted(known)) + ".")
    refuse("cron", line, "not a nickname of this dialect", fix)


def refuse_count(line: str, found: int, seconds: bool) -> NoReturn:
    """Raise the error of a line with ``found`` fields."""
    if not seconds and found == 6:
        refuse(
            "cron",
            line,
            "six fields mean three different things elsewhere",
            'Set "seconds": true if the first field is the seconds; else remove the sixth.',
        )
    names = ", ".join(field.name for field in FIELDS[0 if seconds else 1 :])
    refuse("cron", line, f"expected {5 + seconds} fields, found {found}", f"Write {names}, separated by blanks.")


def refuse_range(term: str, low: int, high: int, field: Field) -> NoReturn:
    """Raise the error of a range that runs backwards."""
    top = 6 if field is WEEKDAY else field.high
    tail = str(low) if low == top else f"{low}-{top}"
    head = str(high) if high == field.low else f"{field.low}-{high}"
    refuse(field.path, term, "the range runs backwards", f'Write "{tail},{head}".')


def refuse_step(term: str, field: Field) -> NoReturn:
    """Raise the error of a step that does not fit the field."""
    fix = 'For an interval that does not fit the field use {"every_ms": ...}.'
    refuse(field.path, term, f"the step must be 1 to {field.high}", fix)


def refuse_value(term: str, number: int, field: Field) -> NoReturn:
    """Raise the error of a number that is no value of the field."""
    fix = f"Use a number from {field.low} to {field.high}."
    refuse(field.path, term, f"{number} is outside {field.low} to {field.high}", fix)


def refuse_term(term: str, field: Field) -> NoReturn:
    """Raise the error of a term that fits no form."""
    refuse(field.path, term, *_diagnose(term, field))


def _diagnose(term: str, field: Field) -> tuple[str, str]:
    numbers = f"numbers {field.low} to {field.high}"
    names = " or three-letter names." if field.numbers else "."
    forms = f"Use {numbers}, with * , - / as in 1,2 or 1-5 or */5{names}"
    if not term:
        return "an item of the list is empty", "Remove the surplus comma."
    if "?" in term:
        return "? stands alone, and in a day field only", "Use * instead."
    if term.startswith("h") or "~" in term:
        return "hashed and random values are not part of the expression", "Use a number, and jitter_ms for the spread."
    if any(mark in term for mark in "#lw") and not field.numbers and field is not DAY:
        return "this field has no L, W or #", forms
    if re.search(r"[0-9]{5}", term):
        return "a number has more than four digits", f"Use {numbers}."
    if re.search(r"[a-z]{4}", term) and field.numbers:
        return "names have exactly three letters", f"Use one of {', '.join(field.numbers)}."
    return f"not a value of the field {field.name}", forms
