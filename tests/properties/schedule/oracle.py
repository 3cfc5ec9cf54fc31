"""An independent answer to "when does this cron expression run": step through UTC minute by minute and look.

Shares no code with the package: its own reading of the text (the plain dialect only), its own zone objects, its own
idea of gaps and folds. Slow and obvious.
"""

from __future__ import annotations

import os
from calendar import month_abbr
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import cache, lru_cache
from importlib import resources
from itertools import pairwise
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, settings

MINUTE = timedelta(minutes=1)
_NAMES = {
    **{name: number for number, name in enumerate(["sun", "mon", "tue", "wed", "thu", "fri", "sat"])},
    **{name.lower(): number for number, name in enumerate(month_abbr)},
}


def examples(number: int) -> settings:
    """Settings for a property: MAINSPRING_EXAMPLES multiplies the number of examples."""
    factor = float(os.environ.get("MAINSPRING_EXAMPLES", "1"))
    return settings(
        max_examples=max(1, int(number * factor)),
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


@cache
def load(name: str) -> ZoneInfo:
    with resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


def _values(text: str, low: int, high: int) -> set[int]:
    found: set[int] = set()
    for term in text.lower().split(","):
        body, _, step = term.partition("/")
        first, dash, last = body.partition("-")
        if first == "*":
            start, stop = low, high
        else:
            start = _NAMES[first] if first.isalpha() else int(first)
            stop = (_NAMES[last] if last.isalpha() else int(last)) if dash else (high if step else start)
        found.update(range(start, stop + 1, int(step or 1)))
    return found


def matcher(text: str) -> Callable[[datetime], bool]:
    """Return whether a naive minute is named by a five-field expression without extensions."""
    minute, hour, day, month, weekday = text.split()
    minutes, hours, months = _values(minute, 0, 59), _values(hour, 0, 23), _values(month, 1, 12)
    days = _values(day, 1, 31)
    weekdays = {number % 7 for number in _values(weekday, 0, 7)}
    both = day.startswith("*") or weekday.startswith("*")

    @lru_cache(maxsize=64)
    def on(when: date) -> bool:
        by_day, by_weekday = when.day in days, when.isoweekday() % 7 in weekdays
        return when.month in months and ((by_day and by_weekday) if both else (by_day or by_weekday))

    return lambda wall: wall.minute in minutes and wall.hour in hours and on(wall.date())


def is_wildcard(text: str) -> bool:
    minute, hour, *_ = text.split()
    return minute.startswith("*") or hour.startswith("*")


@lru_cache(maxsize=1024)
def walls(zone: str, start: datetime, minutes: int) -> tuple[tuple[datetime, datetime], ...]:
    """(instant, wall) for each minute from ``start`` on."""
    info = load(zone)
    return tuple(
        (instant, instant.astimezone(info).replace(tzinfo=None, fold=0))
        for instant in (start + index * MINUTE for index in range(minutes))
    )


def runs(
    text: str, zone: str, start: datetime, end: datetime, *, fold: str = "first", gap: str = "next_valid"
) -> list[datetime]:
    """Return the instants in ``(start, end]`` at which the expression runs; both on whole minutes."""
    assert start.tzinfo is UTC
    # A wall that happens twice does so within a few hours (a day once, in 1993): enough to see both passes.
    margin = timedelta(hours=6)
    row = walls(zone, start - margin, int((end - start + 2 * margin) / MINUTE))
    named = matcher(text)
    fixed = not is_wildcard(text)
    found: set[datetime] = set()
    passes: dict[datetime, list[datetime]] = {}
    for instant, wall in row:
        if named(wall):
            passes.setdefault(wall, []).append(instant)
    for instants in passes.values():
        if not fixed or fold == "both":
            found.update(instants)
        else:
            found.add(instants[0] if fold == "first" else instants[-1])
    if fixed and gap == "next_valid":
        for (_, before), (instant, after) in pairwise(row):
            lost = int((after - before) / MINUTE) - 1
            if 0 < lost <= 180 and any(named(before + step * MINUTE) for step in range(1, lost + 1)):
                found.add(instant)
    return sorted(instant for instant in found if start < instant <= end)
