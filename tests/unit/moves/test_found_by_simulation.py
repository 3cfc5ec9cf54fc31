"""Mistakes the simulated cluster found in the moves; each test is the shortest way to one of them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from mainspring.model.execution import Actor, Status
from mainspring.model.outcome import Failed, Outcome, Released, Snoozed, Succeeded
from mainspring.moves.cancel import cancel
from mainspring.moves.end import Ended, settle_attempts
from mainspring.moves.enqueue import EnqueueRequest, enqueue
from mainspring.moves.jobs import archive_job, pause_job, resume_job, update_job
from tests.unit.moves.conftest import Bench

ERROR = {"type": "E", "message": "", "traceback": ""}


def _running(bench: Bench):
    bench.do(lambda tx: enqueue(tx, [EnqueueRequest("h")]))
    return bench.claim()[0]


@pytest.mark.parametrize(
    "outcome", [Snoozed(timedelta(seconds=1)), Released(), Failed(ERROR)], ids=lambda o: type(o).__name__
)
async def test_what_is_given_back_after_a_cancel_its_worker_had_not_heard_of_is_cancelled(
    bench: Bench, outcome: Outcome
) -> None:
    """It would be queued again, where nobody may claim it, and stay there for ever."""
    execution = _running(bench)
    bench.do(lambda tx: cancel(tx, execution.id, reason="enough"))
    assert bench.settle(execution, outcome)
    after = bench.get(execution.id)
    assert after.status is Status.CANCELLED
    assert after.cancel_reason == "enough"


async def test_success_counts_though_a_cancel_was_on_its_way(bench: Bench) -> None:
    execution = _running(bench)
    bench.do(lambda tx: cancel(tx, execution.id))
    bench.settle(execution, Succeeded(7))
    assert bench.get(execution.id).result == 7


async def test_a_superseded_attempt_reported_together_with_the_present_one_leaves_no_trace(bench: Bench) -> None:
    """Both name one execution: that it moved does not mean that both moves were made."""
    old = _running(bench)
    bench.clock.advance(timedelta(seconds=20))
    bench.reap()
    bench.promote()
    new = bench.claim()[0]
    both = [Ended(old, Failed(ERROR, retryable=False)), Ended(new, Succeeded("mine"))]
    bench.do(lambda tx: settle_attempts(tx, both, Actor.WORKER))
    assert bench.get(old.id).result == "mine"
    assert bench.do(lambda tx: tx.dead_letters.get(old.id)) is None
    events = [e.type for e in bench.do(lambda tx: tx.outbox.unpublished(100)) if e.subject == old.id]
    assert events.count("scheduler:execution.success") == 1
    assert "scheduler:execution.failed" not in events
    assert [a.outcome for a in bench.do(lambda tx: tx.executions.attempts(old.id))] == ["lost", "success"]


async def test_each_execution_is_held_to_the_bound_it_brings_for_a_shared_key(bench: Bench) -> None:
    """The room left under one's bound was taken for the room under another's."""
    roomy = EnqueueRequest("h", concurrency_key="k", concurrency_limit=5, priority=9)
    narrow = EnqueueRequest("h", concurrency_key="k", concurrency_limit=1)
    made = bench.do(lambda tx: enqueue(tx, [roomy, narrow]))
    assert [e.status for e in made] == [Status.QUEUED, Status.PENDING]
    assert made[1].blocked_by == "key:k"


@pytest.mark.parametrize("how", ["resume", "archive", "edit"])
async def test_instants_of_a_pause_are_recorded_and_counted_whatever_ends_it(bench: Bench, how: str) -> None:
    job = bench.job(schedule={"cron": "0 * * * *"})
    bench.do(lambda tx: pause_job(tx, bench.schedules, "default", "job", reason="lunch"))
    bench.clock.advance(timedelta(hours=3, minutes=1))
    match how:
        case "resume":
            bench.do(lambda tx: resume_job(tx, bench.schedules, "default", "job"))
        case "archive":
            bench.do(lambda tx: archive_job(tx, bench.schedules, "default", "job"))
        case "edit":
            changes = {"schedule": {"cron": "30 * * * *"}}
            bench.do(lambda tx: update_job(tx, bench.schedules, "default", "job", changes))
    ledger = bench.ledger(job)
    assert [(d.decision.value, d.count) for d in ledger] == [("skipped_paused", 3)]
    bench.relay()
    assert bench.do(lambda tx: tx.jobs.stats([job.id]))[job.id].skipped == 3
