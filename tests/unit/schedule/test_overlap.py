"""All six overlap policies, one occurrence after the other."""

from datetime import UTC, datetime

import pytest

from mainspring.model.decision import Verdict
from mainspring.model.execution import Status
from mainspring.model.job import ActiveExecution, JobDefinition, JobType
from mainspring.model.policy import Overlap
from mainspring.schedule.overlap import Slots

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def running(name, **changes):
    return ActiveExecution(name, "job", Status.RUNNING, False, NOW, **changes)


def waiting(name):
    return ActiveExecution(name, "job", Status.PENDING, True, NOW, blocked_by="overlap")


def judged(policy, active, count=1, **definition):
    slots = Slots(JobDefinition("job", JobType.CRON, "h", overlap=policy, **definition), active)
    return [slots.judge(f"new{n}") for n in range(count)]


@pytest.mark.parametrize("policy", list(Overlap))
def test_a_free_slot_is_used_whatever_the_policy(policy):
    (ruling,) = judged(policy, [])
    assert (ruling.verdict, ruling.buffered, ruling.blocked_by) == (Verdict.DISPATCHED, False, None)


def test_skip_names_the_execution_that_holds_the_slot():
    (ruling,) = judged(Overlap.SKIP, [running("old")])
    assert (ruling.verdict, ruling.reason["blocking"]) == (Verdict.SKIPPED_OVERLAP, "old")


def test_buffer_one_keeps_one_and_skips_the_rest():
    rulings = judged(Overlap.BUFFER_ONE, [running("old")], count=3)
    assert [r.verdict for r in rulings] == [Verdict.BUFFERED, Verdict.SKIPPED_OVERLAP, Verdict.SKIPPED_OVERLAP]
    assert rulings[0].blocked_by == "overlap"


def test_buffer_all_keeps_up_to_its_limit():
    rulings = judged(Overlap.BUFFER_ALL, [running("old")], count=4, buffer_limit=3)
    assert [r.verdict for r in rulings] == [Verdict.BUFFERED] * 3 + [Verdict.DROPPED_BUFFER_FULL]


def test_a_newcomer_waits_behind_what_is_buffered_even_if_a_slot_is_free():
    (ruling,) = judged(Overlap.BUFFER_ALL, [waiting("first")])
    assert ruling.verdict is Verdict.BUFFERED


def test_cancel_other_asks_the_old_one_to_stop_and_waits_for_it():
    first, second = judged(Overlap.CANCEL_OTHER, [running("old")], count=2)
    assert (first.verdict, first.cancel, first.blocked_by) == (Verdict.BUFFERED, ("old",), "overlap")
    assert second.cancel == ("old", "new0"), "the newer one takes the buffered one's place"


def test_terminate_other_ends_the_old_one_and_starts():
    (ruling,) = judged(Overlap.TERMINATE_OTHER, [running("old")])
    assert (ruling.verdict, ruling.terminate, ruling.buffered) == (Verdict.DISPATCHED, ("old",), False)


def test_allow_all_has_no_bound_unless_one_is_set():
    assert {r.blocked_by for r in judged(Overlap.ALLOW_ALL, [], count=50)} == {None}
    bounded = judged(Overlap.ALLOW_ALL, [], count=4, max_concurrency=2)
    assert [r.blocked_by for r in bounded] == [None, None, "job", "job"]
    assert {r.verdict for r in bounded} == {Verdict.DISPATCHED}


def test_max_concurrency_counts_what_is_active_under_every_policy():
    rulings = judged(Overlap.SKIP, [running("a")], count=3, max_concurrency=3)
    assert [r.verdict for r in rulings] == [Verdict.DISPATCHED, Verdict.DISPATCHED, Verdict.SKIPPED_OVERLAP]
