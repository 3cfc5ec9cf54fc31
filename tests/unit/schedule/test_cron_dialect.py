"""What cron expressions mean on the calendar, without clock changes."""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from mainspring.schedule import compile_schedule

START = datetime(2026, 1, 1, tzinfo=UTC)


def days(expression: str, year: int = 2026, **options: Any) -> list[str]:
    """The dates of a year on which a midnight expression runs, as MM-DD."""
    schedule = compile_schedule({"cron": expression, **options})
    start = datetime(year, 1, 1, tzinfo=UTC) - timedelta(seconds=1)
    found: list[str] = []
    for run in schedule.iterate(start):
        if run.at.year > year:
            return found
        found.append(f"{run.at:%m-%d}")
    return found


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("0 0 * * sun", "0 0 * * 0"),
        ("0 0 * * 7", "0 0 * * 0"),
        ("0 0 * * SUN,Mon", "0 0 * * 0-1"),
        ("0 0 * * 5-7", "0 0 * * fri,sat,sun"),
        ("0 0 * JAN-mar *", "0 0 * 1-3 *"),
        ("0 0 1,1,1 * *", "0 0 1 * *"),
        ("0 0 5-5 * *", "0 0 5 * *"),
        ("0 0 5-5/3 * *", "0 0 5 * *"),
        ("0 0 0010 * *", "0 0 10 * *"),
        ("0 0 10/10 * *", "0 0 10,20,30 * *"),
        ("0 0 ? * mon", "0 0 * * mon"),
        ("0 0 1 * ?", "0 0 1 * *"),
        ("0 0 l * *", "0 0 L * *"),
        ("0 0 L-0 * *", "0 0 L * *"),
        (" \t0\t0 1  * * ", "0 0 1 * *"),
        ("@monthly", "0 0 1 * *"),
        ("@weekly", "0 0 * * 0"),
        ("@daily", "@midnight"),
        ("@yearly", "@annually"),
        ("0 0 * * 1,*", "0 0 * * *"),
    ],
)
def test_two_ways_of_writing_the_same(text: str, same: str) -> None:
    assert days(text) == days(same) != []


@pytest.mark.parametrize(
    ("text", "options", "wanted"),
    [
        # POSIX: either matches. Vixie: both, once one of the two starts with a star.
        ("0 0 13 2 5", {}, ["02-06", "02-13", "02-20", "02-27"]),
        ("0 0 13 2 5", {"day_match": "all"}, ["02-13"]),
        ("0 0 13 3 5", {"day_match": "any"}, ["03-06", "03-13", "03-20", "03-27"]),
        ("0 0 */10 3 mon", {}, []),
        ("0 0 */2 3 mon", {}, ["03-09", "03-23"]),
        ("0 0 */15 3 mon", {"day_match": "any"}, ["03-01", "03-02", "03-09", "03-16", "03-23", "03-30", "03-31"]),
        ("0 0 * 3 mon", {"day_match": "any"}, ["03-02", "03-09", "03-16", "03-23", "03-30"]),
        ("0 0 1-31 2 mon", {}, [f"02-{day:02}" for day in range(1, 29)]),
        ("0 0 L 2 *", {}, ["02-28"]),
        ("0 0 L-3 2 *", {}, ["02-25"]),
        ("0 0 LW 1-3 *", {}, ["01-30", "02-27", "03-31"]),
        ("0 0 1W 1-3 *", {}, ["01-01", "02-02", "03-02"]),
        ("0 0 15W 2,3,8 *", {}, ["02-16", "03-16", "08-14"]),
        ("0 0 31W 1-3,5 *", {}, ["01-30", "03-31", "05-29"]),
        ("0 0 * 2 5#4", {}, ["02-27"]),
        ("0 0 * 1-3 5#5", {}, ["01-30"]),
        ("0 0 * 1,2 5L", {}, ["01-30", "02-27"]),
        ("0 0 * 2 sunL,1#1", {}, ["02-02", "02-22"]),
        ("0 0 1,15 2 mon#1", {}, ["02-01", "02-02", "02-15"]),
    ],
)  # fmt: skip
def test_which_days_a_day_field_names(text: str, options: dict[str, Any], wanted: list[str]) -> None:
    assert days(text, **options) == wanted


