"""The same command prints the same table and the same JSON, whether it asks a server or has the database."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from mainspring.cli.commands import run
from mainspring.client import Client
from tests.live import Live, live
from tests.waiting import until

#: What differs from run to run and from second to second, and so from one mode to the other.
_CHANGING = (
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), "ID"),
    (re.compile(r"msk_\w+|whsec_[\w+/=]+"), "SECRET"),
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?"), "TIME"),
    (re.compile(r"\b\d+(\.\d+)? (ms|s|min)( \d+ (s|min))?\b"), "SPAN"),
    (re.compile(r'"(duration_ms|late_ms|answer_ms|read_ms|\w+_lag_s|uptime_s|observed_value)": [\d.]+'), r'"\1": N'),
    (re.compile(r"(worker|dispatcher)-[0-9a-f]+"), r"\1"),
    (re.compile(r"\b[0-9a-f]{32}\b|\b[0-9a-f]{16}\b"), "HEX"),
    (re.compile(r"ey[\w-]{20,}|W1[\w-]{20,}|--after \S+"), "TOKEN"),
    (re.compile(r"(api|cli|local|key:ID)(?=[\s\",]|$)"), "WHO"),
    (re.compile(r"[ ]{2,}"), "  "),
)


def same(text: str) -> str:
    """Return what a command printed without what changes by itself."""
    for pattern, word in _CHANGING:
        text = pattern.sub(word, text)
    return "\n".join(line.rstrip() for line in text.splitlines())


class Both:
    """Runs a command line in one of the modes, in this process."""

    def __init__(self, server: Live, capsys: pytest.CaptureFixture[str]) -> None:
        self.places = {"server": ["--server", server.url], "db": ["--db", server.database]}
        self._capsys = capsys

    def __call__(self, mode: str, *words: str) -> tuple[int, str, str]:
        self._capsys.readouterr()
        code = run([*words, *self.places[mode]])
        told = self._capsys.readouterr()
        return code, told.out, told.err

    def json(self, *words: str) -> Any:
        code, out, err = self("db", *words, "-o", "json")
        assert code == 0, out + err
        return json.loads(out)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live(tmp_path_factory.mktemp("both") / "jobs.db") as running:
        yield running


@pytest.fixture
def both(server: Live, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Both:
    """Both modes, in an empty folder and an environment that says nothing."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in ("MAINSPRING_SERVER", "MAINSPRING_API_KEY", "MAINSPRING_PROFILE", "MAINSPRING_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    return Both(server, capsys)


@pytest.fixture(scope="module")
def stock(server: Live) -> dict[str, str]:
    return stocked(server)


def stocked(server: Live) -> dict[str, str]:
    """Make what the commands speak of; return the ids they name."""
    with Client(server.url) as client:
        client.jobs.create(
            name="nightly",
            type="cron",
            handler="add",
            schedule={"cron": "0 9 * * MON-FRI"},
            timezone="Europe/Istanbul",
            labels={"team": "ops"},
            payload={"a": 1, "password": "hush"},
        )
        client.jobs.create(name="sum", type="manual", handler="add", payload={"a": 2, "b": 3})
        client.jobs.create(name="on-order", type="event", handler="add", schedule={"events": ["order.*"]})
        client.jobs.update("nightly", description="of the night")
        run = client.jobs.trigger("sum")
        client.executions.wait(run.id, timeout=30)
        failed = client.executions.enqueue(handler="fail", retry={"max_retries": 0})
        client.executions.wait(failed.id, timeout=30)
        client.events.publish(type="order.paid", id="7", source="shop", data={"n": 1})
        _await_counted(client, "sum", "on-order")
        client.calendars.put("holidays", dates={"2026-04-23": ""})
        client.limits.put("queue", "reports", max_running=3)
        hook = client.webhooks.create(url="https://hooks.example.com/in", events=["order.*"])
        return {"run": run.id, "failed": failed.id, "hook": hook.id}


def _await_counted(client: Client, *jobs: str) -> None:
    """Wait until what each did is counted: some seconds later than done, and both modes are to see the same."""

    def counted() -> bool:
        return all(client.jobs.stats(job).total == 1 for job in jobs)

    until("what they did is counted", counted)


