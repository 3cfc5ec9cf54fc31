"""`mainspring export`: the record as lines, while it is written to and where moves were not recorded."""

from __future__ import annotations

import json
import signal
from collections import defaultdict
from itertools import pairwise
from typing import Any

import pytest

from tests.e2e.conftest import Cli


def lines(cli: Cli, *words: str) -> list[dict[str, Any]]:
    answer = cli("export", *words, "--db", "jobs.db")
    assert answer.code == 0, answer.err
    return [json.loads(line) for line in answer.out.splitlines()]


@pytest.mark.parametrize("recorded", [True, False])
def test_the_record_of_a_run_is_exported_whole_and_agrees_with_itself(shop: Cli, recorded: bool) -> None:
    dev = shop.start("dev", "shop.py", MAINSPRING_RECORD_TRANSITIONS=str(recorded).lower())
    dev.wait_for("Mainspring .* dev")
    for what in ("attempt 1 failed", "skipped: overlap", "slow .*finished"):
        dev.wait_for(what)
    dev.signal(signal.SIGTERM)
    dev.end()

    executions = lines(shop, "executions")
    transitions = lines(shop, "transitions", "-o", "jsonl")
    decisions = lines(shop, "decisions")
    assert executions
    assert [e["id"] for e in executions] == sorted((e["id"] for e in executions), reverse=True)
    history = defaultdict(list)
    for move in transitions:
        assert move["recorded"] is recorded
        history[move["execution_id"]].append(move)
    for execution in executions:
        moves = history.pop(execution["id"])
        assert moves[0]["source"] is None
        assert all(a["to"] == b["source"] for a, b in pairwise(moves))
        assert moves[-1]["to"] == execution["status"]
    assert not history
    made = {d["execution_id"] for d in decisions if d["decision"] in ("dispatched", "buffered")}
    assert made == {e["id"] for e in executions if e["cause"] == "schedule"}
    slow = lines(shop, "executions", "--job", "slow")
    assert slow
    assert slow == [e for e in executions if e["job_name"] == "slow"]
    array = shop("export", "executions", "--db", "jobs.db", "-o", "json")
    assert array.json == executions


def test_an_export_of_an_unknown_job_is_refused(shop: Cli) -> None:
    assert shop("migrate", "--db", "jobs.db").code == 0
    answer = shop("export", "decisions", "--job", "nobody", "--db", "jobs.db")
    assert answer.code == 4
    assert "nobody" in answer.err
