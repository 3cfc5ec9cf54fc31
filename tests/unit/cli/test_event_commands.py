"""`events` and `webhooks`, and `explain` of an event, as commands on a file."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from mainspring.cli.commands import run
from mainspring.errors import ExecutionFailedError


@pytest.fixture
def cli(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    def call(*words: str, code: int = 0) -> Any:
        assert run([*words, "--db", str(tmp_path / "jobs.db"), "-o", "json"]) == code
        text = capsys.readouterr().out
        return json.loads(text) if text else None

    call("migrate")
    return call


def test_an_event_is_published_tested_and_explained(cli, tmp_path):
    schedule = {"events": ["order.*"], "filter": {"data": {"n": [1]}}}
    file = tmp_path / "ship.json"
    file.write_text(json.dumps({"name": "ship", "type": "event", "handler": "h", "schedule": schedule}))
    cli("jobs", "create", "--file", str(file))
    first = cli("events", "publish", "order.paid", "--data", '{"n": 1}', "--id", "7", "--source", "shop")
    assert (first["jobs"], first["duplicate"], len(first["executions"])) == (["ship"], False, 1)
    assert cli("events", "publish", "order.paid", "--id", "7", "--source", "shop")["duplicate"]
    assert cli("events", "test", "ship", "order.paid", "--data", '{"n": 1}')["matches"]
    refused = cli("events", "test", "ship", "order.paid", "--data", '{"n": 2}', code=1)
    assert refused["path"] == "filter.data.n"
    told = cli("explain", "ship", "--event", "shop#7")
    assert told["verdict"] == "waiting"
    assert cli("explain", "ship", "--event", "8")["verdict"] == "did_not_run"


def test_a_webhook_is_made_listed_rotated_disabled_and_deleted(cli):
    made = cli("webhooks", "create", "https://example.com/in", "--events", "scheduler:job.*")
    assert made["secret"].startswith("whsec_")
    (listed,) = cli("webhooks", "list")["data"]
    assert (listed["id"], "secret" in listed) == (made["id"], False)
    rotated = cli("webhooks", "rotate", made["id"], "--keep", "1h")
    assert rotated["secret"] != made["secret"]
    assert [one["until"] is None for one in rotated["secrets"]] == [True, False]
    assert not cli("webhooks", "disable", made["id"], "--reason", "moving")["enabled"]
    assert cli("webhooks", "enable", made["id"], "--url", "https://example.com/new")["url"].endswith("new")
    assert cli("webhooks", "deliveries", made["id"])["data"] == []
    cli("webhooks", "delete", made["id"])
    cli("webhooks", "delete", made["id"], code=4)


def test_a_test_of_a_forbidden_target_says_so_and_fails(cli):
    made = cli("webhooks", "create", "http://127.0.0.1:9/in")
    answer = cli("webhooks", "test", made["id"], code=1)
    assert answer["reception"] == "forbidden"
    assert "must not be called" in answer["detail"]


def test_dead_letters_are_counted_redriven_and_discarded_by_filter(cli, tmp_path):
    from mainspring import Mainspring
    from mainspring.model.outcome import Fail

    ms = Mainspring(f"sqlite:///{tmp_path}/jobs.db", poll_ms=50)

    @ms.handler(retry=0)
    async def breaks() -> None:
        raise Fail("broken")

    async def die() -> None:
        async with ms.running():
            for _ in range(3):
                run = await breaks.aenqueue()
                with pytest.raises(ExecutionFailedError):
                    await run.aresult(timeout=10)

    asyncio.run(die())
    assert cli("dead", "redrive", "--handler", "breaks", "--dry-run")["count"] == 3
    assert cli("dead", "redrive", "--handler", "nobody")["count"] == 0
    cli("dead", "redrive", "--handler", "breaks", "--rate", "0", code=2)
    redriven = cli("dead", "redrive", "--handler", "breaks", "--limit", "2", "--rate", "1")
    assert (redriven["count"], redriven["more"]) == (2, True)
    assert cli("dead", "discard", "--all", "--reason", "done with")["count"] == 1
    assert cli("dead", "list")["data"] == []
    cli("dead", "redrive", code=2)
    cli("limits", "set", "queue", "default", "--max-running=-1", code=2)
    cli("limits", "set", "queue", "default", "--rate", "0", code=2)
    cli("dead", "redrive", "x", "--handler", "breaks", code=2)
    cli("dead", "redrive", "--all", "--payload", "{}", code=2)
