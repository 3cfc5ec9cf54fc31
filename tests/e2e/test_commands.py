"""Commands on a database file: what they print for people and programs, and their exit codes."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.e2e.conftest import MAINSPRING, Cli

CREATE = ("jobs", "create", "nightly", "--handler", "add", "--cron", "0 2 * * *", "--tz", "Europe/Berlin")


@pytest.mark.parametrize(
    "words",
    [
        ("jobs", "list"), ("jobs", "get", "x"), ("runs", "list"), ("dead", "list"), ("status",), ("explain", "x"),
        ("logs", "x"), ("jobs", "trigger", "x"),
    ],
)  # fmt: skip
def test_without_a_database_file_nothing_is_made_and_the_way_out_is_named(cli: Cli, words: tuple[str, ...]) -> None:
    answer = cli(*words)
    assert answer.code == 4
    assert "mainspring.db" in answer.err
    assert "mainspring dev" in answer.err
    assert list(cli.folder.iterdir()) == []


def test_doctor_without_a_database_file_says_so_and_exits_10(cli: Cli) -> None:
    answer = cli("doctor", "-o", "json")
    assert answer.code == 10
    assert answer.json["findings"][0]["check"] == "database"
    assert answer.json["findings"][0]["fix"] == ["mainspring migrate"]
    assert list(cli.folder.iterdir()) == []


def test_migrate_makes_the_file_and_shows_its_version(cli: Cli) -> None:
    answer = cli("migrate", "--db", "made.db", "-o", "json")
    assert answer.code == 0, answer.err
    assert answer.json["schema_version"]
    assert (cli.folder / "made.db").exists()


def test_a_job_is_created_shown_changed_paused_resumed_and_archived(cli: Cli) -> None:
    made = cli(*CREATE, "--payload", '{"a": 1}', "--retries", "3", "--set", "retry.jitter=none")
    assert made.code == 0, made.err
    assert "created nightly" in made.out
    assert "02:00:00 " in made.out
    assert "Europe/Berlin" in made.out
    assert "no node has announced the handler 'add'" in made.err

    wire = cli("jobs", "get", "nightly", "-o", "json").json
    assert wire["schedule"] == {"cron": "0 2 * * *"}
    assert wire["timezone"] == "Europe/Berlin"
    assert wire["payload"] == {"a": 1}
    assert wire["retry"]["max_retries"] == 3
    assert wire["retry"]["jitter"] == "none"
    assert "At 02:00, every day, Europe/Berlin" in cli("jobs", "get", "nightly").out

    assert cli(*CREATE).code == 5

    changed = cli("jobs", "update", "nightly", "--set", "retry.max_retries=9", "-o", "json").json
    assert (changed["retry"]["max_retries"], changed["retry"]["jitter"]) == (9, "none")
    assert changed["revision"] == 2
    assert cli("jobs", "update", "nightly", "--set", "queue=b", "--if-revision", "1").code == 5
    assert cli("jobs", "update", "nightly").code == 2

    assert cli("jobs", "pause", "nightly").code == 2  # a reason is needed
    paused = cli("jobs", "pause", "nightly", "--reason", "stocktaking", "--until", "2100-01-01T00:00", "-o", "json")
    assert paused.json["status"] == "paused"
    assert paused.json["paused_until"] == "2099-12-31T23:00:00.000000Z"
    assert "stocktaking" in cli("jobs", "get", "nightly").out
    assert "paused until 2100-01-01 00:00:00 +01:00 Europe/Berlin" in cli("jobs", "list").out
    assert cli("jobs", "resume", "nightly", "-o", "json").json["status"] == "active"
    assert "as asked already" in cli("jobs", "resume", "nightly").out

    assert cli("jobs", "archive", "nightly").code == 0
    assert cli("jobs", "list", "-o", "json").json == {"data": [], "next_page_token": None, "prev_page_token": None}
    assert [job["name"] for job in cli("jobs", "list", "--status", "archived", "-o", "json").json["data"]] == [
        "nightly"
    ]


def test_a_job_comes_from_a_file_or_from_stdin(cli: Cli) -> None:
    job = {"name": "a", "handler": "h", "schedule": {"every_ms": 60000}, "priority": 7}
    (cli.folder / "job.json").write_text(json.dumps(job))
    assert cli("jobs", "create", "-f", "job.json", "--queue", "reports", "-o", "json").json["queue"] == "reports"
    made = cli("jobs", "create", "-f", "-", stdin=json.dumps(job | {"name": "b", "type": "recurring"}))
    assert made.code == 0, made.err
    assert cli("jobs", "create", "-f", "-", stdin="[]").code == 2
    assert cli("jobs", "create", "-f", "nope.json").code == 2
    assert cli("jobs", "create", "-f", "-", stdin=json.dumps(job | {"name": "c", "pririty": 1})).code == 2


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (("--every", "PT10M"), "recurring"),
        (("--every", "P1M", "--calendar", "--anchor", "2026-01-31T09:00"), "recurring"),
        (("--rrule", "FREQ=DAILY", "--dtstart", "2026-01-01T09:00"), "recurring"),
        (("--at", "2100-01-01T09:00"), "one_time"),
        (("--on", "order.*", "--on", "refund.*"), "event"),
        (("--manual",), "manual"),
        (("--cron", "@daily", "--cron", "@hourly"), "cron"),
    ],
)
def test_every_type_of_job_can_be_created(cli: Cli, words: tuple[str, ...], kind: str) -> None:
    made = cli("jobs", "create", "--name", "x", "--handler", "h", *words, "-o", "json")
    assert made.code == 0, made.out
    assert made.json["type"] == kind
    assert cli("jobs", "get", "x").code == 0


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--cron", "61 * * * *"),
        ("--cron", "@daily", "--every", "1m"),
        ("--cron", "@daily", "--payload", "[1]"),
        ("--cron", "@daily", "--set", "priority=99"),
        ("--cron", "@daily", "--set", "nope=1"),
        ("--cron", "@daily", "--tz", "Mars/Base"),
        ("--at", "2001-01-01T00:00"),
    ],
)
def test_a_job_that_cannot_work_is_refused_with_code_2(cli: Cli, words: tuple[str, ...]) -> None:
    answer = cli("jobs", "create", "x", "--handler", "h", *words)
    assert answer.code == 2, answer.out
    assert answer.err.startswith("error: ")


def test_lists_page_by_name(cli: Cli) -> None:
    for name in ("a", "b", "c"):
        assert cli("jobs", "create", name, "--handler", "h", "--manual").code == 0
    first = cli("jobs", "list", "--limit", "2", "-o", "json").json
    assert [job["name"] for job in first["data"]] == ["a", "b"]
    token = first["next_page_token"]
    last = cli("jobs", "list", "--limit", "2", "--after", token, "-o", "json").json
    assert [job["name"] for job in last["data"]] == ["c"]
    assert last["next_page_token"] is None
    assert f"--after {token}" in cli("jobs", "list", "--limit", "2").err
    assert len(cli("jobs", "list", "-o", "jsonl").out.splitlines()) == 3
    assert cli("jobs", "list", "--limit", "0").code == 2


def test_a_trigger_waits_in_the_queue_and_can_be_cancelled_and_run_again(cli: Cli) -> None:
    assert cli("jobs", "create", "x", "--handler", "h", "--manual", "--overlap", "skip").code == 0
    made = cli("jobs", "trigger", "x", "--payload", '{"n": 1}', "-o", "json").json
    assert (made["status"], made["cause"], made["payload"]) == ("queued", "manual", {"n": 1})
    refused = cli("jobs", "trigger", "x", "-o", "json")
    assert refused.code == 5
    assert refused.json["error"]["code"] == "overlap"
    assert made["id"] in cli("runs", "list", "--job", "x").out
    assert "no" in cli("explain", made["id"]).out
    assert cli("runs", "cancel", made["id"], "--reason", "not now", "-o", "json").json["status"] == "cancelled"
    again = cli("executions", "retry", made["id"], "-o", "json").json
    assert again["retry_of"] == made["id"]
    shown = cli("runs", "get", again["id"], "-o", "json").json
    assert shown["attempts"] == []
    assert shown["decision"] is None
    page = cli("runs", "list", "--limit", "1", "-o", "json").json
    assert page["data"][0]["id"] == again["id"]
    rest = cli("runs", "list", "--limit", "1", "--after", page["next_page_token"], "-o", "json").json
    assert [one["id"] for one in rest["data"]] == [made["id"]]
    cancelled = cli("runs", "list", "--status", "cancelled", "-o", "json").json
    assert [one["id"] for one in cancelled["data"]] == [made["id"]]


def test_waiting_for_an_end_gives_up_after_its_timeout(cli: Cli) -> None:
    assert cli("jobs", "create", "x", "--handler", "h", "--manual").code == 0
    answer = cli("jobs", "trigger", "x", "--wait", "--timeout", "500ms")
    assert answer.code == 1
    assert "has not ended within 500 ms" in answer.err


@pytest.mark.parametrize(
    "words",
    [
        ("jobs", "get", "nope"), ("jobs", "trigger", "nope"), ("jobs", "pause", "nope", "--reason", "x"),
        ("runs", "get", "nope"), ("runs", "cancel", "nope"), ("runs", "retry", "nope"), ("logs", "nope"),
        ("explain", "nope"), ("dead", "redrive", "nope"), ("dead", "discard", "nope", "--reason", "x"),
        ("jobs", "decisions", "nope"), ("runs", "list", "--job", "nope"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_code_4(cli: Cli, words: tuple[str, ...]) -> None:
    assert cli("migrate").code == 0
    answer = cli(*words)
    assert answer.code == 4, answer.err
    assert "nope" in answer.err


def test_another_platform_sees_nothing_of_it(cli: Cli) -> None:
    assert cli("jobs", "create", "x", "--handler", "h", "--manual").code == 0
    assert cli("--platform", "acme", "jobs", "get", "x").code == 4


def test_status_and_doctor_tell_what_is_missing(cli: Cli) -> None:
    assert cli("jobs", "create", "x", "--handler", "h", "--manual").code == 0
    assert cli("jobs", "trigger", "x").code == 0
    shown = cli("status")
    assert shown.code == 0
    assert "No dispatcher is alive" in shown.out
    assert cli("status", "-o", "json").json["metrics"]["executions"]["queued"] == 1
    found = cli("doctor", "-o", "json")
    assert found.code == 10
    by_check = {one["check"]: one for one in found.json["findings"]}
    assert by_check["dispatcher"]["status"] == "error"
    assert by_check["worker"]["status"] == "error"
    assert by_check["queues"]["evidence"].keys() == {"default"}
    assert by_check["database"]["status"] == "ok"
    assert by_check["engine"]["evidence"] == {"holder": None}
    told = cli("doctor").out
    assert "mainspring dev module:app" in told


def test_a_file_that_is_no_database_is_refused_without_a_traceback(cli: Cli) -> None:
    (cli.folder / "x.db").write_text("this is no database at all, only text\n" * 100)
    answer = cli("--db", "x.db", "jobs", "list")
    assert answer.code in (1, 7)
    assert answer.err.startswith("error: ")
    assert "Traceback" not in answer.err


def test_a_database_of_a_kind_that_is_not_there_is_a_usage_error(cli: Cli) -> None:
    answer = cli("--db", "mysql://host/x", "jobs", "list")
    assert answer.code == 2
    assert "mysql" in answer.err


def test_a_reader_that_leaves_early_is_no_defect(cli: Cli) -> None:
    words = f"'{MAINSPRING}' preview '* * * * *' --count 1000 | head -1"
    done = subprocess.run(["sh", "-c", words], cwd=cli.folder, capture_output=True, text=True, check=False)
    assert done.stderr == ""


def test_a_held_fleet_says_so_everywhere_until_it_is_released(cli: Cli) -> None:
    assert cli("migrate", "--db", "jobs.db").code == 0
    assert cli("hold", "--reason", " ", "--db", "jobs.db").code == 2
    held = cli("hold", "--reason", "restored to 09:00", "--db", "jobs.db")
    assert (held.code, held.out) == (0, "held: restored to 09:00. `mainspring release` lets the fleet go on\n")
    assert "the fleet is held by cli: restored to 09:00" in cli("status", "--db", "jobs.db", "-o", "json").out.lower()
    doctor = cli("doctor", "--db", "jobs.db")
    assert "mainspring release" in doctor.out
    released = cli("release", "--db", "jobs.db", "-o", "json")
    assert released.json["reason"] == "restored to 09:00"
    assert cli("release", "--db", "jobs.db").err == "the fleet was not held\n"
