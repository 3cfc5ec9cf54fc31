"""Durations the way Python callers write them: a timedelta, ``"5m"``, or seconds. The wire has milliseconds instead."""

from __future__ import annotations

import re
from datetime import timedelta

from mainspring.errors import ValidationError

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


def duration(value: timedelta | str | float, field: str = "duration") -> timedelta:
    """Read a duration the way Python callers write it: a timedelta, ``"5m"``, ``"1h30m"``, or seconds.

    Raises:
        ValidationError: If it is not one of these, or negative.

    >>> duration("1h30m")
    datetime.timedelta(seconds=5400)
    """
    if isinstance(value, timedelta):
        result = value
    elif isinstance(value, str):
        text = value.strip().lower()
        parts = list(_DURATION.finditer(text[:40]))
        if not parts or "".join(p.group(0) for p in parts) != text.replace(" ", ""):
            raise ValidationError(f"{value[:40]!r} is not a duration", field=field, fix='Write "30s", "5m" or "1h30m"')
        result = _seconds(sum(float(p.group(1)) * _UNITS[p.group(2)] for p in parts), field)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        result = _seconds(value, field)
    else:
        raise ValidationError(f"{type(value).__name__} is not a duration", field=field, fix='Write "5m" or a timedelta')
    if result < timedelta(0):
        raise ValidationError("a duration cannot be negative", field=field)
    return result


def _seconds(value: float, field: str) -> timedelta:
    try:
        return timedelta(seconds=value)
    except (OverflowError, ValueError):
        raise ValidationError(f"{str(value)[:40]} seconds are no length of time", field=field) from None
