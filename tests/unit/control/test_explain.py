"""Why did it (not) run: each verdict, told from the ledger."""

from datetime import UTC, datetime, timedelta

import pytest

from mainspring.control.explain import explain, explain_execution, explain_job
from mainspring.errors import NotFoundError, ScheduleError
from mainspring.model.node import DispatcherNode, Limit, WorkerNode
from mainspring.model.outcome import Failed
from mainspring.moves.cancel import cancel
from mainspring.moves.enqueue import EnqueueRequest, enqueue
from mainspring.moves.jobs import pause_job, resume_job, update_job
from mainspring.moves.retain import Retention, retain
from tests.unit.moves.conftest import START, Bench, bench

__all__ = ["bench"]

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
ERROR = {"type": "ValueError", "message": "no such row", "traceback": ""}


def ask(b: Bench, at=None, name="job"):
    return b.do(lambda tx: explain_job(tx, b.schedules, "default", name, at))


def alive(b: Bench, handlers=("h",), queues=("default",)):
    node = WorkerNode("w", "host", 1, START, b.clock.now(), "0", dict.fromkeys(queues, 1), tuple(handlers))
    b.do(lambda tx: tx.nodes.put_worker(node))


def check(explanation, name):
    return next(c for c in explanation.checks if c.check == name)


def test_a_run_is_explained_with_its_decision_and_its_result(bench):
    bench.job()
    bench.clock.advance(HOUR)
    bench.plan()
    bench.settle(bench.claim()[0])
    told = ask(bench, START + HOUR)
    assert told.verdict == "ran"
    assert "succeeded" in told.summary
    assert check(told, "ledger").evidence["decision"] == "dispatched"


def test_a_skip_names_the_execution_that_was_in_the_way(bench):
    bench.job(schedule={"cron": "* * * * *"}, timezone="Europe/Istanbul")
    bench.clock.advance(MINUTE)
    bench.plan()
    (running,) = bench.claim()
    bench.clock.advance(MINUTE)
    bench.plan()
    told = ask(bench, START + 2 * MINUTE)
    assert told.verdict == "did_not_run"
    assert running.id in told.summary
    assert "11:02:00 +0300 Europe/Istanbul" in told.summary
    assert "for 1 min" in check(told, "overlap").detail
    assert any("buffer_one" in advice for advice in told.advice)


def test_an_instant_inside_a_range_is_found(bench):
    bench.job()
    bench.clock.advance(6 * HOUR + 30 * MINUTE)
    bench.plan()
    told = ask(bench, START + 3 * HOUR)
    assert told.verdict == "did_not_run"
    assert "folded into the one of 2026-03-02 14:00:00 +0000 UTC" in told.summary
    assert "5 instants" in check(told, "ledger").detail


def test_what_is_no_instant_is_told_with_its_neighbours(bench):
    bench.job()
    told = ask(bench, "2026-03-02T09:17")
    assert told.verdict == "not_due"
    assert check(told, "due_by_schedule").evidence["nearest_after"].startswith("2026-03-02T10:00")


def test_a_wall_time_is_read_in_the_jobs_zone(bench):
    bench.job(schedule={"cron": "0 * * * *"}, timezone="Asia/Kolkata")
    assert ask(bench, "2026-03-02T15:00").at.isoformat() == "2026-03-02T09:30:00+00:00"
    with pytest.raises(ScheduleError):
        ask(bench, "yesterday-ish")


def test_the_future_will_run_and_the_overdue_waits_for_a_dispatcher(bench):
    bench.job()
    assert ask(bench).verdict == "will_run"
    bench.clock.advance(HOUR + MINUTE)
    told = ask(bench, START + HOUR)
    assert (told.verdict, check(told, "dispatcher_alive").result) == ("waiting", "no")
    assert "mainspring dev" in told.advice[0]
    node = DispatcherNode("d", "host", 1, START, bench.clock.now(), "0", "2026a")
    bench.do(lambda tx: tx.nodes.put_dispatcher(node))
    assert check(ask(bench, START + HOUR), "dispatcher_alive").result == "yes"


def test_a_pause_is_told_with_its_reason_before_and_after(bench):
    bench.job()
    bench.do(lambda tx: pause_job(tx, bench.schedules, "default", "job", reason="incident 7"))
    bench.clock.advance(HOUR)
    assert "incident 7" in ask(bench, START + HOUR).summary
    assert ask(bench, START + HOUR).advice == ("mainspring jobs resume job",)
    bench.do(lambda tx: resume_job(tx, bench.schedules, "default", "job"))
    told = ask(bench, START + HOUR)
    assert told.summary.endswith("because the job was paused: incident 7.")


def test_what_an_edit_moved_past_is_told(bench):
    bench.job()
    bench.clock.advance(30 * MINUTE)
    change = {"schedule": {"cron": "*/10 * * * *"}}
    bench.do(lambda tx: update_job(tx, bench.schedules, "default", "job", change))
    told = ask(bench, START + 20 * MINUTE)
    assert (told.verdict, "an edit" in told.summary) == ("did_not_run", True)
    assert "did not exist" in ask(bench, START - HOUR).summary


