"""Instants and wall times as whole numbers, and the strict reader of the texts that carry them.

An *instant* is a point on the UTC time line; inside this package it is an ``int`` of milliseconds since 1970 UTC.
A *wall time* is a local date and time without an offset; it is an ``int`` of seconds since 1970-01-01T00:00:00 on
the same wall. Numbers are compared and added without the traps of aware datetimes, whose arithmetic ignores offset
and fold inside one zone. Datetimes appear at the border only.

Instants are cut to the millisecond and wall times to the second: every store keeps that much, so an instant that
made the round trip through one is still the instant the schedule named.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from mainspring.errors import ScheduleError

DAY = 86_400
SECOND_MS = 1_000
DAY_MS = DAY * SECOND_MS

#: ``date.toordinal()`` of 1970-01-01: day 0 of everything counted here.
EPOCH_ORDINAL = 719_163

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WALL_EPOCH = datetime(1970, 1, 1)
_FIRST_YEAR, _LAST_YEAR = 1970, 2200

#: Last instant a search looks at. Years can be typed up to 2200, and a valid cron expression may need 400 more.
HORIZON_MS = int((datetime(2601, 1, 1) - _WALL_EPOCH).total_seconds()) * SECOND_MS

_TEXT = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?([Zz]|[+-]\d\d:\d\d)?", re.ASCII
)


def to_ms(at: datetime) -> int:
    """Return an aware datetime as milliseconds since 1970 UTC, cut (not rounded) to the millisecond.

    Raises:
        ScheduleError: If ``at`` is naive: nobody can know which instant that is.

    >>> to_ms(datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC))
    1000
    """
    if at.tzinfo is None or at.utcoffset() is None:
        raise ScheduleError("at", at.isoformat(), "a datetime without a zone is not an instant", "Pass an aware one.")
    since = at - _EPOCH
    return since.days * DAY_MS + since.seconds * SECOND_MS + since.microseconds // 1_000


def ceil_ms(at: datetime) -> int:
    """Like :func:`to_ms`, rounded up: the first whole millisecond not before ``at``."""
    return to_ms(at) + (1 if at.microsecond % 1_000 else 0)


def from_ms(ms: int) -> datetime:
    """Return the aware UTC datetime of an instant.

    >>> from_ms(1_500).isoformat()
    '1970-01-01T00:00:01.500000+00:00'
    """
    return _EPOCH + timedelta(0, 0, 0, ms)


def to_wall(wall: datetime) -> int:
    """Return a naive datetime as wall seconds, cut to the second."""
    since = wall - _WALL_EPOCH
    return since.days * DAY + since.seconds


def from_wall(wall: int) -> datetime:
    """Return the naive datetime of wall seconds.

    >>> from_wall(86_400).isoformat()
    '1970-01-02T00:00:00'
    """
    return _WALL_EPOCH + timedelta(0, wall)


def read_moment(value: object, *, field: str) -> datetime:
    """Read an instant (aware) or a wall time (naive) from what a schedule holds.

    Args:
        value: A datetime, or text: RFC 3339 with ``Z`` or an offset is an instant; the same text without one is a
            wall time. Seconds may be left out. Date-only text is refused: nobody knows which end of the day is meant.
        field: Name for the error.

    Raises:
        ScheduleError: For any other type or text, an impossible date, or a year outside 1970..2200.

    >>> read_moment("2026-03-08T02:30", field="run_at")
    datetime.datetime(2026, 3, 8, 2, 30)
    >>> read_moment("2026-03-08T02:30:00Z", field="run_at").utcoffset()
    datetime.timedelta(0)
    """
    moment = value if isinstance(value, datetime) else _parse(value, field)
    if not _FIRST_YEAR <= moment.year <= _LAST_YEAR:
        raise ScheduleError(field, str(value), "the year is outside 1970 to 2200", "Use a year from 1970 to 2200.")
    try:
        return moment if moment.tzinfo is UTC or moment.utcoffset() is None else moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ScheduleError(field, str(value), f"not a usable instant: {error}", "Give it in UTC.") from error


def _parse(value: object, field: str) -> datetime:
    advice = 'Write "2026-03-01T09:00:00Z" for an instant or "2026-03-01T09:00:00" for a wall time in the zone.'
    if not isinstance(value, str):
        raise ScheduleError(field, describe(value), "expected an instant or a wall time", advice)
    match = _TEXT.fullmatch(value) if len(value) <= 40 else None
    if match is None:
        raise ScheduleError(field, value, "not an RFC 3339 instant and not a wall time", advice)
    year, month, day, hour, minute, second, fraction, offset = match.groups()
    micro = int(fraction.ljust(6, "0")[:6]) if fraction else 0
    try:
        zone = UTC if offset is not None else None
        read = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second or 0), micro, zone)
        return read if offset is None or offset in "Zz" else read - _offset(offset)
    except (ValueError, OverflowError) as error:
        raise ScheduleError(field, value, f"no such date or time: {error}", advice) from error


def _offset(text: str) -> timedelta:
    hours, minutes = int(text[1:3]), int(text[4:6])
    if hours > 23 or minutes > 59:
        raise ValueError("the offset must be less than 24 hours")
    size = timedelta(hours=hours, minutes=minutes)
    return -size if text[0] == "-" else size


def describe(value: object) -> str:
    """Return a short text of anything for an error message, without building a long one first."""
    if isinstance(value, str):
        return value[:81]
    if value is None or isinstance(value, (bool, float)):
        return repr(value)
    if isinstance(value, int):
        return repr(value) if abs(value) < 10**18 else "a huge number"
    return type(value).__name__
