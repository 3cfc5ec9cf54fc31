"""Event jobs, move by move: filter, throttle, debounce, and what pausing, editing and archiving do to a burst."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from mainspring.errors import LimitExceededError, ValidationError
from mainspring.model.decision import Verdict
from mainspring.model.execution import Status
from mainspring.model.job import JobStatus
from mainspring.moves.events import Published, publish
from mainspring.moves.jobs import archive_job, pause_job, resume_job, update_job

SECOND = timedelta(seconds=1)


def event_job(bench: Any, name: str = "job", **schedule: Any) -> Any:
    return bench.job(name, type="event", overlap="allow_all", schedule={"events": ["order.*"], **schedule})


def happens(bench: Any, kind: str = "order.paid", data: Any = None, **more: Any) -> Published:
    return bench.do(lambda tx: publish(tx, "default", kind, data, schedules=bench.schedules, **more))


def verdicts(bench: Any, job: Any) -> list[tuple[str, str]]:
    return [(d.key.split("#")[1], d.decision.value) for d in bench.ledger(job)]


# -- filter and throttle -----------------------------------------------------------------------------------------


def test_an_event_that_the_filter_refuses_is_none_of_the_job_s_business(bench):
    job = event_job(bench, filter={"data": {"total": [{"numeric": [">", 100]}]}})
    assert happens(bench, data={"total": 99}).jobs == ()
    assert happens(bench, data={"total": 101}).jobs == ("job",)
    assert len(bench.ledger(job)) == 1


def test_what_the_throttle_refuses_is_decided_as_skipped_with_the_reason(bench):
    job = event_job(bench, throttle={"limit": 2, "per_ms": 10_000})
    for name in ("a", "b", "c"):
        happens(bench, event_id=name)
        bench.clock.advance(SECOND)
    assert verdicts(bench, job) == [("a", "dispatched"), ("b", "dispatched"), ("c", "skipped_limit")]
    reason = bench.ledger(job)[-1].reason
    assert reason["throttle"] == {"limit": 2, "per_ms": 10_000}
    assert reason["free_at"] == (bench.ledger(job)[0].scheduled_at + 10 * SECOND).isoformat()
    bench.clock.advance(7 * SECOND)
    assert happens(bench, event_id="d").executions != ()


def test_several_jobs_hear_one_event_and_each_decides_for_itself(bench):
    one = event_job(bench, "one")
    two = event_job(bench, "two", throttle={"limit": 1, "per_ms": 60_000})
    three = event_job(bench, "three", debounce_ms=1000)
    happens(bench, event_id="a")
    published = happens(bench, event_id="b")
    assert published.jobs == ("one", "three", "two")
    assert [len(bench.ledger(job)) for job in (one, two, three)] == [2, 2, 1]


def test_a_job_that_ran_as_often_as_it_may_is_completed(bench):
    job = event_job(bench, max_executions=2)
    for name in ("a", "b", "c"):
        happens(bench, event_id=name)
    assert verdicts(bench, job) == [("a", "dispatched"), ("b", "dispatched")]
    assert bench.stored().status is JobStatus.COMPLETED
    assert "2 times" in bench.stored().status_reason


def test_jitter_delays_the_start_and_not_the_decision(bench):
    job = event_job(bench, jitter_ms=60_000)
    made = happens(bench, event_id="a").executions[0]
    assert made.status is Status.PENDING
    assert timedelta(0) < made.available_at - bench.clock.now() <= timedelta(minutes=1)
    assert bench.ledger(job)[0].late == timedelta(0)


def test_events_before_the_start_and_after_the_end_concern_nobody(bench):
    job = event_job(bench, start_at="2026-03-02T08:00:10", end_at="2026-03-02T08:00:20")
    for name in ("early", "in time", "late"):
        happens(bench, event_id=name)
        bench.clock.advance(11 * SECOND)
    assert verdicts(bench, job) == [("in time", "dispatched")]


@pytest.mark.parametrize(
    "wrong",
    [{"kind": ""}, {"kind": "a b"}, {"kind": "a" * 300}, {"event_id": ""}, {"source": "a b"}, {"subject": "\x00"}],
    ids=str,
)
def test_an_event_that_cannot_be_named_is_refused(bench, wrong):
    with pytest.raises(ValidationError):
        happens(bench, **wrong)


def test_data_over_the_limit_is_refused(bench):
    with pytest.raises(LimitExceededError, match="data"):
        happens(bench, data={"x": "y" * 300_000})


# -- debounce ----------------------------------------------------------------------------------------------------


def burst(bench: Any, *names: str, every: timedelta = SECOND) -> None:
    for name in names:
        happens(bench, event_id=name, data={"name": name})
        bench.clock.advance(every)


def test_the_last_event_of_a_burst_starts_the_job_once_it_is_quiet(bench):
    job = event_job(bench, debounce_ms=5000)
    burst(bench, "a", "b", "c")
    assert bench.stored().next_run_at == bench.clock.now() + 4 * SECOND
    assert verdicts(bench, job) == [("a", "coalesced"), ("b", "coalesced")]
    bench.clock.advance(3 * SECOND)
    assert bench.plan().dispatched == 0
    bench.clock.advance(SECOND)
    assert bench.plan().dispatched == 1
    assert verdicts(bench, job)[-1] == ("c", "dispatched")
    assert bench.executions()[0].event["data"] == {"name": "c"}
    first, second, third = bench.ledger(job)
    assert (first.into_at, second.into_at) == (second.scheduled_at, third.scheduled_at)
    assert second.reason["into"] == "mainspring#c"
    assert bench.stored().next_run_at is None
    assert bench.plan().jobs == 0


def test_a_second_burst_is_a_second_run(bench):
    job = event_job(bench, debounce_ms=2000)
    for names in (("a", "b"), ("c",)):
        burst(bench, *names)
        bench.clock.advance(2 * SECOND)
        bench.plan()
    assert verdicts(bench, job) == [("a", "coalesced"), ("b", "dispatched"), ("c", "dispatched")]


def test_events_of_one_transaction_are_debounced_too(bench):
    job = event_job(bench, debounce_ms=1000)

    def both(tx: Any) -> None:
        for name in ("a", "b"):
            publish(tx, "default", "order.paid", event_id=name)

    bench.do(both)
    bench.clock.advance(SECOND)
    bench.plan()
    assert verdicts(bench, job) == [("a", "coalesced"), ("b", "dispatched")]


def test_the_throttle_counts_what_was_waited_out(bench):
    job = event_job(bench, debounce_ms=1000, throttle={"limit": 1, "per_ms": 60_000})
    for name in ("a", "b"):
        burst(bench, name, every=2 * SECOND)
        bench.plan()
    assert verdicts(bench, job) == [("a", "dispatched"), ("b", "skipped_limit")]


def test_what_waits_when_a_job_is_paused_is_skipped_at_resume(bench):
    job = event_job(bench, debounce_ms=5000)
    burst(bench, "a")
    bench.do(lambda tx: pause_job(tx, bench.schedules, "default", "job", reason="holiday"))
    burst(bench, "b")
    bench.clock.advance(60 * SECOND)
    assert bench.plan().jobs == 0
    bench.do(lambda tx: resume_job(tx, bench.schedules, "default", "job"))
    assert verdicts(bench, job) == [("a", "skipped_paused"), ("b", "skipped_paused")]
    assert {d.reason["reason"] for d in bench.ledger(job)} == {"holiday"}
    assert bench.stored().next_run_at is None


def test_what_waits_when_a_job_is_paused_runs_at_resume_with_catch_up(bench):
    job = event_job(bench, debounce_ms=5000)
    burst(bench, "a")
    bench.do(lambda tx: pause_job(tx, bench.schedules, "default", "job", reason="holiday"))
    bench.clock.advance(60 * SECOND)
    bench.do(lambda tx: resume_job(tx, bench.schedules, "default", "job", catch_up=True))
    assert bench.plan().dispatched == 1
    assert verdicts(bench, job) == [("a", "dispatched")]


def test_what_has_been_quiet_is_decided_before_the_pause(bench):
    job = event_job(bench, debounce_ms=1000)
    burst(bench, "a")
    bench.do(lambda tx: pause_job(tx, bench.schedules, "default", "job", reason="holiday"))
    assert verdicts(bench, job) == [("a", "dispatched")]


def test_what_waits_when_a_job_is_archived_is_skipped_with_the_reason(bench):
    job = event_job(bench, debounce_ms=5000)
    burst(bench, "a")
    bench.do(lambda tx: archive_job(tx, bench.schedules, "default", "job"))
    assert verdicts(bench, job) == [("a", "skipped_paused")]
    assert "archived" in bench.ledger(job)[0].reason["reason"]


def edit(bench: Any, **changes: Any) -> None:
    bench.do(lambda tx: update_job(tx, bench.schedules, "default", "job", changes))


def test_an_edit_of_the_debounce_holds_for_what_waits(bench):
    event_job(bench, debounce_ms=60_000)
    burst(bench, "a")
    edit(bench, schedule={"events": ["order.*"], "debounce_ms": 5000})
    assert bench.stored().next_run_at == bench.clock.now() + 4 * SECOND
    edit(bench, schedule={"events": ["order.*"]})
    assert bench.stored().next_run_at == bench.clock.now()
    assert bench.plan().dispatched == 1


def test_an_event_after_the_debounce_was_taken_away_runs_behind_what_waited(bench):
    job = event_job(bench, debounce_ms=60_000)
    burst(bench, "a")
    edit(bench, schedule={"events": ["order.*"]})
    burst(bench, "b")
    assert verdicts(bench, job) == [("a", "dispatched"), ("b", "dispatched")]
    assert bench.plan().dispatched == 0


def test_an_edit_of_something_else_leaves_the_burst_alone(bench):
    event_job(bench, debounce_ms=5000)
    burst(bench, "a")
    before = bench.stored().next_run_at
    edit(bench, priority=9)
    assert bench.stored().next_run_at == before


def test_a_job_that_becomes_one_of_another_type_skips_what_waits(bench):
    job = event_job(bench, debounce_ms=5000)
    burst(bench, "a")
    edit(bench, type="cron", schedule={"cron": "0 * * * *"})
    assert verdicts(bench, job) == [("a", "skipped_paused")]


def test_a_debounced_job_may_run_as_often_as_it_may_and_no_more(bench):
    job = event_job(bench, debounce_ms=1000, max_executions=1)
    for name in ("a", "b"):
        burst(bench, name, every=2 * SECOND)
        bench.plan()
    assert verdicts(bench, job) == [("a", "dispatched")]
    assert bench.stored().status is JobStatus.COMPLETED


def test_a_skip_is_announced_and_counted_and_a_coalesced_event_as_well(bench):
    job = event_job(bench, debounce_ms=1000)
    burst(bench, "a", "b", every=SECOND / 2)
    bench.relay()
    assert bench.do(lambda tx: tx.jobs.stats([job.id]))[job.id].skipped == 1
    assert bench.ledger(job)[0].decision is Verdict.COALESCED