def test_what_the_ledger_no_longer_keeps_is_unknown_and_is_not_decided_again(bench):
    bench.job()
    bench.clock.advance(2 * HOUR)
    bench.plan()
    assert ask(bench, START + HOUR).verdict != "unknown"
    bench.clock.advance(HOUR)
    bench.plan()
    kept = Retention(decisions=90 * MINUTE)
    assert bench.do(lambda tx: retain(tx, kept)) == 0, "decided too lately"
    bench.clock.advance(HOUR)
    assert bench.do(lambda tx: retain(tx, kept)) == 2
    told = ask(bench, START + HOUR)
    assert (told.verdict, "no longer kept" in told.summary) == ("unknown", True)
    bench.plan()
    assert ask(bench, START + HOUR).verdict == "unknown"
    assert ask(bench, START + 3 * HOUR).verdict != "unknown"
    assert "did not exist" in ask(bench, START - HOUR).summary


def test_an_execution_held_by_a_limit_names_the_holders(bench):
    bench.do(lambda tx: tx.platforms.put_limit(Limit("default", "queue", "default", max_running=1)))
    held = bench.do(lambda tx: enqueue(tx, [EnqueueRequest("h"), EnqueueRequest("h")]))[1]
    (holder,) = bench.claim()
    told = bench.do(lambda tx: explain_execution(tx, "default", held.id))
    assert told.verdict == "waiting"
    assert "queue 'default'" in told.summary
    assert check(told, "limits_free").evidence["holders"] == [holder.id]


def test_a_handler_that_nobody_has_is_told_with_what_to_do(bench):
    (made,) = bench.do(lambda tx: enqueue(tx, [EnqueueRequest("h")]))
    told = bench.do(lambda tx: explain_execution(tx, "default", made.id))
    assert (check(told, "worker_alive").result, "mainspring worker" in told.advice[0]) == ("no", True)
    alive(bench)
    told = bench.do(lambda tx: explain_execution(tx, "default", made.id))
    assert check(told, "worker_alive").result == "yes"
    alive(bench, queues=("other",))
    told = bench.do(lambda tx: explain_execution(tx, "default", made.id))
    assert "serves queue 'default'" in check(told, "worker_alive").detail


def test_attempts_and_the_last_error_are_told(bench):
    (made,) = bench.do(lambda tx: enqueue(tx, [EnqueueRequest("h")]))
    bench.settle(bench.claim()[0], Failed(ERROR))
    told = bench.do(lambda tx: explain(tx, bench.schedules, "default", made.id))
    assert "tried again in 500 ms: ValueError: no such row" in told.summary
    assert "attempt 1 ended" in check(told, "attempt").detail


def test_an_instant_that_a_clock_change_goes_past_is_told_with_the_wall_time_there_was_not(bench):
    bench.job(schedule={"cron": "30 2 * * *", "dst_gap": "skip"}, timezone="Europe/Berlin")
    bench.clock.set(datetime(2026, 3, 29, 1, tzinfo=UTC))
    bench.plan()
    told = ask(bench, datetime(2026, 3, 29, 1, tzinfo=UTC))
    assert told.verdict == "did_not_run"
    assert "a clock change goes past it (02:30 does not exist on 2026-03-29; skipped)" in told.summary


def test_a_cancelled_execution_is_told_with_the_reason_it_was_cancelled_for(bench):
    (made,) = bench.do(lambda tx: enqueue(tx, [EnqueueRequest("h")]))
    bench.do(lambda tx: cancel(tx, made.id, reason="ordered twice"))
    told = bench.do(lambda tx: explain_execution(tx, "default", made.id))
    assert told.summary == f"execution {made.id} was cancelled: ordered twice"


def test_an_event_job_is_explained_by_its_last_event(bench):
    from mainspring.moves.events import publish

    bench.job(type="event", schedule={"events": ["a.*"]})
    assert ask(bench).verdict == "not_due"
    bench.do(lambda tx: publish(tx, "default", "a.b", event_id="7", source="s"))
    assert "s#7" in ask(bench).summary


def test_unknown_and_foreign_look_the_same(bench):
    (made,) = bench.do(lambda tx: enqueue(tx, [EnqueueRequest("h", platform_id="theirs")]))
    for name in (made.id, "nobody"):
        with pytest.raises(NotFoundError):
            bench.do(lambda tx, name=name: explain(tx, bench.schedules, "default", name))


def test_an_explanation_is_plain_data(bench):
    import json

    bench.job()
    bench.clock.advance(HOUR)
    bench.plan()
    assert json.loads(json.dumps(ask(bench, START + HOUR).to_wire()))["verdict"] == "waiting"


def test_an_instant_still_to_come_of_a_paused_job_waits_and_every_time_is_the_jobs(bench):
    bench.job(schedule={"cron": "0 * * * *"}, timezone="Europe/Istanbul")
    until = START + 26 * HOUR
    bench.do(lambda tx: pause_job(tx, bench.schedules, "default", "job", reason="moving house", until=until))
    told = ask(bench, START + HOUR)
    assert told.verdict == "waiting"
    assert "will not run as things stand: the job is paused: moving house" in told.summary
    assert check(told, "job_active").detail.endswith("until 2026-03-03 13:00:00 +0300 Europe/Istanbul")


def test_an_executions_times_are_told_in_its_jobs_zone(bench):
    bench.job(schedule={"cron": "0 * * * *"}, timezone="Europe/Istanbul")
    bench.clock.advance(HOUR)
    bench.plan()
    (execution,) = bench.claim()
    told = bench.do(lambda tx: explain_execution(tx, "default", execution.id))
    assert "made at 2026-03-02 12:00:00 +0300 Europe/Istanbul by schedule" in check(told, "created").detail
