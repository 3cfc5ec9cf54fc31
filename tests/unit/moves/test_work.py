"""Enqueue, trigger, limits, claim, settle, reap, cancel, redrive: what becomes of executions."""

from dataclasses import replace
from datetime import timedelta

import pytest

from mainspring.errors import (
    ConflictError,
    IdempotencyConflictError,
    LimitExceededError,
    NotFoundError,
    OverlapConflictError,
    ValidationError,
)
from mainspring.model.execution import Cause, Failure, Status
from mainspring.model.node import Limit
from mainspring.model.outcome import Failed, Snoozed, Succeeded, Waiting
from mainspring.model.policy import Overlap, RetryPolicy
from mainspring.moves.admit import promote_next
from mainspring.moves.cancel import cancel
from mainspring.moves.enqueue import EnqueueRequest, again, discard, enqueue, redrive, trigger
from tests.unit.moves.conftest import LEASE, START

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
ERROR = {"type": "ValueError", "message": "no", "traceback": ""}
ONCE = RetryPolicy(max_retries=0)


def put(bench, *requests):
    return bench.do(lambda tx: enqueue(tx, requests or [EnqueueRequest("h")]))


def limit(bench, scope, name="", **bounds):
    bench.do(lambda tx: tx.platforms.put_limit(Limit("default", scope, name, **bounds)))


def manual(bench, name="job", **fields):
    return bench.job(name, type="manual", schedule=None, **fields)


def run(bench, name="job", **options):
    return bench.do(lambda tx: trigger(tx, "default", name, **options))


def test_an_enqueue_is_queued_at_once_and_runs(bench):
    (made,) = put(bench, EnqueueRequest("h", {"a": 1}))
    assert (made.status, made.cause, made.job_id) == (Status.QUEUED, Cause.ENQUEUE, None)
    (claimed,) = bench.claim()
    assert (claimed.attempt, claimed.fence, claimed.lease_until) == (1, 1, START + LEASE)
    assert bench.settle(claimed, Succeeded(7))
    after = bench.get(made.id)
    assert (after.status, after.result, after.lease_until, after.worker_id) == (Status.SUCCESS, 7, None, None)


def test_a_later_enqueue_waits_for_its_time(bench):
    (made,) = put(bench, EnqueueRequest("h", run_at=START + MINUTE))
    assert made.status is Status.PENDING
    assert bench.promote() == 0
    bench.clock.advance(MINUTE)
    assert bench.promote() == 1


def test_one_idempotency_key_is_one_execution(bench):
    request = EnqueueRequest("h", {"a": 1}, idempotency_key="k")
    assert put(bench, request)[0].id == put(bench, request)[0].id
    with pytest.raises(IdempotencyConflictError):
        put(bench, replace(request, payload={"a": 2}))


def test_the_same_key_twice_in_one_call_is_one_execution(bench):
    request = EnqueueRequest("h", idempotency_key="k")
    one, other = put(bench, request, request)
    assert one.id == other.id
    assert len(bench.executions()) == 1


@pytest.mark.parametrize("payload", [{"a": float("nan")}, {"a": object()}, {"a": "\ud800"}])
def test_what_is_no_json_is_refused(bench, payload):
    from mainspring.moves.enqueue import encoded_size

    with pytest.raises(ValidationError):
        encoded_size(payload)


def test_a_payload_has_a_size_limit():
    from mainspring.moves.enqueue import encoded_size

    with pytest.raises(LimitExceededError):
        encoded_size({"a": "x" * 300_000})


def test_a_trigger_is_refused_by_overlap_and_told_who_holds_the_slot(bench):
    manual(bench, overlap="skip")
    first = run(bench)
    with pytest.raises(OverlapConflictError) as refused:
        run(bench)
    assert refused.value.running == first.id
    assert run(bench, overlap=Overlap.ALLOW_ALL).status is Status.QUEUED


def test_a_buffered_trigger_starts_when_the_first_has_ended(bench):
    manual(bench)
    first, second = run(bench), run(bench)
    assert (second.status, second.blocked_by, second.buffered) == (Status.PENDING, "overlap", True)
    assert bench.promote() == 0
    bench.settle(bench.claim()[0])
    assert bench.promote() == 1
    assert [e.id for e in bench.claim()] == [second.id]
    assert bench.get(first.id).status is Status.SUCCESS


def test_a_retrying_execution_still_holds_its_slot(bench):
    manual(bench)
    run(bench)
    run(bench)
    bench.settle(bench.claim()[0], Failed(ERROR))
    assert bench.promote() == 0, "its retry is not due, and the second one waits behind it"


