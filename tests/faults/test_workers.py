"""F1-F8: workers that die, freeze, leave or are missing."""

from __future__ import annotations

import signal
import time
from datetime import timedelta

import pytest

from tests.faults.conftest import Report
from tests.faults.oracle import USUAL
from tests.faults.trial import DRAIN_GRACE, LEASE, MARGIN, POLL, REAP, WORKER_BACK, Trial
from tests.waiting import stays, until


def test_f01_an_idle_worker_killed_goes_unnoticed(trial: Trial, report: Report) -> None:
    trial.up(workers=2, specs=USUAL)
    trial.await_work()
    idle = trial.of("worker")[0]
    # Frozen it cannot claim: what it holds ends with it or is lost, and then it is idle for certain.
    trial.call(lambda service: service.pause_job("one-slow", reason="nothing of it may be under way"))
    until("nothing runs", lambda: trial.rows("SELECT count(*) FROM executions WHERE status = 'running'") == [(0,)], 20)
    idle.kill()
    asked_at = time.time()
    asked = [trial.ask("work", {"n": n}) for n in range(3)]
    starts = [trial.await_start(one) for one in asked]
    evidence = trial.finish()
    assert sum(x["losses"] for x in evidence.executions if x["id"] in asked) == 0
    report(recovery=starts[0].at - asked_at, bound=POLL + MARGIN)


@pytest.mark.short
def test_f02_a_worker_killed_in_mid_handler_is_replaced_within_the_lease(trial: Trial, report: Report) -> None:
    trial.up(workers=2, specs=USUAL)
    trial.customer()
    held = trial.ask("wait_at", {"name": "gate"})
    first = trial.await_start(held)
    killed_at = time.time()
    trial.worker_of(first).kill()
    again = trial.await_start(held, times=2, within=WORKER_BACK + MARGIN)
    trial.open_gate("gate")
    evidence = trial.finish()
    (execution,) = [x for x in evidence.executions if x["id"] == held]
    assert (execution["status"], execution["losses"], execution["fence"]) == ("success", 1, again.fence)
    assert again.key == first.key
    report(recovery=again.at - killed_at, bound=WORKER_BACK + MARGIN)


def test_f03_a_worker_killed_between_its_handlers_return_and_the_commit_repeats_it_once(
    trial: Trial, report: Report
) -> None:
    trial.up(workers=0, specs=USUAL)
    proxy = trial.proxy()
    doomed = trial.worker(MAINSPRING_DATABASE_URL=proxy.url)
    trial.await_nodes()
    held = trial.ask("wait_at", {"name": "gate"})
    first = trial.await_start(held)
    proxy.hold()
    trial.open_gate("gate")
    until("the handler has returned", lambda: trial.ledger.lines("end", id=held), 10)
    killed_at = time.time()
    doomed.kill()
    assert trial.status(held) == "running"
    trial.worker()
    again = trial.await_start(held, times=2, within=20)
    evidence = trial.finish()
    assert len(trial.ledger.lines("end", id=held)) == 2
    assert again.key == first.key
    (execution,) = [x for x in evidence.executions if x["id"] == held]
    assert (execution["losses"], execution["result"]["fence"]) == (1, again.fence)
    report(recovery=again.at - killed_at, bound=WORKER_BACK + 2 * MARGIN)  # a worker had to start as well


def test_f05_a_worker_frozen_beyond_its_lease_is_superseded_and_learns_it(trial: Trial, report: Report) -> None:
    trial.up(workers=2, specs=USUAL)
    held = trial.ask("wait_at", {"name": "gate"})
    first = trial.await_start(held)
    frozen = trial.worker_of(first)
    frozen_at = time.time()
    frozen.freeze()
    again = trial.await_start(held, times=2, within=WORKER_BACK + MARGIN)
    frozen.resume()
    trial.open_gate("gate")
    trial.await_status(held, "success")
    until("it says that it lost its lease", lambda: "lease" in frozen.words(), 20)
    before = len([ln for ln in trial.ledger.lines("end") if ln.pid == frozen.pid])
    until(
        "it works again",
        lambda: len([ln for ln in trial.ledger.lines("end") if ln.pid == frozen.pid]) > before + 3,
        20,
    )
    evidence = trial.finish()
    (execution,) = [x for x in evidence.executions if x["id"] == held]
    assert (execution["losses"], execution["result"]["fence"]) == (1, again.fence)
    assert len(trial.ledger.lines("start", id=held)) == 2
    report(recovery=again.at - frozen_at, bound=WORKER_BACK + MARGIN)


