"""The shapes of a schedule, their common fields, and what the compiled schedule answers."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest

from mainspring.schedule import Calendar, CompiledSchedule, Occurrence, ScheduleError, compile_schedule, tzdb_version
from mainspring.schedule.compiled import stable_offset

START = datetime(2026, 1, 1, tzinfo=UTC)


def first(schedule: CompiledSchedule, count: int, after: datetime = START) -> list[str]:
    found: list[Occurrence] = []
    for run in schedule.iterate(after):
        found.append(run)
        if len(found) == count:
            break
    return [run.at.strftime("%Y-%m-%dT%H:%M:%S") for run in found]


def test_a_grid_is_anchored_where_it_is_told_then_at_start_then_at_creation() -> None:
    every = {"every_ms": 600_000}
    created = datetime(2026, 1, 1, 9, 0, 7, 654_321, tzinfo=UTC)
    assert first(compile_schedule(every, created_at=created), 1) == ["2026-01-01T09:00:07"]
    started = compile_schedule({**every, "start_at": "2026-01-02T00:03:00Z"}, created_at=created)
    assert first(started, 2) == ["2026-01-02T00:03:00", "2026-01-02T00:13:00"]
    told = compile_schedule({**every, "anchor_at": "2026-01-01T08:05", "start_at": "2026-01-02T00:00Z"})
    assert first(told, 1) == ["2026-01-02T00:05:00"]


def test_month_steps_clamp_and_come_back() -> None:
    schedule = compile_schedule({"every": {"months": 1}, "anchor_at": "2026-01-31T09:00"})
    assert first(schedule, 4) == [
        "2026-01-31T09:00:00",
        "2026-02-28T09:00:00",
        "2026-03-31T09:00:00",
        "2026-04-30T09:00:00",
    ]
    leap = compile_schedule({"every": {"years": 1}, "anchor_at": "2024-02-29T09:00"})
    assert first(leap, 3) == ["2026-02-28T09:00:00", "2027-02-28T09:00:00", "2028-02-29T09:00:00"]


def test_a_rule_with_dates_added_and_removed() -> None:
    spec = {
        "rrule": "FREQ=WEEKLY;BYDAY=MO;COUNT=3",
        "dtstart": "2026-01-05T09:00",
        "exdate": ["2026-01-12T09:00:00"],
        "rdate": ["2026-01-13T10:00:00", "2026-01-05T09:00:00"],
    }
    assert first(compile_schedule(spec), 9) == ["2026-01-05T09:00:00", "2026-01-13T10:00:00", "2026-01-19T09:00:00"]


def test_until_given_in_utc_is_an_instant() -> None:
    rule = {"rrule": "FREQ=DAILY;UNTIL=20260103T140000Z", "dtstart": "2026-01-01T09:00"}
    schedule = compile_schedule(rule, timezone="America/New_York")
    assert first(schedule, 9) == ["2026-01-01T14:00:00", "2026-01-02T14:00:00", "2026-01-03T14:00:00"]


def test_one_time_is_once() -> None:
    moment = datetime(2026, 5, 1, 9, tzinfo=timezone(timedelta(hours=3)))
    schedule = compile_schedule({"run_at": moment})
    assert first(schedule, 5) == ["2026-05-01T06:00:00"]
    assert schedule.next(moment) is None
    assert schedule.previous(moment) is None
    assert not schedule.follows_wall_clock


def test_bounds_are_inclusive_in_both_directions() -> None:
    bounds = {"start_at": "2026-01-01T02:00:00Z", "end_at": "2026-01-01T04:00:00Z"}
    schedule = compile_schedule({"cron": "@hourly", **bounds})
    assert first(schedule, 9) == ["2026-01-01T02:00:00", "2026-01-01T03:00:00", "2026-01-01T04:00:00"]
    last = schedule.previous(datetime(2030, 1, 1, tzinfo=UTC))
    assert last is not None
    assert last.at == schedule.end_at
    assert schedule.previous(datetime(2026, 1, 1, 2, tzinfo=UTC)) is None
    assert schedule.at(datetime(2026, 1, 1, 5, tzinfo=UTC)) is None
    assert schedule.count_between(START, datetime(2030, 1, 1, tzinfo=UTC), limit=5) == 3
    assert schedule.count_between(START, datetime(2030, 1, 1, tzinfo=UTC), limit=2) is None


def test_a_grid_counts_within_its_bounds() -> None:
    bounds = {"start_at": "2026-01-01T00:00:10Z", "end_at": "2026-01-01T00:00:20Z"}
    schedule = compile_schedule({"every_ms": 1_000, "anchor_at": "2020-01-01T00:00:00Z", **bounds})
    assert schedule.count_between(START, datetime(2030, 1, 1, tzinfo=UTC), limit=1) == 11


def test_jitter_is_a_known_number_on_every_node() -> None:
    """A change of this vector moves the fire time of every job with jitter in every installation."""
    assert stable_offset("018f6f6e-0000-7000-8000-000000000001", 1_767_225_600_000, 60_000) == 3_837
    assert {stable_offset("a", nominal, 3) for nominal in range(200)} == {0, 1, 2, 3}


def test_jitter_never_reaches_the_next_instant() -> None:
    schedule = compile_schedule({"cron": "* * * * *", "jitter_ms": 86_400_000})
    fires = [schedule.fire_at(START + timedelta(minutes=index), key="job") for index in range(200)]
    assert fires == sorted(fires)
    assert all(
        timedelta(0) <= fire - START - timedelta(minutes=index) < timedelta(minutes=1)
        for index, fire in enumerate(fires)
    )
    assert compile_schedule({"cron": "* * * * *"}).fire_at(START, key="job") == START


def test_a_naive_cursor_is_refused() -> None:
    with pytest.raises(ScheduleError, match="without a zone"):
        compile_schedule({"cron": "@daily"}).next(datetime(2026, 1, 1))


def test_the_spec_is_kept_as_given_and_cannot_change() -> None:
    given: dict[str, Any] = {"cron": ["0 9 * * MON-FRI", " @daily "], "calendars": {"exclude": ["tr"]}}
    schedule = compile_schedule(given, calendars={"tr": Calendar("tr", frozenset())})
    given["cron"].append("* * * * *")
    assert schedule.spec["cron"] == ("0 9 * * MON-FRI", " @daily ")
    with pytest.raises(TypeError):
        schedule.spec["cron"] = "@hourly"  # type: ignore[index]


@pytest.mark.parametrize(
    ("spec", "follows"),
    [
        ({"cron": "0 9 * * *"}, True),
        ({"cron": "*/5 9-17 * * *"}, True),
        ({"cron": "*/5 * * * *"}, False),
        ({"cron": ["*/5 * * * *", "0 9 * * *"]}, True),
        ({"every_ms": 60_000}, False),
        ({"every_ms": 60_000, "anchor_at": "2026-01-01T00:00"}, True),
        ({"every": {"days": 1}}, True),
        ({"run_at": "2026-01-01T00:00"}, True),
        ({"run_at": "2026-01-01T00:00Z"}, False),
        ({"rrule": "FREQ=DAILY", "dtstart": "2026-01-01T00:00"}, True),
    ],
)
def test_which_schedules_new_zone_data_can_move(spec: dict[str, Any], follows: bool) -> None:
    assert compile_schedule(spec).follows_wall_clock is follows


def test_calendars_include_exclude_and_roll() -> None:
    calendars = {
        "tr": Calendar("tr", frozenset({date(2026, 4, 23), date(2026, 5, 1)})),
        "days": Calendar("days", frozenset({date(2026, 4, 22), date(2026, 4, 23), date(2026, 4, 24)})),
    }
    base = {"cron": "0 9 * * *", "start_at": "2026-04-22T00:00Z", "end_at": "2026-04-25T00:00Z"}

    def runs(**rule: Any) -> list[tuple[str, str | None]]:
        schedule = compile_schedule({**base, "calendars": rule}, calendars=calendars)
        return [(f"{run.at:%d}", run.excluded_by) for run in schedule.iterate(START)]

    assert runs(exclude=["tr"]) == [("22", None), ("23", "calendar:tr"), ("24", None)]
    assert runs(exclude=["tr"], on_excluded="next") == [("22", None), ("24", None)]
    assert runs(include=["days"], exclude=["tr"], on_excluded="previous") == [("22", None), ("24", None)]


def test_a_rolled_run_says_where_it_came_from() -> None:
    calendars = {"tr": Calendar("tr", frozenset({date(2026, 4, 23)}))}
    spec = {"cron": "0 9 23 4 *", "calendars": {"exclude": ["tr"], "on_excluded": "next"}}
    run = compile_schedule(spec, timezone="Europe/Istanbul", calendars=calendars).next(START)
    assert run is not None
    assert run.at == datetime(2026, 4, 24, 6, tzinfo=UTC)
    assert run.notes == ("rolled: 2026-04-23 is excluded by calendar:tr; runs on 2026-04-24",)


def test_a_schedule_without_any_allowed_date_is_exhausted_not_searched_for_ever() -> None:
    calendars = {"old": Calendar("old", frozenset({date(2020, 1, 1)}))}
    for on_excluded in ("next", "previous"):
        spec = {"cron": "* * * * *", "calendars": {"include": ["old"], "on_excluded": on_excluded}}
        assert compile_schedule(spec, calendars=calendars).next(datetime(2027, 1, 1, tzinfo=UTC)) is None


def test_one_schedule_serves_many_threads() -> None:
    schedule = compile_schedule({"cron": "30 2 * * *"}, timezone="America/Chicago")
    wanted = first(schedule, 400)
    fresh = compile_schedule({"cron": "30 2 * * *"}, timezone="America/Denver")
    with ThreadPoolExecutor(4) as pool:
        assert all(found == wanted for found in pool.map(lambda _: first(schedule, 400), range(4)))
        answers = list(pool.map(lambda _: tuple(first(fresh, 200)), range(4)))
    assert len(set(answers)) == 1


def test_zone_data_is_the_wheel_whatever_the_machine_has() -> None:
    code = (
        "import zoneinfo; zoneinfo.reset_tzpath(());"
        "from mainspring.schedule import compile_schedule; from datetime import datetime, UTC;"
        "schedule = compile_schedule({'cron': '0 9 * * *'}, timezone='Europe/Istanbul');"
        "print(schedule.next(datetime(2026,1,1,tzinfo=UTC)).at)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "2026-01-01 06:00:00+00:00"
    assert tzdb_version()[:2] == "20"