def test_cancel_other_starts_the_new_one_only_after_the_old_has_ended(bench):
    manual(bench, overlap="cancel_other")
    old = run(bench)
    (claimed,) = bench.claim()
    new = run(bench)
    assert bench.get(old.id).cancel_requested_at is not None
    assert (new.status, bench.promote()) == (Status.PENDING, 0)
    bench.settle(replace(claimed, cancel_requested_at=START), Failed(ERROR))
    assert bench.get(old.id).status is Status.CANCELLED
    assert bench.promote() == 1


def test_terminate_other_fences_the_old_one_off(bench):
    manual(bench, overlap="terminate_other")
    old = run(bench)
    (claimed,) = bench.claim()
    assert run(bench).status is Status.QUEUED
    assert bench.get(old.id).status is Status.CANCELLED
    assert not bench.settle(claimed, Succeeded("too late"))
    assert bench.get(old.id).result is None


def test_a_queue_runs_no_more_than_its_limit(bench):
    limit(bench, "queue", "default", max_running=2)
    made = put(bench, *[EnqueueRequest("h")] * 3)
    assert [e.blocked_by for e in made] == [None, None, "queue:default"]
    one, _ = bench.claim()
    assert bench.promote() == 0
    bench.settle(one)
    assert bench.promote() == 1


def test_a_rate_lets_so_many_through_in_its_window(bench):
    limit(bench, "queue", "default", rate=2, rate_per=10.0)
    put(bench, *[EnqueueRequest("h")] * 5)
    assert len(bench.claim()) == 2
    bench.clock.advance(5 * SECOND)
    assert bench.promote() == 0
    bench.clock.advance(6 * SECOND)
    assert bench.promote() == 2


def test_a_concurrency_key_is_shared_by_all_that_carry_it(bench):
    shared = EnqueueRequest("h", concurrency_key="acct-7", concurrency_limit=1)
    a, b, c = put(bench, shared, replace(shared, handler="other"), EnqueueRequest("h"))
    assert (a.status, b.blocked_by, c.status) == (Status.QUEUED, "key:acct-7", Status.QUEUED)


def test_a_platform_has_a_limit_of_its_own(bench):
    limit(bench, "platform", max_running=1, max_pending=1)
    put(bench)
    assert put(bench)[0].blocked_by == "platform"
    with pytest.raises(LimitExceededError, match="pending"):
        put(bench)


def test_max_concurrency_under_allow_all_lets_the_rest_wait(bench):
    manual(bench, overlap="allow_all", max_concurrency=2)
    made = [run(bench) for _ in range(4)]
    assert [e.blocked_by for e in made] == [None, None, "job", "job"]
    bench.settle(bench.claim(1)[0])
    assert bench.promote() == 1


def test_priority_comes_first_and_age_second(bench):
    low, high, older = (
        put(bench, EnqueueRequest("h", priority=p, run_at=START + at * SECOND))[0] for p, at in ((1, 1), (9, 3), (9, 2))
    )
    bench.clock.advance(5 * SECOND)
    bench.promote()
    assert [bench.claim(1)[0].id for _ in range(3)] == [older.id, high.id, low.id]


def test_a_late_result_is_refused_after_the_lease_was_lost(bench):
    put(bench)
    (slow,) = bench.claim(worker="slow")
    bench.clock.advance(LEASE + SECOND)
    assert bench.reap().lost == 1
    bench.promote()
    (fast,) = bench.claim(worker="fast")
    assert fast.fence > slow.fence
    assert not bench.settle(slow, Succeeded("stale"))
    assert bench.settle(fast, Succeeded("fresh"))
    assert bench.get(fast.id).result == "fresh"


def test_the_third_loss_is_a_dead_letter(bench):
    (made,) = put(bench)
    for _ in range(3):
        bench.promote()
        bench.claim()
        bench.clock.advance(LEASE + SECOND)
        bench.reap()
    after = bench.get(made.id)
    assert (after.status, after.failure, after.losses, after.failures) == (Status.FAILED, Failure.POISONED, 3, 0)
    assert bench.do(lambda tx: tx.dead_letters.get(made.id)).failure is Failure.POISONED


def test_a_deadline_ends_an_attempt_whose_worker_will_not(bench):
    put(bench, EnqueueRequest("h", timeout=10 * SECOND, retry=ONCE))
    (claimed,) = bench.claim()
    bench.clock.advance(10 * SECOND)
    bench.do(lambda tx: tx.executions.renew("w", tx.now + LEASE))
    assert not bench.reap()
    bench.clock.advance(11 * SECOND)
    bench.do(lambda tx: tx.executions.renew("w", tx.now + LEASE))
    assert bench.reap().overdue == 1
    assert bench.get(claimed.id).failure is Failure.TIMEOUT
    assert not bench.settle(claimed)


