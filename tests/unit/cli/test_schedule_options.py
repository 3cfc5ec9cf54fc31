"""Options that say when become exactly one wire shape; an option that would do nothing is refused."""

from __future__ import annotations

import pytest

from mainspring.cli.schedule_options import ScheduleOptions
from mainspring.errors import ScheduleError


def test_each_kind_becomes_its_shape() -> None:
    assert ScheduleOptions(seconds=True).shape(["0 * * * * *"]) == {"cron": "0 * * * * *", "seconds": True}
    assert ScheduleOptions().shape(["@daily", "@hourly"]) == {"cron": ["@daily", "@hourly"]}
    every = ScheduleOptions(every="PT10M", anchor="2026-01-01T00:00:00Z")
    assert every.shape([]) == {"every_ms": 600_000, "anchor_at": "2026-01-01T00:00:00Z"}
    assert ScheduleOptions(every="P1M", calendar=True).shape([]) == {"every": {"months": 1}}
    rule = ScheduleOptions(rrule="FREQ=DAILY", dtstart="2026-01-01T09:00", exdate=["2026-01-02T09:00"])
    assert rule.shape([]) == {
        "rrule": "FREQ=DAILY",
        "dtstart": "2026-01-01T09:00",
        "exdate": ["2026-01-02T09:00"],
    }
    assert ScheduleOptions(at="2026-01-01T09:00").shape([]) == {"run_at": "2026-01-01T09:00"}
    assert ScheduleOptions().shape([], ["order.*"]) == {"events": ["order.*"]}


def test_nothing_and_manual_have_no_shape() -> None:
    assert ScheduleOptions().shape([]) is None
    assert ScheduleOptions().shape([], manual=True) is None


def test_clock_change_rules_and_bounds_are_carried() -> None:
    options = ScheduleOptions(dst_gap="skip", dst_fold="both", start_at="2026-01-01T00:00")
    shape = options.shape(["@daily"])
    assert shape == {"cron": "@daily", "dst_gap": "skip", "dst_fold": "both", "start_at": "2026-01-01T00:00"}


@pytest.mark.parametrize(
    "options",
    [
        ScheduleOptions(every="1m", at="2026-01-01T09:00"),
        ScheduleOptions(every="1m", seconds=True),
        ScheduleOptions(every="1m", dtstart="2026-01-01T09:00"),
        ScheduleOptions(every="1d", calendar=True, day_match="any"),
        ScheduleOptions(at="2026-01-01T09:00", anchor="2026-01-01T09:00"),
        ScheduleOptions(at="2026-01-01T09:00", calendar=True),
        ScheduleOptions(seconds=True),
    ],
)
def test_two_kinds_and_options_that_do_not_belong_are_refused(options: ScheduleOptions) -> None:
    with pytest.raises(ScheduleError):
        options.shape([])


def test_an_empty_expression_is_still_an_expression_and_not_nothing() -> None:
    assert ScheduleOptions().shape([""]) == {"cron": ""}