READS = [
    ("jobs", "list"),
    ("jobs", "list", "--status", "active", "--name", "ni"),
    ("jobs", "list", "--filter", "labels.team = ops OR type = manual", "--sort", "-name"),
    ("jobs", "list", "--fields", "name,queue"),
    ("jobs", "list", "--limit", "1"),
    ("jobs", "get", "nightly"),
    ("jobs", "get", "sum"),
    ("jobs", "get", "on-order"),
    ("jobs", "decisions", "on-order"),
    ("jobs", "decisions", "nightly", "--since", "2026-01-01"),
    ("jobs", "next", "nightly", "--count", "3"),
    ("jobs", "revisions", "nightly"),
    ("jobs", "stats", "sum"),
    ("executions", "list", "--job", "sum"),
    ("executions", "list", "--status", "failed", "--handler", "fail"),
    ("executions", "list", "--filter", "cause = event"),
    ("executions", "get", "{run}"),
    ("executions", "get", "{failed}"),
    ("executions", "logs", "{run}"),
    ("logs", "sum"),
    ("explain", "nightly", "--at", "2026-11-24T09:00"),
    ("explain", "{run}"),
    ("explain", "sum"),
    ("explain", "on-order", "--event", "shop#7"),
    ("dead-letters", "list"),
    ("dead-letters", "groups"),
    ("dead-letters", "redrive", "--handler", "fail", "--dry-run"),
    ("events", "list"),
    ("events", "test", "on-order", "order.paid", "--data", '{"n": 1}'),
    ("events", "test", "on-order", "refund.made"),
    ("webhooks", "list"),
    ("webhooks", "deliveries", "{hook}"),
    ("operations", "list"),
    ("handlers", "list"),
    ("handlers", "get", "add"),
    ("workers", "list"),
    ("dispatchers", "list"),
    ("queues", "list"),
    ("limits", "list"),
    ("calendars", "list"),
    ("calendars", "get", "holidays"),
    ("keys", "list"),
    ("usage",),
    ("status",),
    ("export", "executions", "--job", "sum"),
    ("export", "decisions", "--job", "on-order"),
    ("export", "transitions", "--job", "sum"),
    # what is refused
    ("jobs", "get", "nowhere"),
    ("jobs", "list", "--filter", "colour = red"),
    ("jobs", "list", "--filter", "a = 1 AND b = 2 OR c = 3"),
    ("jobs", "list", "--sort", "handler"),
    ("jobs", "list", "--fields", "colour"),
    ("jobs", "list", "--limit", "501"),
    ("jobs", "list", "--after", "nonsense"),
    ("jobs", "next", "sum"),
    ("jobs", "next", "nightly", "--since", "yesterday"),
    ("executions", "get", "nowhere"),
    ("executions", "list", "--job", "nowhere"),
    ("explain", "nowhere"),
    ("logs", "nowhere"),
    ("handlers", "get", "nowhere"),
    ("calendars", "get", "nowhere"),
    ("operations", "get", "nowhere"),
    ("export", "executions", "--job", "nowhere"),
]


@pytest.mark.parametrize("output", ["table", "json"])
@pytest.mark.parametrize("words", READS, ids=" ".join)
def test_a_question_is_answered_the_same(
    both: Both, stock: dict[str, str], words: tuple[str, ...], output: str
) -> None:
    asked_alike(both, stock, words, output)


def asked_alike(both: Both, stock: dict[str, str], words: tuple[str, ...], output: str) -> str:
    """Ask in both modes and compare; return what was printed, as the server told it."""
    line = [
        word.format(**stock) if word.startswith("{") and word.endswith("}") and '"' not in word else word
        for word in words
    ]
    answers = {mode: both(mode, *line, "-o", output) for mode in both.places}
    told = {mode: (code, same(out), same(err)) for mode, (code, out, err) in answers.items()}
    assert told["server"] == told["db"]
    assert "Traceback" not in answers["db"][2]
    assert "defect" not in answers["db"][2] + answers["server"][2]
    return answers["server"][1]


