"""What people are told: sentences, warnings and previews."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from mainspring.schedule import Calendar, ScheduleError, compile_schedule, preview

CREATED = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ({"cron": "0 9 * * MON-FRI"}, "At 09:00, Monday to Friday, Europe/Istanbul"),
        ({"cron": "*/15 * * * *"}, "Every 15 minutes, Europe/Istanbul"),
        ({"cron": "@hourly"}, "Every hour, on the hour, Europe/Istanbul"),
        ({"cron": "30 2 * * *"}, "At 02:30, every day, Europe/Istanbul"),
        ({"cron": "0 0 1 1,7 *"}, "At 00:00, on the 1st of January and July, Europe/Istanbul"),
        ({"cron": "0 0 13 * 5"}, "At 00:00, on the 13th of the month, and also Friday, Europe/Istanbul"),
        (
            {"cron": "0 0 13 * 5", "day_match": "all"},
            "At 00:00, on the 13th of the month if that is Friday, Europe/Istanbul",
        ),
        ({"cron": "*/10 9-17 * * *"}, "Every 10 minutes, from 09:00 to 17:59, Europe/Istanbul"),
        (
            {"cron": "0 6 * * 1#1,5L"},
            "At 06:00, the first Monday of the month and the last Friday of the month, Europe/Istanbul",
        ),
        ({"cron": "*/10 * * * * *", "seconds": True}, "Every 10 seconds, Europe/Istanbul"),
        ({"cron": ["0 9 * * 1", "0 17 * * 5"]}, "At 09:00, Monday; and at 17:00, Friday, Europe/Istanbul"),
        ({"every_ms": 90_000}, "Every 1 minute 30 seconds of elapsed time, counted from 2026-01-01 00:00:00 UTC"),
        (
            {"every": {"months": 3}, "anchor_at": "2026-01-31T09:00"},
            "Every 3 months at 09:00, counted from 2026-01-31, Europe/Istanbul",
        ),
        ({"run_at": "2026-03-01T09:00:00Z"}, "Once, on 2026-03-01 at 12:00, Europe/Istanbul"),
        (
            {"rrule": "FREQ=MONTHLY;BYDAY=-1FR;COUNT=5", "dtstart": "2026-01-01T09:00"},
            "Every month, on the last Friday, at 09:00, 5 times, from 2026-01-01, Europe/Istanbul",
        ),
    ],
)
def test_a_schedule_in_plain_english(spec: dict[str, Any], sentence: str) -> None:
    assert compile_schedule(spec, timezone="Europe/Istanbul", created_at=CREATED).sentence == sentence


@pytest.mark.parametrize(
    ("spec", "start"),
    [
        ({"cron": "0 0 13 * 5"}, "both_day_fields: runs on the 13th of the month, and also Friday"),
        ({"cron": "0 0 */2 * 1"}, "both_day_fields: runs on every 2nd day of the month from the 1st if that is Monday"),
        ({"cron": "*/40 * * * *"}, "uneven: */40 restarts every hour"),
        ({"cron": "0 0 */7 * *"}, "uneven: */7 restarts on the 1st of every month"),
        ({"cron": "*/10 * * * * *", "seconds": True}, "often:"),
        ({"cron": "0 0 31 * *"}, "short_months:"),
        ({"cron": "0 0 29 2 *"}, "rare:"),
        ({"cron": "30 2 * * *"}, "clock_change: dst_gap: 02:30 does not exist on 2026-03-08; runs at 03:00"),
        ({"cron": "30 1 * * *"}, "clock_change: dst_fold: 01:30 happens twice on 2026-11-01; runs at the first pass"),
        (
            {"cron": "30 1 * * *", "dst_fold": "both"},
            "clock_change: dst_fold: 01:30 happens twice on 2026-11-01; runs at both passes, this is the first",
        ),
        ({"every": {"days": 1}, "anchor_at": "2026-01-01T02:30"}, "clock_change: dst_gap"),
        ({"every": {"months": 1}, "anchor_at": "2026-01-31T09:00"}, "short_months:"),
        ({"every": {"years": 4}}, "rare:"),
        ({"every_ms": 172_800_000}, "elapsed: 2 x 24 hours, not calendar days"),
        ({"run_at": "2026-03-08T02:30"}, "clock_change: dst_gap"),
    ],
)
def test_what_may_not_be_meant_is_a_warning(spec: dict[str, Any], start: str) -> None:
    told = compile_schedule(spec, timezone="America/New_York", created_at=CREATED).warnings
    assert any(warning.startswith(start) for warning in told), told


@pytest.mark.parametrize(
    "spec",
    [
        {"cron": "0 9 * * 1-5"},
        {"cron": "*/15 * * * *"},
        {"cron": "0 0 13 * 5", "day_match": "any"},
        {"cron": "0 0 1 1 *"},
        {"cron": "*/30 2 * * *"},
        {"every_ms": 60_000},
        {"run_at": "2026-03-08T04:30"},
    ],
)
def test_what_is_plain_has_no_warning(spec: dict[str, Any]) -> None:
    assert compile_schedule(spec, timezone="America/New_York", created_at=CREATED).warnings == ()


def test_without_a_date_to_look_from_there_is_no_warning_about_clock_changes() -> None:
    assert compile_schedule({"cron": "30 2 * * *"}, timezone="America/New_York").warnings == ()


def test_a_preview_shows_local_time_utc_and_notes() -> None:
    shown = preview({"cron": "30 2 * * *"}, "America/New_York", datetime(2026, 3, 7, tzinfo=UTC), count=3)
    assert [item.at.isoformat() for item in shown] == [
        "2026-03-07T02:30:00-05:00",
        "2026-03-08T03:00:00-04:00",
        "2026-03-09T02:30:00-04:00",
    ]
    assert shown[1].utc == datetime(2026, 3, 8, 7, tzinfo=UTC)
    assert [bool(item.notes) for item in shown] == [False, True, False]
    assert (len(shown[:2]), shown.sentence) == (2, "At 02:30, every day, America/New_York")
    assert shown.warnings[0].startswith("clock_change")


def test_a_preview_leaves_skipped_instants_out_and_gives_up_on_a_schedule_of_nothing_else() -> None:
    calendars = {"tr": Calendar("tr", frozenset({date(2026, 1, 2)}))}
    skipping = {"cron": "@daily", "calendars": {"exclude": ["tr"]}}
    shown = preview(skipping, after=CREATED, count=2, calendars=calendars)
    assert [item.at.day for item in shown] == [3, 4]
    never = {"cron": "* * * * *", "calendars": {"include": ["tr"]}}
    assert len(preview(never, after=datetime(2027, 1, 1, tzinfo=UTC), calendars=calendars)) == 0


def test_a_preview_ends_with_the_schedule_and_anchors_a_grid_where_it_begins() -> None:
    assert len(preview({"run_at": "2026-05-01T00:00Z"}, after=CREATED)) == 1
    assert len(preview({"run_at": "2025-05-01T00:00Z"}, after=CREATED)) == 0
    (first,) = preview({"every_ms": 60_000}, after=CREATED, count=1)
    assert first.at == datetime(2026, 1, 1, 0, 1, tzinfo=UTC)
    assert len(preview({"cron": "@daily"}, after=CREATED, count=0)) == 0
    assert len(preview({"cron": "@daily"}, count=1)) == 1


@pytest.mark.parametrize("wrong", [{"count": -1}, {"count": 1001}, {"count": True}, {"count": "5"}, {"timezone": ""}])
def test_a_preview_that_cannot_be_shown_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ScheduleError):
        preview({"cron": "@daily"}, **wrong)
    with pytest.raises(ScheduleError):
        preview({"cron": "@daily"}, after=datetime(2026, 1, 1))
