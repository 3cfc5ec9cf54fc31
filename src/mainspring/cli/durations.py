"""Durations and periods as people type them: ``10m`` and ISO 8601 ``PT10M``, elapsed or in calendar steps."""

from __future__ import annotations

import re

from mainspring.errors import ScheduleError, ValidationError
from mainspring.model.durations import duration
from mainspring.model.wire import milliseconds

_ISO = re.compile(
    r"P(?:(?P<years>\d+)Y)?(?:(?P<months>\d+)M)?(?:(?P<weeks>\d+)W)?(?:(?P<days>\d+)D)?"
    r"(?:T(?=\d)(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+)(?:[.,](?P<fraction>\d{1,3}))?S)?)?",
    re.ASCII,
)
_STEP = re.compile(r"(\d+)\s*(d|days?|w|weeks?|mo|months?|y|years?)", re.ASCII)
_STEP_UNITS = {"d": "days", "w": "weeks", "m": "months", "y": "years"}
_ELAPSED = {"weeks": 604_800_000, "days": 86_400_000, "hours": 3_600_000, "minutes": 60_000, "seconds": 1_000}


def elapsed_ms(text: str, field: str = "every") -> int:
    """Return a duration of elapsed time in milliseconds. Raises `ScheduleError`.

    >>> elapsed_ms("PT10M"), elapsed_ms("1h30m"), elapsed_ms("P1D")
    (600000, 5400000, 86400000)
    """
    parts = _iso_parts(text)
    if parts is None:
        try:
            return milliseconds(duration(text, field))
        except (ValidationError, OverflowError):
            fix = 'Write "10m", "1h30m" or ISO 8601 such as "PT10M".'
            raise ScheduleError(field, text, "not a duration", fix) from None
    if parts["years"] or parts["months"]:
        fix = "Months and years differ in length: add --calendar for calendar steps."
        raise ScheduleError(field, text, "not a length of time", fix)
    return sum(parts[unit] * size for unit, size in _ELAPSED.items()) + parts["fraction"]


def calendar_step(text: str, field: str = "every") -> dict[str, int]:
    """Return a period as one calendar step: years and months become months, weeks and days days where mixed.

    >>> calendar_step("P1M"), calendar_step("2w"), calendar_step("P1Y6M")
    ({'months': 1}, {'weeks': 2}, {'months': 18})
    """
    parts = _iso_parts(text)
    fix = 'Write one unit: "P1D", "P2W", "P1M", "P1Y", or "1d", "2w", "1mo", "1y".'
    if parts is None:
        match = _STEP.fullmatch(text.strip().lower()[:40])
        if match is None:
            raise ScheduleError(field, text, "not a calendar step", fix)
        return {_STEP_UNITS[match[2][0]]: int(match[1][:12])}
    if any(parts[unit] for unit in ("hours", "minutes", "seconds", "fraction")):
        raise ScheduleError(field, text, "a calendar step has no time of day", f"{fix} Without --calendar it may.")
    found = {unit: parts[unit] for unit in ("years", "months", "weeks", "days") if parts[unit]}
    if len(found) == 1:
        return found
    if found.keys() == {"years", "months"}:
        return {"months": found["years"] * 12 + found["months"]}
    if found.keys() == {"weeks", "days"}:
        return {"days": found["weeks"] * 7 + found["days"]}
    raise ScheduleError(field, text, "not one calendar step", fix)


def _iso_parts(text: str) -> dict[str, int] | None:
    """Return the parts of an ISO 8601 duration, 0 where absent; None for anything else."""
    match = _ISO.fullmatch(text.strip().upper()[:60])
    if match is None or not any(match.groups()):
        return None
    fraction = (match["fraction"] or "").ljust(3, "0")
    return {unit: int((value or "0")[:12]) for unit, value in match.groupdict().items()} | {"fraction": int(fraction)}