def test_days_that_depend_on_the_month_agree_with_a_calendar_for_a_whole_cycle() -> None:
    """L, LW, nW, d#n and dL against the dates themselves, over 28 years."""
    for year in range(2020, 2048):
        for month in range(1, 13):
            length = monthrange(year, month)[1]
            workdays = [day for day in range(1, length + 1) if date(year, month, day).weekday() < 5]
            fridays = [day for day in range(1, length + 1) if date(year, month, day).weekday() == 4]
            wanted = {
                "L": [length],
                "LW": [workdays[-1]],
                "15W": [min(workdays, key=lambda day: (abs(day - 15), day))],
                "1W": [workdays[0]],
            }
            for field, expected in wanted.items():
                assert days(f"0 0 {field} {month} *", year) == [f"{month:02}-{day:02}" for day in expected]
            assert days(f"0 0 * {month} 5#2", year) == [f"{month:02}-{fridays[1]:02}"]
            assert days(f"0 0 * {month} friL", year) == [f"{month:02}-{fridays[-1]:02}"]


def test_leap_days_are_found_across_a_century_without_one() -> None:
    schedule = compile_schedule({"cron": "0 0 29 2 *"})
    found = schedule.next(datetime(2096, 3, 1, tzinfo=UTC))
    assert found is not None
    assert found.at.year == 2104
    rare = compile_schedule({"cron": "0 0 29 2 mon", "day_match": "all"})
    found = rare.next(datetime(2088, 3, 1, tzinfo=UTC))
    assert found is not None
    assert (found.at.month, found.at.day, found.at.weekday()) == (2, 29, 0)
    assert found.at.year > 2100


def test_seconds_lead_when_asked_for() -> None:
    schedule = compile_schedule({"cron": "*/20 59 23 31 12 *", "seconds": True})
    runs = [schedule.next(START)]
    for _ in range(3):
        assert runs[-1] is not None
        runs.append(schedule.next(runs[-1].at))
    told = [f"{run.at:%Y %H:%M:%S}" for run in runs if run is not None]
    assert told == ["2026 23:59:00", "2026 23:59:20", "2026 23:59:40", "2027 23:59:00"]
    assert compile_schedule({"cron": "@hourly", "seconds": True}).next(START) is not None


def test_next_is_strictly_after_and_previous_strictly_before() -> None:
    schedule = compile_schedule({"cron": "0 * * * *"})
    tick = timedelta(microseconds=1)
    for at, following, earlier in [
        (START, 1, -1),
        (START - tick, 0, -1),
        (START + tick, 1, 0),
    ]:
        found, before = schedule.next(at), schedule.previous(at)
        assert found is not None
        assert before is not None
        assert found.at == START + timedelta(hours=following)
        assert before.at == START + timedelta(hours=earlier)


def test_the_ends_of_time_are_ends_not_errors() -> None:
    schedule = compile_schedule({"cron": "*/5 * * * *"}, timezone="America/New_York")
    assert schedule.next(datetime.max.replace(tzinfo=UTC)) is None
    assert schedule.previous(datetime.min.replace(tzinfo=UTC)) is None
    first, last = schedule.next(datetime.min.replace(tzinfo=UTC)), schedule.previous(datetime.max.replace(tzinfo=UTC))
    assert first is not None
    assert first.at == datetime(1970, 1, 1, tzinfo=UTC)
    assert last is not None
    assert last.at.year == 2600


def test_the_first_hours_of_1970_are_still_1969_in_the_west() -> None:
    schedule = compile_schedule({"cron": "0 20 31 12 *"}, timezone="America/New_York")
    first = schedule.next(datetime(1969, 12, 31, tzinfo=UTC))
    assert first is not None
    assert first.at == datetime(1970, 1, 1, 1, tzinfo=UTC)
    assert schedule.previous(datetime(1970, 6, 1, tzinfo=UTC)) == first
    assert schedule.previous(first.at) is None