def test_f06_a_worker_frozen_for_less_than_its_lease_loses_nothing(trial: Trial, report: Report) -> None:
    trial.up(workers=2, specs=USUAL)
    held = trial.ask("wait_at", {"name": "gate"})
    first = trial.await_start(held)
    frozen = trial.worker_of(first)
    frozen.freeze()
    # From its last heartbeat, at most 1 s ago, the lease has 3 s to go.
    stays("its work", lambda: trial.status(held) == "running", LEASE * 0.5)
    frozen.resume()
    stays("its work", lambda: trial.status(held) == "running", LEASE)
    trial.open_gate("gate")
    evidence = trial.finish()
    assert sum(x["losses"] for x in evidence.executions) == 0
    assert "lease was lost" not in frozen.words()
    report(recovery=0.0, bound=0.0)


def test_f07_a_worker_told_to_end_finishes_what_it_can_and_gives_back_the_rest(trial: Trial, report: Report) -> None:
    trial.up(workers=2, specs=USUAL)
    trial.customer()
    held, short = trial.ask("wait_at", {"name": "gate"}), ""
    first = trial.await_start(held)
    leaving = trial.worker_of(first)
    while not short or trial.await_start(short).pid != leaving.pid:
        short = trial.ask("work", {"seconds": DRAIN_GRACE / 3})
    told_at = time.time()
    leaving.send(signal.SIGTERM)
    again = trial.await_start(held, times=2, within=DRAIN_GRACE + 2 * MARGIN)
    assert leaving.wait(20) == 0
    assert len([ln for ln in trial.ledger.lines("start") if ln.pid == leaving.pid and ln.at > told_at + 1]) == 0

    hurried = trial.worker_of(again)
    trial.worker()
    trial.await_nodes()
    hurried.send(signal.SIGTERM)
    until("it drains", lambda: trial.rows("SELECT 1 FROM workers WHERE status = 'draining'"), 10)
    hurried.send(signal.SIGTERM)
    hurried_at = time.time()
    assert hurried.wait(20) == 0
    third = trial.await_start(held, times=3, within=WORKER_BACK + MARGIN)
    trial.open_gate("gate")
    evidence = trial.finish()
    ended = {x["id"]: x for x in evidence.executions}
    assert (ended[held]["status"], ended[held]["attempt"], ended[held]["losses"]) == ("success", 1, 0)
    assert (ended[short]["attempt"], ended[short]["losses"], ended[short]["fence"]) == (1, 0, 1)
    assert sum(x["losses"] + x["failures"] for x in evidence.executions) == 0
    report(recovery=third.at - hurried_at, bound=WORKER_BACK + MARGIN, drained=again.at - told_at)


def test_f08_without_any_worker_work_waits_or_expires_and_nothing_is_lost(trial: Trial, report: Report) -> None:
    trial.up(workers=2, specs=USUAL)
    trial.customer()
    trial.await_work()
    for worker in trial.of("worker"):
        worker.kill()
    urgent = trial.ask("work", {}, start_deadline=timedelta(seconds=2))
    gone_for = 4 * LEASE
    stays("the fleet", lambda: trial.of("worker") == [], gone_for)
    assert trial.await_status(urgent, "expired", within=REAP + MARGIN)
    trial.worker()
    trial.worker()
    trial.await_nodes()
    back_at = time.time()
    trial.await_work(5)
    first = next(ln for ln in trial.ledger.lines("start") if ln.at > back_at - MARGIN)
    evidence = trial.finish()
    assert {x["status"] for x in evidence.executions if x["id"] != urgent} <= {"success"}
    assert trial.ledger.lines(id=urgent) == []
    report(recovery=max(0.0, first.at - back_at), bound=POLL + MARGIN, away=gone_for)