@pytest.mark.parametrize(
    "words",
    [
        ("jobs", "list"), ("jobs", "get", "nightly"), ("executions", "logs", "{run}"), ("dead-letters", "groups"),
        ("calendars", "list"), ("export", "executions", "--job", "sum"), ("jobs", "get", "nowhere"),
        ("jobs", "list", "--filter", "colour = red"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_yaml_holds_what_json_does(both: Both, stock: dict[str, str], words: tuple[str, ...]) -> None:
    in_json, in_yaml = asked_alike(both, stock, words, "json"), asked_alike(both, stock, words, "yaml")
    assert yaml.safe_load(in_yaml) == json.loads(in_json)
    assert "{" not in in_yaml.replace("{}", ""), "and not merely JSON, which YAML readers take as well"


CHANGES: list[tuple[str, ...]] = [
    ("jobs", "create", "JOB", "--handler", "add", "--cron", "0 9 * * *", "--tz", "Asia/Tokyo", "--payload", '{"a": 1}'),
    ("jobs", "create", "JOB", "--handler", "add", "--manual"),
    ("jobs", "create", "JOB-2", "--handler", "add", "--cron", "0 0 31 2 *"),
    ("jobs", "create", "JOB-3", "--handler", "add", "--manual", "--set", "priority=12"),
    ("jobs", "create", "JOB-4", "--handler", "add", "--manual", "--set", "colour=red"),
    ("jobs", "create", "JOB-5", "--handler", "nobody-has-it", "--manual"),
    ("jobs", "create", "JOB-6", "--handler", "add", "--manual", "--payload", '{"c": 1}'),
    ("jobs", "update", "JOB", "--set", "retry.max_retries=7", "--set", "owner=ops"),
    ("jobs", "update", "JOB", "--set", "priority=9", "--if-revision", "1"),
    ("jobs", "update", "JOB", "--set", "priority=99"),
    ("jobs", "update", "JOB", "--set", "schedule=null"),
    ("jobs", "update", "JOB"),
    ("jobs", "pause", "JOB", "--reason", "a test", "--until", "2100-01-01T09:00"),
    ("jobs", "pause", "JOB", "--reason", "a test", "--until", "2100-01-01T09:00"),
    ("jobs", "resume", "JOB", "--catch-up"),
    ("jobs", "resume", "JOB"),
    ("jobs", "revert", "JOB", "1"),
    ("jobs", "revert", "JOB", "44"),
    ("jobs", "skip", "JOB", "--reason", "a holiday"),
    ("jobs", "skip", "JOB", "--reason", "not that one", "--at", "2001-01-01T09:00"),
    ("jobs", "trigger", "JOB", "--wait", "--timeout", "30s"),
    ("jobs", "trigger", "JOB", "--payload", '{"b": "no number"}'),
    ("jobs", "trigger", "JOB", "--payload", "[1]"),
    ("jobs", "trigger", "nowhere"),
    ("jobs", "backfill", "JOB", "--since", "2026-03-01", "--until", "2026-03-03", "--dry-run"),
    ("jobs", "archive", "JOB"),
    ("jobs", "archive", "nowhere"),
    ("executions", "retry", "{run}", "--wait", "--timeout", "30s"),
    ("executions", "retry", "{failed}", "--wait", "--timeout", "30s"),
    ("executions", "retry", "nowhere"),
    ("executions", "cancel", "{run}"),
    ("dead-letters", "redrive", "nowhere"),
    ("dead-letters", "discard", "nowhere", "--reason", "why"),
    ("dead-letters", "discard", "--fingerprint", "none-such", "--reason", "why"),
    ("dead-letters", "redrive"),
    ("events", "publish", "refund.made", "--id", "JOB", "--source", "shop", "--data", '{"n": 2}'),
    ("events", "publish", "refund.made", "--id", "JOB", "--source", "shop", "--data", '{"n": 2}'),
    ("webhooks", "create", "https://hooks.example.com/JOB"),
    ("webhooks", "create", "ftp://hooks.example.com"),
    ("webhooks", "disable", "nowhere", "--reason", "why"),
    ("limits", "set", "queue", "JOB", "--max-running", "2", "--rate", "5"),
    ("limits", "set", "queue", "JOB"),
    ("limits", "set", "platform", "JOB"),
    ("calendars", "set", "JOB", "--date", "2026-05-01", "--date", "2026-05-19"),
    ("calendars", "set", "JOB", "--date", "yesterday"),
    ("calendars", "set", "JOB", "--country", "TR", "--years", "2026"),
    ("calendars", "delete", "JOB"),
    ("calendars", "delete", "JOB"),
]


@pytest.mark.parametrize("output", ["table", "json"])
def test_a_story_of_changes_is_told_the_same(both: Both, stock: dict[str, str], output: str) -> None:
    """Each mode has a job of its own, changed step by step; every step says the same in both, refusals too."""
    told: dict[str, list[Any]] = {}
    for mode in both.places:
        name = f"{output}-{mode}".ljust(12, "x")
        steps = []
        for words in CHANGES:
            line = [
                (word.format(**stock) if word in ("{run}", "{failed}") else word).replace("JOB", name) for word in words
            ]
            code, out, err = both(mode, *line, "-o", output)
            steps.append((" ".join(words), code, same(out.replace(name, "JOB")), same(err.replace(name, "JOB"))))
        told[mode] = steps
    for at_server, at_database in zip(told["server"], told["db"], strict=True):
        assert at_server == at_database


def test_a_secret_shown_hidden_is_not_written_back(both: Both, stock: dict[str, str]) -> None:
    for mode in both.places:
        code, out, _ = both(mode, "jobs", "get", "nightly", "-o", "json")
        assert (code, json.loads(out)["payload"]["password"]) == (0, "[redacted]")
        code, _, err = both(mode, "jobs", "update", "nightly", "--set", "payload.a=2")
        assert code == 2
        assert "a secret that is not shown" in err


def test_a_page_is_gone_on_with_by_its_token(both: Both, stock: dict[str, str]) -> None:
    for mode in both.places:
        names: list[str] = []
        token: list[str] = []
        while True:
            code, out, _ = both(mode, "jobs", "list", "--limit", "2", "-o", "json", *token)
            assert code == 0
            page = json.loads(out)
            names += [one["name"] for one in page["data"]]
            if page["next_page_token"] is None:
                break
            token = ["--after", page["next_page_token"]]
        assert names == sorted(names)
        assert len(names) == len(set(names)) >= 3


def test_nobody_at_the_address_is_code_7_and_a_wrong_key_code_6(both: Both, server: Live) -> None:
    both.places["nowhere"] = ["--server", "http://127.0.0.1:9"]
    code, out, _ = both("nowhere", "jobs", "list", "-o", "json")
    assert (code, json.loads(out)["error"]["code"]) == (7, "server_unreachable")


def test_what_needs_the_database_says_so(both: Both) -> None:
    for words in (("hold", "--reason", "why"), ("migrate",), ("release",)):
        code, _, err = both("server", *words)
        assert code == 2
        assert "needs the database itself" in err


def test_a_profile_names_a_place_and_keeps_its_key_to_itself(both: Both, server: Live) -> None:
    both.places = {"": []}
    assert both("", "profiles", "add", "here", "--server", server.url, "--use")[0] == 0
    assert both("", "jobs", "get", "nowhere")[0] == 4
    assert both("", "profiles", "add", "here", "--server", server.url, "--key", "msk_a_secret", "--use")[0] == 0
    assert both("", "jobs", "get", "nowhere")[0] == 6  # a key nobody has made
    listed = both("", "profiles", "list", "-o", "json")[1]
    assert "msk_a_secret" not in listed
    assert json.loads(listed)["data"][0]["in_use"] is True
    assert both("", "profiles", "add", "file", "--db", server.database)[0] == 0
    assert both("", "jobs", "list", "--profile", "file")[0] == 0
    assert both("", "jobs", "list", "--profile", "none")[0] == 4
    assert both("", "profiles", "remove", "here")[0] == 0
    assert both("", "jobs", "list")[0] == 4  # the default database, which is not here
