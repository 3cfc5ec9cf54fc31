"""What clock changes do to schedules, case by case, with the notes people read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mainspring.schedule import Occurrence, ScheduleError, compile_schedule

NEW_YORK = "America/New_York"


def runs(spec: dict[str, Any], zone: str, start: str, hours: float) -> list[Occurrence]:
    at = datetime.fromisoformat(start).replace(tzinfo=UTC)
    found = []
    for run in compile_schedule(spec, timezone=zone).iterate(at):
        if run.at > at + timedelta(hours=hours):
            break
        found.append(run)
    return found


def clock(found: list[Occurrence]) -> list[str]:
    return [f"{run.at:%d %H:%M}" for run in found]


def test_a_fixed_time_in_a_gap_runs_once_at_its_end() -> None:
    (run,) = runs({"cron": "30 2 * * *"}, NEW_YORK, "2026-03-08", 24)
    assert run.at == datetime(2026, 3, 8, 7, tzinfo=UTC)
    assert run.notes == ("dst_gap: 02:30 does not exist on 2026-03-08; runs at 03:00",)
    assert run.wall == datetime(2026, 3, 8, 2, 30)
    assert run.excluded_by is None


def test_several_times_in_one_gap_are_one_run_merged_with_the_regular_one() -> None:
    found = runs({"cron": "0,30 2,3 * * *"}, NEW_YORK, "2026-03-08", 24)
    assert clock(found) == ["08 07:00", "08 07:30"]
    assert found[0].notes == ("dst_gap: 02:00 to 02:30 do not exist on 2026-03-08; merged into the run at 03:00",)
    assert found[0].wall == datetime(2026, 3, 8, 3)


def test_a_skipped_time_is_still_an_occurrence_so_that_it_is_decided() -> None:
    spec = {"cron": "30 2 * * *", "dst_gap": "skip"}
    (run,) = runs(spec, NEW_YORK, "2026-03-08", 24)
    assert (run.at, run.excluded_by) == (datetime(2026, 3, 8, 7, tzinfo=UTC), "dst_gap")
    assert run.notes == ("dst_gap: 02:30 does not exist on 2026-03-08; skipped",)
    (kept,) = runs({**spec, "cron": "30,0 2-3 8 3 *"}, NEW_YORK, "2026-03-08", 1 / 60 + 7)
    assert kept.excluded_by is None


def test_a_union_runs_where_one_of_its_expressions_does() -> None:
    spec = {"cron": ["30 2 * * *", "0 3 * * *"], "dst_gap": "skip"}
    (run,) = runs(spec, NEW_YORK, "2026-03-08", 24)
    assert run.excluded_by is None
    assert run.notes == ("dst_gap: 02:30 does not exist on 2026-03-08; skipped",)
    assert run.wall == datetime(2026, 3, 8, 3)


@pytest.mark.parametrize(
    ("fold", "wanted"),
    [("first", ["01 05:30"]), ("second", ["01 06:30"]), ("both", ["01 05:30", "01 06:30"])],
)
def test_a_fixed_time_in_a_fold_runs_at_the_pass_asked_for(fold: str, wanted: list[str]) -> None:
    found = runs({"cron": "30 1 * * *", "dst_fold": fold}, NEW_YORK, "2026-11-01", 24)
    assert clock(found) == wanted
    assert all(run.notes[0].startswith("dst_fold: 01:30 happens twice on 2026-11-01; runs at ") for run in found)
    assert [run.wall.fold for run in found if run.wall] == [int(at.endswith("06:30")) for at in wanted]


def test_a_yearly_run_in_a_fold_keeps_its_second_pass() -> None:
    """The next wall named lies a year ahead, the second pass an hour: neither direction may step over it."""
    schedule = compile_schedule({"cron": "30 1 1 11 *", "dst_fold": "both"}, timezone=NEW_YORK)
    first, second = datetime(2026, 11, 1, 5, 30, tzinfo=UTC), datetime(2026, 11, 1, 6, 30, tzinfo=UTC)
    found = schedule.next(first)
    assert found is not None
    assert found.at == second
    back = schedule.previous(second)
    assert back is not None
    assert back.at == first


def test_a_wildcard_follows_real_time_through_both_changes() -> None:
    spring = runs({"cron": "*/30 * * * *"}, NEW_YORK, "2026-03-08T05:30", 3)
    assert clock(spring) == ["08 06:00", "08 06:30", "08 07:00", "08 07:30", "08 08:00", "08 08:30"]
    autumn = runs({"cron": "@hourly"}, NEW_YORK, "2026-11-01T04:00", 3)
    assert clock(autumn) == ["01 05:00", "01 06:00", "01 07:00"]
    assert [run.wall.fold for run in autumn if run.wall] == [0, 1, 0]
    assert all(not run.notes for run in spring + autumn)


def test_a_list_of_every_hour_is_not_a_star() -> None:
    every = ",".join(str(hour) for hour in range(24))
    assert clock(runs({"cron": f"0 {every} * * *"}, NEW_YORK, "2026-11-01T04:00", 3)) == ["01 05:00", "01 07:00"]


def test_half_an_hour_at_lord_howe() -> None:
    found = runs({"cron": "15 2 * * *"}, "Australia/Lord_Howe", "2026-10-03", 24)
    assert clock(found) == ["03 15:30"]
    assert found[0].notes == ("dst_gap: 02:15 does not exist on 2026-10-04; runs at 02:30",)


def test_midnight_that_does_not_exist_runs_on_its_own_day() -> None:
    found = runs({"cron": "0 0 * * 0"}, "America/Santiago", "2024-09-07", 48)
    assert found[0].notes == ("dst_gap: 00:00 does not exist on 2024-09-08; runs at 01:00",)
    weekly = runs({"cron": "15 9 * * 0"}, "America/Santiago", "2024-09-07", 72)
    assert [f"{run.wall:%a %H:%M}" for run in weekly] == ["Sun 09:15"]


def test_a_day_that_a_country_left_out_is_dropped_and_recorded() -> None:
    found = runs({"cron": "0 9 * * *"}, "Pacific/Apia", "2011-12-29", 60)
    assert [run.excluded_by for run in found] == [None, "dst_gap", None]
    assert found[1].notes == ("dst_gap: 09:00 does not exist on 2011-12-30; dropped: the zone skipped 24 hours",)


def test_recurrence_rules_follow_their_own_standard_in_a_gap() -> None:
    spec = {"rrule": "FREQ=DAILY", "dtstart": "2026-03-07T02:30:00"}
    found = runs(spec, NEW_YORK, "2026-03-07", 72)
    assert [f"{run.at:%d %H:%M}" for run in found] == ["07 07:30", "08 07:30", "09 06:30"]
    assert found[1].notes == (
        "dst_gap: 02:30 does not exist on 2026-03-08; runs at 03:30, the offset before the change",
    )


def test_calendar_steps_come_back_to_their_wall_time_after_a_gap() -> None:
    spec = {"every": {"days": 1}, "anchor_at": "2026-03-07T02:30:00"}
    assert clock(runs(spec, NEW_YORK, "2026-03-07", 72)) == ["07 07:30", "08 07:00", "09 06:30"]


def test_an_elapsed_grid_does_not_know_of_clock_changes() -> None:
    spec = {"every_ms": 86_400_000, "anchor_at": "2026-03-07T02:30:00"}
    assert clock(runs(spec, NEW_YORK, "2026-03-07", 72)) == ["07 07:30", "08 07:30", "09 07:30"]


def test_one_wall_time_in_doubt_is_chosen_or_refused() -> None:
    spec = {"run_at": "2026-03-08T02:30"}
    chosen = compile_schedule(spec, timezone=NEW_YORK).next(datetime(2026, 1, 1, tzinfo=UTC))
    assert chosen is not None
    assert chosen.at == datetime(2026, 3, 8, 7, tzinfo=UTC)
    assert chosen.notes
    with pytest.raises(ScheduleError, match=r"2026-03-08T06:30:00Z.*2026-03-08T07:30:00Z"):
        compile_schedule(spec, timezone=NEW_YORK, strict=True)
    with pytest.raises(ScheduleError, match=r"2026-11-01T05:30:00Z.*2026-11-01T06:30:00Z"):
        compile_schedule({"run_at": "2026-11-01T01:30"}, timezone=NEW_YORK, strict=True)
    compile_schedule({"run_at": "2026-11-01T03:30"}, timezone=NEW_YORK, strict=True)


def test_bounds_given_as_wall_times_take_in_the_whole_fold() -> None:
    bounds = {"start_at": "2026-11-01T01:00", "end_at": "2026-11-01T01:30"}
    found = runs({"cron": "*/30 * * * *", **bounds}, NEW_YORK, "2026-10-31", 48)
    assert clock(found) == ["01 05:00", "01 05:30", "01 06:00", "01 06:30"]
