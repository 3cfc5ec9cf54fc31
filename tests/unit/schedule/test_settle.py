"""Outcome -> the step that follows."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from mainspring.model.execution import Cause, Execution, Failure, Status
from mainspring.model.outcome import Cancelled, Failed, Lost, Released, Snoozed, Succeeded, TimedOut, Waiting
from mainspring.model.policy import RetryJitter, RetryPolicy
from mainspring.schedule.settle import POISON_LIMIT, fingerprint, settle

NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)
ERROR = {"type": "ValueError", "message": "no", "traceback": ""}
RUNNING = Execution(
    id="e",
    platform_id="default",
    handler="h",
    status=Status.RUNNING,
    cause=Cause.SCHEDULE,
    created_at=NOW,
    available_at=NOW,
    started_at=NOW,
    attempt=1,
    fence=1,
    worker_id="w",
    lease_until=NOW + timedelta(seconds=15),
    retry=RetryPolicy(max_retries=2, retry_delay=timedelta(seconds=10), jitter=RetryJitter.NONE),
)


def step(outcome, **changes):
    return settle(replace(RUNNING, **changes), outcome, now=NOW, draw=0.5)


def test_a_first_attempt_that_succeeds_leaves_no_attempt_row():
    found = step(Succeeded({"rows": 3}))
    assert (found.to, found.set["result"], found.attempt) == (Status.SUCCESS, {"rows": 3}, None)


def test_a_later_success_is_kept_as_an_attempt():
    assert step(Succeeded(), attempt=2).attempt.outcome == "success"


@pytest.mark.parametrize(("failures", "delay"), [(0, 10), (1, 20)])
def test_a_failure_with_retries_left_waits_for_its_backoff(failures, delay):
    found = step(Failed(ERROR), failures=failures)
    assert found.to is Status.RETRYING
    assert found.set["available_at"] == NOW + timedelta(seconds=delay)
    assert found.set["failures"] == failures + 1


def test_the_last_failure_is_final():
    found = step(Failed(ERROR), failures=2)
    assert (found.to, found.set["failure"], found.set["error"]) == (Status.FAILED, Failure.ERROR, ERROR)


def test_a_handler_may_choose_the_delay_but_not_more_retries():
    after = timedelta(minutes=7)
    assert step(Failed(ERROR, retry_after=after)).set["available_at"] == NOW + after
    assert step(Failed(ERROR, retry_after=after), failures=2).to is Status.FAILED


def test_what_no_retry_mends_is_not_retried():
    assert step(Failed(ERROR, retryable=False)).to is Status.FAILED
    assert step(Failed(ERROR, invalid_payload=True)).set["failure"] is Failure.INVALID_PAYLOAD


def test_a_timeout_counts_as_a_failure_and_is_named_as_one():
    assert step(TimedOut(ERROR)).to is Status.RETRYING
    assert step(TimedOut(ERROR), failures=2).set["failure"] is Failure.TIMEOUT


@pytest.mark.parametrize("outcome", [Snoozed(timedelta(minutes=1)), Released()])
def test_snooze_and_release_give_the_attempt_back(outcome):
    found = step(outcome, attempt=3, failures=1)
    assert found.set["attempt"] == 2
    assert "failures" not in found.set
    assert found.to in (Status.PENDING, Status.QUEUED)


def test_a_lost_attempt_is_requeued_without_backoff_and_raises_the_fence():
    found = step(Lost("w"))
    assert (found.to, found.set["available_at"], found.set["fence"]) == (Status.RETRYING, NOW, 2)
    assert "failures" not in found.set


def test_the_third_loss_is_poison():
    found = step(Lost("w"), losses=POISON_LIMIT - 1)
    assert (found.to, found.set["failure"]) == (Status.FAILED, Failure.POISONED)


@pytest.mark.parametrize("outcome", [Lost("w"), Failed(ERROR), TimedOut(ERROR), Cancelled()])
def test_once_a_cancel_was_asked_for_nothing_is_retried(outcome):
    assert step(outcome, cancel_requested_at=NOW).to is Status.CANCELLED


def test_a_cancel_that_comes_too_late_does_not_undo_a_success():
    assert step(Succeeded(), cancel_requested_at=NOW).to is Status.SUCCESS


def test_waiting_frees_the_worker_and_keeps_a_deadline():
    found = step(Waiting("task-7", NOW + timedelta(hours=1)))
    assert found.to is Status.WAITING
    assert (found.set["worker_id"], found.set["deadline_at"]) == (None, NOW + timedelta(hours=1))


def test_failures_of_one_cause_share_a_fingerprint():
    one = fingerprint("h", {"type": "OSError", "message": "host 10.0.0.7 at 0xdeadbeef"})
    assert one == fingerprint("h", {"type": "OSError", "message": "host 10.0.0.8 at 0xfeedface"})
    assert one != fingerprint("other", {"type": "OSError", "message": "host 10.0.0.7 at 0xdeadbeef"})
