"""Answers: aligned, whole, and harmless for a terminal; errors as one shape; the right exit code."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from mainspring import errors
from mainspring.cli.commands import hoisted, overview
from mainspring.cli.exits import DatabaseMissingError, Exit, UsageError, code_of, error_to_wire
from mainspring.cli.job_fields import labels_of, read_object, with_assignments
from mainspring.cli.output import pairs, table
from mainspring.cli.times import both, span, stamp
from mainspring.cli.urls import masked


def test_a_table_neither_wraps_nor_cuts() -> None:
    long = "x" * 300
    assert table(["ID", "NOTE"], [["a", long]]).splitlines()[1] == f"a   {long}"


def test_a_cell_cannot_break_the_row_or_steer_the_terminal() -> None:
    shown = table(["NOTE"], [["one\ntwo\x1b]0;title\x07"]])
    assert shown == "NOTE\none two]0;title"


def test_pairs_leave_out_what_is_not_there_but_keep_zero_and_false() -> None:
    assert pairs({"a": None, "b": 0, "c": False, "d": {}}) == "b  0\nc  False"


def test_every_time_names_its_zone_the_jobs_first() -> None:
    at = datetime(2026, 11, 24, 22, tzinfo=UTC)
    assert stamp(at, "America/New_York") == "2026-11-24 17:00:00 -05:00 America/New_York"
    assert both(at, "Europe/Istanbul") == "2026-11-25 01:00:00 +03:00 Europe/Istanbul (2026-11-24 22:00:00 UTC)"
    assert both(at, "UTC") == "2026-11-24 22:00:00 UTC"


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "0 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1 s"),
        (9.96, "10 s"),
        (59.6, "1 min"),
        (3600, "1 h"),
        (86_399.9, "1 d"),
    ],
)
def test_durations_round_without_impossible_parts(seconds: float, expected: str) -> None:
    assert span(seconds) == expected


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.ValidationError("bad"), Exit.USAGE),
        (errors.ScheduleError("cron", "x", "bad"), Exit.USAGE),
        (errors.SettingsError("bad"), Exit.USAGE),
        (UsageError("bad"), Exit.USAGE),
        (errors.NotFoundError("job", "x"), Exit.NOT_FOUND),
        (DatabaseMissingError("x.db"), Exit.NOT_FOUND),
        (errors.OverlapConflictError("x", running="y", policy="skip"), Exit.CONFLICT),
        (errors.RevisionConflictError("x", expected=1, current=2), Exit.CONFLICT),
        (errors.EngineBusyError("x.db", "pid 1"), Exit.CONFLICT),
        (errors.StoreUnavailableError("away"), Exit.UNREACHABLE),
        (errors.SchemaError("newer"), Exit.FAILED),
        (errors.LimitExceededError("jobs", found=2, allowed=1), Exit.FAILED),
    ],
)
def test_each_error_has_its_exit_code(error: errors.MainspringError, code: Exit) -> None:
    assert code_of(error) is code


def test_an_error_on_the_wire_says_code_field_text_message_and_fix() -> None:
    error = errors.ScheduleError("timezone", "EST", "not a zone name", 'Use "America/New_York".')
    assert error_to_wire(error) == {
        "code": "schedule",
        "field": "timezone",
        "text": "EST",
        "message": "not a zone name",
        "fix": 'Use "America/New_York".',
    }


def test_options_of_every_command_may_stand_before_it() -> None:
    assert hoisted(["-v", "--db=a.db", "jobs", "list"]) == ["jobs", "list", "-v", "--db=a.db"]
    assert hoisted(["-o", "json", "preview", "--", "-x"]) == ["preview", "-o", "json", "--", "-x"]
    assert hoisted(["jobs", "list", "-o", "json"]) == ["jobs", "list", "-o", "json"]


def test_the_overview_names_the_exit_codes_that_exist() -> None:
    shown = overview()
    for code in Exit:
        assert str(int(code)) in shown, code


def test_assignments_reach_inside_and_leave_the_rest() -> None:
    fields = {"retry": {"max_retries": 1}, "queue": "a"}
    after = with_assignments(fields, ["retry.jitter=none", 'schedule={"cron":"@daily"}', "labels.team=ops"])
    assert after["retry"] == {"max_retries": 1, "jitter": "none"}
    assert after["schedule"] == {"cron": "@daily"}
    assert after["labels"] == {"team": "ops"}
    assert fields == {"retry": {"max_retries": 1}, "queue": "a"}


@pytest.mark.parametrize("text", ["[1]", "{", "1", "@/no/such/file"])
def test_a_payload_that_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--payload"):
        read_object(text, "--payload")


def test_assignments_and_labels_without_a_value_are_refused() -> None:
    with pytest.raises(UsageError):
        with_assignments({}, ["queue"])
    with pytest.raises(UsageError):
        labels_of(["team"])


def test_a_password_in_a_url_is_never_shown() -> None:
    assert masked("postgresql+psycopg://me:s3cret@host:5432/jobs") == "postgresql+psycopg://me:***@host:5432/jobs"
