"""What the outbox leads to, and what comes in by the inbox."""

from datetime import timedelta

from mainspring.model.decision import Verdict
from mainspring.model.execution import CHAIN_DEPTH, Cause, Status
from mainspring.model.job import Job, JobStatus
from mainspring.model.outcome import Failed, Succeeded
from mainspring.moves.enqueue import trigger
from mainspring.moves.events import publish
from mainspring.moves.plan import plan_due
from mainspring.moves.relay import mark_published, take_unpublished
from mainspring.moves.retain import Retention, retain
from mainspring.moves.schedules import Schedules
from mainspring.ports.store import Tx
from mainspring.schedule import CompiledSchedule
from tests.unit.moves.conftest import START

HOUR = timedelta(hours=1)
ERROR = {"type": "ValueError", "message": "no", "traceback": ""}
NO_RETRY = {"max_retries": 0}


def run_once(bench, name="job", outcome=None):
    made = bench.do(lambda tx: trigger(tx, "default", name))
    bench.settle(next(e for e in bench.claim() if e.id == made.id), outcome or Succeeded())
    return made


def stats_of(bench, job):
    return bench.do(lambda tx: tx.jobs.stats([job.id]))[job.id]


def test_rollups_count_each_end_once_even_if_published_twice(bench):
    job = bench.job(overlap="skip", retry=NO_RETRY)
    run_once(bench)
    run_once(bench, outcome=Failed(ERROR))
    events = bench.do(take_unpublished)
    for _ in range(2):
        bench.do(lambda tx: mark_published(tx, bench.schedules, events))
    stats = stats_of(bench, job)
    assert (stats.total, stats.success, stats.failed, stats.consecutive_failures) == (2, 1, 1, 1)


def test_skips_are_counted_by_instants(bench):
    job = bench.job(misfire="skip")
    bench.clock.advance(5 * HOUR + timedelta(minutes=30))
    bench.plan()
    bench.relay()
    assert stats_of(bench, job).skipped == 5


def test_a_job_that_keeps_failing_is_paused(bench):
    bench.job(pause_after_failures=2, retry=NO_RETRY)
    run_once(bench, outcome=Failed(ERROR))
    bench.relay()
    assert bench.stored().status is JobStatus.ACTIVE
    run_once(bench, outcome=Failed(ERROR))
    bench.relay()
    assert bench.stored().status is JobStatus.PAUSED
    assert "2 executions failed in a row" in bench.stored().status_reason


def test_a_chain_runs_the_next_job_with_the_finished_execution(bench):
    bench.job("first", on_success=["second"], on_failure=["alarm"], retry=NO_RETRY)
    bench.job("second", handler="other")
    bench.job("alarm", handler="other")
    made = run_once(bench, "first", Succeeded({"rows": 3}))
    assert bench.relay() == []
    (chained,) = bench.executions(Status.QUEUED)
    assert (chained.job_name, chained.cause, chained.chain_depth) == ("second", Cause.CHAIN, 1)
    assert chained.event["execution"]["id"] == made.id
    assert chained.event["execution"]["result"] == {"rows": 3}


def test_a_chain_of_itself_comes_to_an_end(bench):
    bench.job(on_success=["job"])
    run_once(bench)
    problems = []
    for _ in range(CHAIN_DEPTH + 2):
        problems += bench.relay()
        for execution in bench.claim():
            bench.settle(execution)
    assert len(bench.executions()) == CHAIN_DEPTH + 1
    assert "loop" in problems[0]


def test_a_chain_to_a_missing_job_is_told_and_stops_nothing(bench):
    job = bench.job(on_success=["nobody"])
    run_once(bench)
    (problem,) = bench.relay()
    assert "nobody" in problem
    assert stats_of(bench, job).success == 1


def test_an_event_is_accepted_once_and_runs_what_matches(bench):
    bench.job("a", type="event", schedule={"events": ["order.*"]})
    bench.job("b", type="event", schedule={"events": ["invoice.*"]})
    first = bench.do(lambda tx: publish(tx, "default", "order.paid", {"n": 1}, event_id="7", source="shop"))
    again = bench.do(lambda tx: publish(tx, "default", "order.paid", {"n": 1}, event_id="7", source="shop"))
    other = bench.do(lambda tx: publish(tx, "default", "order.paid", {"n": 1}, event_id="7", source="till"))
    assert [e.job_name for e in first.executions] == ["a"]
    assert (again.duplicate, again.executions) == (True, ())
    assert not other.duplicate
    assert bench.executions()[0].event["data"] == {"n": 1}


def test_a_paused_event_job_sees_no_events(bench):
    from mainspring.moves.jobs import pause_job

    bench.job("a", type="event", schedule={"events": ["**"]})
    bench.do(lambda tx: pause_job(tx, bench.schedules, "default", "a", reason="x"))
    assert bench.do(lambda tx: publish(tx, "default", "any.thing")).executions == ()


def test_events_that_feed_each_other_are_stopped_and_the_ledger_says_why(bench):
    job = bench.job("a", type="event", schedule={"events": ["a.b"]})
    last = bench.do(lambda tx: publish(tx, "default", "a.b", chain_depth=CHAIN_DEPTH))
    assert last.executions[0].chain_depth == CHAIN_DEPTH
    beyond = bench.do(lambda tx: publish(tx, "default", "a.b", chain_depth=CHAIN_DEPTH + 1))
    assert (beyond.executions, beyond.jobs) == ((), ("a",))
    decision = bench.ledger(job)[-1]
    assert decision.decision is Verdict.SKIPPED_LIMIT
    assert "loop" in decision.reason["why"]


def test_a_job_that_cannot_be_decided_is_set_aside_and_the_others_go_on(bench):
    good, bad = bench.job("good"), bench.job("bad")
    bench.clock.advance(HOUR)

    class Broken(Schedules):
        def of(self, tx: Tx, job: Job) -> CompiledSchedule:
            if job.id == bad.id:
                raise RuntimeError("unreadable")
            return bench.schedules.of(tx, job)

    done = bench.do(lambda tx: plan_due(tx, Broken(), "d"))
    assert done.dispatched == 1
    assert "unreadable" in done.failed["bad"]
    assert bench.stored("bad").status is JobStatus.PAUSED
    assert len(bench.ledger(good)) == 1


def test_retention_keeps_what_has_an_event_to_deliver_and_every_decision(bench):
    job = bench.job()
    bench.clock.advance(HOUR)
    bench.plan()
    bench.settle(bench.claim()[0])
    bench.clock.advance(timedelta(days=40))
    assert bench.do(lambda tx: retain(tx, Retention())) == 0, "its event is not delivered yet"
    bench.relay()
    bench.do(lambda tx: retain(tx, Retention()))
    assert bench.executions() == []
    assert len(bench.ledger(job)) == 1
    assert bench.clock.now() > START
