"""Chains: the next job runs once, and what does not run says why: in the log, in an event and in `explain`."""

from __future__ import annotations

from typing import Any

import pytest

from mainspring.control.explain import explain_execution
from mainspring.model.events import EventType
from mainspring.model.execution import Status
from mainspring.model.outcome import Failed
from mainspring.moves.enqueue import trigger
from mainspring.moves.jobs import archive_job, pause_job
from mainspring.moves.relay import mark_published, take_unpublished

ERROR = {"type": "ValueError", "message": "no", "traceback": ""}


def run_first(bench: Any, outcome: Any = None) -> Any:
    made = bench.do(lambda tx: trigger(tx, "default", "first"))
    bench.settle(next(e for e in bench.claim() if e.id == made.id), outcome)
    return made


def chain_checks(bench: Any, execution: Any) -> list[tuple[str, str]]:
    told = bench.do(lambda tx: explain_execution(tx, "default", execution.id))
    return [(c.result, c.detail) for c in told.checks if c.check == "chain"]


def skips(bench: Any) -> list[dict[str, Any]]:
    return [dict(e.data) for e in bench.do(take_unpublished) if e.type == EventType.OCCURRENCE_SKIPPED]


def test_what_was_started_is_told_by_the_finished_execution_and_by_the_next(bench):
    bench.job("first", on_success=["second", "third", "second"])
    for name in ("second", "third"):
        bench.job(name, handler="other")
    made = run_first(bench)
    assert bench.relay() == []
    second, third = sorted(bench.executions(Status.QUEUED), key=lambda e: e.job_name)
    assert chain_checks(bench, made) == [
        ("yes", f"started job 'second' as execution {second.id}"),
        ("yes", f"started job 'third' as execution {third.id}"),
    ]
    told = bench.do(lambda tx: explain_execution(tx, "default", second.id))
    assert f"after execution {made.id} of first" in told.checks[0].detail


def test_marking_twice_starts_once(bench):
    bench.job("first", on_success=["second"])
    bench.job("second", handler="other")
    run_first(bench)
    events = bench.do(take_unpublished)
    for _ in range(2):
        bench.do(lambda tx: mark_published(tx, bench.schedules, events))
    assert len(bench.executions(Status.QUEUED)) == 1


@pytest.mark.parametrize("state", ["missing", "paused", "archived", "busy"])
def test_a_job_that_cannot_be_started_is_told_in_log_event_and_explain(bench, state):
    bench.job("first", on_failure=["second"], retry={"max_retries": 0})
    if state != "missing":
        bench.job("second", handler="other", overlap="skip")
    if state == "paused":
        bench.do(lambda tx: pause_job(tx, bench.schedules, "default", "second", reason="stocktaking"))
    if state == "archived":
        bench.do(lambda tx: archive_job(tx, bench.schedules, "default", "second"))
    if state == "busy":
        bench.do(lambda tx: trigger(tx, "default", "second"))
    made = run_first(bench, Failed(ERROR))
    events = bench.do(take_unpublished)
    problems = bench.do(lambda tx: mark_published(tx, bench.schedules, events))
    word = {"missing": "no job 'second'", "paused": "stocktaking", "archived": "archived", "busy": "active"}[state]
    assert len(problems) == 1
    assert word in problems[0]
    ((result, detail),) = chain_checks(bench, made)
    assert result == "no"
    assert word in detail
    (skip,) = skips(bench)
    assert (skip["job"], skip["reason"]["chained_from"]) == ("second", made.id)
    assert bench.relay() == []