def test_what_cannot_start_in_time_expires(bench):
    (made,) = put(bench, EnqueueRequest("h", start_deadline=5 * SECOND))
    bench.clock.advance(6 * SECOND)
    assert bench.claim() == []
    assert bench.reap().expired == 1
    assert bench.get(made.id).status is Status.EXPIRED


def test_snooze_uses_no_attempt(bench):
    (made,) = put(bench)
    bench.settle(bench.claim()[0], Snoozed(MINUTE))
    assert (bench.get(made.id).status, bench.get(made.id).attempt) == (Status.PENDING, 0)
    bench.clock.advance(MINUTE)
    bench.promote()
    (claimed,) = bench.claim()
    assert (claimed.attempt, claimed.fence) == (1, 2)


def test_waiting_gives_up_the_queue_slot_and_ends_at_its_deadline(bench):
    limit(bench, "queue", "default", max_running=1)
    put(bench, EnqueueRequest("h", retry=ONCE))
    put(bench)
    bench.settle(bench.claim()[0], Waiting("task-1", START + MINUTE))
    assert bench.promote() == 1
    bench.clock.advance(2 * MINUTE)
    assert bench.reap().overdue == 1


def test_cancelling_what_has_not_started_ends_it_at_once(bench):
    (made,) = put(bench)
    assert bench.do(lambda tx: cancel(tx, made.id, reason="wrong one")).status is Status.CANCELLED
    assert bench.claim() == []
    assert bench.do(lambda tx: cancel(tx, made.id)).status is Status.CANCELLED, "twice is once"


def test_cancelling_what_runs_asks_and_then_fences_off(bench):
    put(bench)
    (claimed,) = bench.claim()
    asked = bench.do(lambda tx: cancel(tx, claimed.id))
    assert (asked.status, asked.cancel_requested_at) == (Status.RUNNING, START)
    bench.clock.advance(11 * SECOND)
    bench.do(lambda tx: tx.executions.renew("w", tx.now + LEASE))
    bench.reap()
    assert bench.get(claimed.id).status is Status.CANCELLED
    assert not bench.settle(claimed)


def test_force_fences_off_at_once_and_an_ended_one_cannot_be_cancelled(bench):
    put(bench)
    (claimed,) = bench.claim()
    assert bench.do(lambda tx: cancel(tx, claimed.id, force=True)).fence == 2
    (other,) = put(bench)
    bench.settle(bench.claim()[0])
    with pytest.raises(ConflictError):
        bench.do(lambda tx: cancel(tx, other.id))
    with pytest.raises(NotFoundError):
        bench.do(lambda tx: cancel(tx, other.id, platform_id="foreign"))


def test_redrive_runs_a_dead_letter_again_once(bench):
    put(bench, EnqueueRequest("h", {"a": 1}, retry=ONCE))
    (claimed,) = bench.claim()
    bench.settle(claimed, Failed(ERROR))
    fresh = bench.do(lambda tx: redrive(tx, claimed.id, platform_id="default"))
    assert (fresh.retry_of, fresh.payload, fresh.idempotency_key) == (claimed.id, {"a": 1}, claimed.idempotency_key)
    with pytest.raises(ConflictError):
        bench.do(lambda tx: redrive(tx, claimed.id, platform_id="default"))
    with pytest.raises(ConflictError):
        bench.do(lambda tx: discard(tx, claimed.id, platform_id="default", reason="x"))


def test_only_what_has_ended_can_be_run_again(bench):
    (made,) = put(bench)
    with pytest.raises(ConflictError):
        bench.do(lambda tx: again(tx, made.id))


def test_a_job_can_do_without_dead_letters(bench):
    manual(bench, dead_letter=False, retry={"max_retries": 0})
    made = run(bench)
    bench.settle(bench.claim()[0], Failed(ERROR))
    assert bench.do(lambda tx: tx.dead_letters.get(made.id)) is None


def test_promoting_what_comes_next_tells_when_and_looks_further_only_where_something_waits(bench):
    def following():
        return bench.do(promote_next)

    assert following() == (0, None, False)
    (later,) = put(bench, EnqueueRequest("h", run_at=START + MINUTE))
    assert following() == (0, START + MINUTE, False)
    bench.clock.advance(MINUTE)
    assert following() == (1, None, True)
    assert bench.get(later.id).status is Status.QUEUED
    limit(bench, "queue", "default", max_running=1)
    (held,) = put(bench, EnqueueRequest("h"))
    assert (held.status, following()) == (Status.PENDING, (0, None, True))
    limit(bench, "queue", "default", max_running=2)
    assert following() == (1, None, True)
    assert following() == (0, None, False)
