"""Instants and durations for people. Every time shown names its zone; where a job has one, the job's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from mainspring.schedule.zones import zone as _zone

_UNITS = ((86_400.0, "d"), (3_600.0, "h"), (60.0, "min"), (1.0, "s"))


def local(at: datetime, timezone: str) -> datetime:
    """Return an instant as its zone's clocks show it, by the pinned zone data."""
    return at.astimezone(UTC if timezone == "UTC" else _zone(timezone).info)


def stamp(at: datetime | None, timezone: str = "UTC", *, none: str = "-") -> str:
    """Return an instant in a zone, with offset and name.

    >>> stamp(datetime(2026, 11, 24, 6, tzinfo=UTC), "Europe/Istanbul")
    '2026-11-24 09:00:00 +03:00 Europe/Istanbul'
    >>> stamp(datetime(2026, 11, 24, 6, tzinfo=UTC))
    '2026-11-24 06:00:00 UTC'
    """
    if at is None:
        return none
    shown = local(at, timezone)
    return f"{shown:%Y-%m-%d %H:%M:%S}{_where(shown, timezone)}"


def clock(at: datetime, timezone: str = "UTC") -> str:
    """Return the time of day of an instant with its zone: for a stream of lines, where the day is plain.

    >>> clock(datetime(2026, 11, 24, 6, 0, 1, tzinfo=UTC), "Europe/Istanbul")
    '09:00:01 Europe/Istanbul'
    """
    return f"{local(at, timezone):%H:%M:%S} {timezone}"


def both(at: datetime | None, timezone: str) -> str:
    """Return an instant in the job's zone and, where that is another, in UTC.

    >>> both(datetime(2026, 11, 24, 6, tzinfo=UTC), "Europe/Istanbul")
    '2026-11-24 09:00:00 +03:00 Europe/Istanbul (06:00:00 UTC)'
    """
    if at is None:
        return "-"
    if timezone == "UTC":
        return stamp(at)
    day = "" if at.astimezone(UTC).date() == local(at, timezone).date() else f"{at.astimezone(UTC):%Y-%m-%d} "
    return f"{stamp(at, timezone)} ({day}{at.astimezone(UTC):%H:%M:%S} UTC)"


def _where(shown: datetime, timezone: str) -> str:
    if timezone == "UTC":
        return " UTC"
    return f" {shown.isoformat()[-6:]} {timezone}"


def span(delta: timedelta | float | None, *, none: str = "-") -> str:
    """Return a duration in at most two units, short enough for a column.

    >>> span(timedelta(milliseconds=40)), span(1.25), span(75), span(93_784)
    ('40 ms', '1.2 s', '1 min 15 s', '1 d 2 h')
    """
    if delta is None:
        return none
    seconds = delta.total_seconds() if isinstance(delta, timedelta) else float(delta)
    if seconds < 0.9995:
        return f"{max(0, round(seconds * 1000))} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s".replace(".0 s", " s")
    parts: list[tuple[int, str]] = []
    rest = float(round(seconds))
    for size, unit in _UNITS:
        count, rest = divmod(rest, size)
        if count or parts:
            parts.append((int(count), unit))
    return " ".join(f"{count} {unit}" for count, unit in parts[:2] if count)


def away(at: datetime, now: datetime) -> str:
    """Return how far an instant is from now.

    >>> now = datetime(2026, 1, 1, tzinfo=UTC)
    >>> away(now + timedelta(minutes=5), now), away(now - timedelta(seconds=3), now)
    ('in 5 min', '3 s ago')
    """
    delta = at - now
    return f"in {span(whole(delta))}" if delta >= timedelta(0) else f"{span(whole(-delta))} ago"


def whole(delta: timedelta) -> timedelta:
    """Return a duration of a second or more without its fraction."""
    return timedelta(seconds=round(delta.total_seconds())) if delta >= timedelta(seconds=1) else delta


def since(value: Any) -> datetime | None:
    """Read an instant of wire data."""
    return datetime.fromisoformat(value) if isinstance(value, str) else None
