"""What needs no database: help at once, and when a schedule will run."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

from tests.e2e.conftest import Cli


def children_took() -> float:
    """Return the seconds of processor time that commands took so far, however long they waited for a processor."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_help_is_there_at_once_and_loads_nothing_heavy(cli: Cli) -> None:
    took = []
    for _ in range(5):
        before = children_took()
        answer = cli("--help")
        took.append(children_took() - before)
        assert answer.code == 0
        assert "mainspring dev" in answer.out
    assert min(took) < 0.25, took
    code = (
        "import sys; from mainspring.cli.commands import run; run(['--help']);"
        "bad = {'sqlalchemy', 'pydantic', 'alembic', 'mainspring.app', 'mainspring.engine'} & set(sys.modules);"
        "sys.exit(str(bad) if bad else 0)"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert loaded.returncode == 0, loaded.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("dev",), ("worker",), ("dispatcher",), ("preview",), ("explain",), ("status",), ("doctor",), ("migrate",),
        ("config",), ("logs",), ("jobs",), ("jobs", "create"), ("executions", "list"), ("runs", "get"),
        ("dead-letters", "redrive"), ("dead", "list"),
    ],
)  # fmt: skip
def test_each_command_has_help(cli: Cli, words: tuple[str, ...]) -> None:
    answer = cli(*words, "--help")
    assert answer.code == 0, answer.err
    assert "Usage: mainspring" in answer.out


def test_the_module_runs_as_the_command_does() -> None:
    done = subprocess.run([sys.executable, "-m", "mainspring", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.strip()


def test_preview_tells_instants_zone_and_clock_changes(cli: Cli) -> None:
    answer = cli("preview", "30 2 * * *", "--tz", "America/New_York", "--from", "2026-03-06T12:00:00Z", "--count", "3")
    assert answer.code == 0
    assert "At 02:30, every day, America/New_York" in answer.out
    assert "Sun 2026-03-08 03:00:00 -04:00 America/New_York" in answer.out
    assert "dst_gap" in answer.out


def test_preview_as_json(cli: Cli) -> None:
    answer = cli(
        "preview", "0 9 * * MON-FRI", "--tz", "Europe/Istanbul", "--from", "2026-11-24T00:00:00Z", "--count", "2",
        "-o", "json",
    )  # fmt: skip
    assert answer.code == 0
    assert [run["at"] for run in answer.json["instants"]] == ["2026-11-24T09:00:00+03:00", "2026-11-25T09:00:00+03:00"]
    assert answer.json["instants"][0]["utc"] == "2026-11-24T06:00:00Z"
    assert answer.json["instants"][0]["notes"] == []
    assert answer.json["sentence"] == "At 09:00, Monday to Friday, Europe/Istanbul"
    assert answer.json["warnings"] == []


@pytest.mark.parametrize(
    ("words", "first"),
    [
        (("--every", "PT10M", "--anchor", "2026-01-01T00:03:00Z"), "2026-01-01T00:03:00+00:00"),
        (("--every", "10m", "--anchor", "2026-01-01T00:03:00Z"), "2026-01-01T00:03:00+00:00"),
        (("--every", "P1M", "--anchor", "2025-01-31T09:00", "--calendar"), "2026-01-31T09:00:00+00:00"),
        (("--rrule", "FREQ=WEEKLY;BYDAY=MO", "--dtstart", "2026-01-05T09:00"), "2026-01-05T09:00:00+00:00"),
        (("--at", "2026-02-01T09:00"), "2026-02-01T09:00:00+00:00"),
        (("*/10 * * * * *", "--seconds"), "2026-01-01T00:00:10+00:00"),
        (("0 0 13 * FRI", "--day-match", "all"), "2026-02-13T00:00:00+00:00"),
    ],
)
def test_preview_knows_every_kind_of_schedule(cli: Cli, words: tuple[str, ...], first: str) -> None:
    answer = cli("preview", *words, "--from", "2026-01-01T00:00:00Z", "--count", "1", "-o", "json")
    assert answer.code == 0, answer.out
    assert answer.json["instants"][0]["at"] == first


def test_preview_follows_the_rules_given_for_clock_changes(cli: Cli) -> None:
    words = ("preview", "30 2 * * *", "--tz", "America/New_York", "--from", "2026-03-07T12:00:00Z", "--count", "1")
    answer = cli(*words, "--dst-gap", "skip", "-o", "json")
    assert answer.json["instants"][0]["at"] == "2026-03-09T02:30:00-04:00"


@pytest.mark.parametrize(
    ("words", "field"),
    [
        (("",), "cron"),
        (("61 * * * *",), "cron.minute"),
        (("-5 * * * *",), "cron.minute"),
        (("* * *",), "cron"),
        (("0 0 31 2 *",), "cron"),
        (("@daily", "--tz", ""), "timezone"),
        (("@daily", "--tz", "Europe/Atlantis"), "timezone"),
        (("@daily", "--tz", "EST"), "timezone"),
        (("@daily", "--from", "2026-02-30T00:00:00Z"), "from"),
        (("@daily", "--from", ""), "from"),
        (("--at", "tomorrow"), "run_at"),
        (("--every", "often"), "every"),
        (("--every", "P1M"), "every"),
        (("--every", "1m", "--anchor", "x"), "anchor_at"),
        (("--rrule", "FREQ=SOMETIMES", "--dtstart", "2026-01-01T00:00"), None),
        (("@daily", "--count", "-1"), "count"),
        (("@daily", "--count", "many"), None),
        (("@daily", "--no-such-option"), None),
        ((), "schedule"),
    ],
)
def test_a_bad_specification_is_an_error_object_and_code_2(cli: Cli, words: tuple[str, ...], field: str | None) -> None:
    answer = cli("preview", *words, "-o", "json")
    assert answer.code == 2
    error = answer.json["error"]
    assert set(error) == {"code", "field", "text", "message", "fix"}
    assert error["message"]
    if field is not None:
        assert (error["field"] or "").startswith(field)
    for_people = cli("preview", *words)
    assert for_people.code == 2
    assert for_people.out == ""
    assert for_people.err.startswith("error: ")
    assert "Traceback" not in for_people.err


def test_an_unknown_command_names_the_nearest(cli: Cli) -> None:
    answer = cli("jbos")
    assert answer.code == 2
    assert "jobs" in answer.err


def test_config_says_where_each_value_comes_from(cli: Cli) -> None:
    (cli.folder / "mainspring.toml").write_text("poll_ms = 500\n")
    found = cli("config", "--db", "x.db", "-o", "json", MAINSPRING_PLATFORM="acme").json["data"]
    origin = {one["name"]: (one["value"], one["origin"]) for one in found}
    assert origin["database_url"] == ("sqlite:///x.db", "argument")
    assert origin["platform"] == ("acme", "MAINSPRING_PLATFORM")
    assert origin["poll_ms"] == (500, "mainspring.toml")
    assert origin["lease_ms"] == (15000, "default")


def test_a_setting_that_cannot_be_used_is_named(cli: Cli) -> None:
    answer = cli("config", MAINSPRING_POLL_MS="soon")
    assert answer.code == 2
    assert "MAINSPRING_POLL_MS" in answer.err
