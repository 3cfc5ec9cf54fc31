"""F14-F17: handlers that die, kill, block, and do not listen."""

from __future__ import annotations

import os
import signal
import time
from datetime import timedelta

from mainspring.model.policy import RetryPolicy
from tests.faults.conftest import Report
from tests.faults.oracle import USUAL
from tests.faults.trial import GRACE, LEASE, MARGIN, REAP, STOP_GRACE, WORKER_BACK, Trial
from tests.waiting import stays, until


def test_f14_a_child_process_killed_costs_its_attempt_and_nobody_elses(trial: Trial, report: Report) -> None:
    trial.up(specs=USUAL)
    asked = [trial.ask("in_a_child", {"name": "gate"}) for _ in range(3)]
    first = trial.await_start(asked[0], within=60)
    for other in asked[1:]:
        trial.await_start(other, within=60)
    killed_at = time.time()
    os.kill(first.pid, signal.SIGKILL)
    again = trial.await_start(asked[0], times=2, within=20)
    trial.open_gate("gate")
    evidence = trial.finish()
    ended = {x["id"]: x for x in evidence.executions}
    assert [ended[one]["status"] for one in asked] == ["success"] * 3
    assert [ended[one]["fence"] == 1 for one in asked] == [False, True, True]
    assert again.pid != first.pid
    report(recovery=again.at - killed_at, bound=WORKER_BACK + MARGIN)


def test_f15_a_handler_that_kills_its_process_every_time_is_given_up_on(trial: Trial, report: Report) -> None:
    trial.up(workers=4)
    began = time.time()
    poison = trial.ask("die")
    trial.await_status(poison, "failed", within=3 * (WORKER_BACK + MARGIN))
    took = time.time() - began
    assert len(trial.of("worker")) == 1
    trial.create(*USUAL)
    trial.await_work()
    evidence = trial.finish()
    (given_up,) = [x for x in evidence.executions if x["id"] == poison]
    assert (given_up["failure"], given_up["losses"]) == ("poisoned", 3)
    assert len(trial.ledger.lines("start", id=poison)) == 3
    assert trial.rows("SELECT failure, status FROM dead_letters") == [("poisoned", "open")]
    report(recovery=took, bound=3 * (WORKER_BACK + MARGIN))


def test_f16_a_handler_that_blocks_the_event_loop_costs_no_lease_and_is_named(trial: Trial, report: Report) -> None:
    trial.up(workers=2, specs=USUAL)
    blocking = trial.ask("block", {"seconds": 4 * LEASE})
    line = trial.await_start(blocking)
    blocked = trial.worker_of(line)
    until("the watchdog speaks", lambda: "blocked the event loop" in blocked.words(), 2 * LEASE + MARGIN)
    assert "in block" in blocked.words()  # the stack shows the handler's own line
    stays("its lease", lambda: trial.status(blocking) == "running", 2 * LEASE)
    trial.await_work()  # the other worker goes on
    trial.await_status(blocking, "success", within=4 * LEASE + MARGIN)
    evidence = trial.finish()
    assert sum(x["losses"] for x in evidence.executions) == 0
    started = [ln for ln in trial.ledger.lines("start") if ln.pid == blocked.pid]
    claimed_meanwhile = [ln for ln in started if line.at + 1 < ln.at < line.at + 4 * LEASE - 1]
    assert claimed_meanwhile == []
    report(recovery=0.0, bound=0.0)


def test_f17_handlers_that_do_not_listen_are_ended_in_the_database_on_time(trial: Trial, report: Report) -> None:
    trial.up(workers=0, specs=USUAL)
    worker = trial.worker(MAINSPRING_MAX_POISONED="2")
    trial.await_nodes()
    once, late = RetryPolicy(max_retries=0), []
    for handler, timeout in DEAF.items():
        limit = timedelta(seconds=timeout)
        one = trial.ask(handler, {"seconds": timeout + 10}, timeout=limit, retry=once)
        trial.await_start(one, within=timeout + MARGIN)
        trial.await_status(one, "failed", within=timeout + 30)
        ((took,),) = trial.rows(f"SELECT finished_at - started_at FROM executions WHERE id = '{one}'")
        late.append(took / 1e6 - timeout)
    until("it starts itself again", lambda: worker.words().count("Mainspring ") >= 2, 60)
    trial.await_nodes()
    trial.await_work()
    evidence = trial.finish()
    ended = [x for x in evidence.executions if x["handler"] in DEAF]
    assert {(x["status"], x["failure"]) for x in ended} == {("failed", "timeout")}
    assert worker.words().count("its slot is poisoned") == 2
    children = [x["id"] for x in ended if x["handler"] == "deaf_child"]
    assert not trial.ledger.lines("late", id=children[0]), "a child process is killed, and does not go on"
    report(recovery=max(late), bound=max(GRACE + REAP, STOP_GRACE) + MARGIN)


#: Seconds of their timeout, which counts from the claim: a child process has to start within it, on a busy machine too.
DEAF = {"deaf_child": 15.0, "deaf_coroutine": 2.0, "deaf_thread": 2.0}
