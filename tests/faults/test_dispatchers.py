"""F9-F13: dispatchers that die, freeze in mid-transaction, or are missing; restarts one after the other."""

from __future__ import annotations

import signal
import time
from datetime import UTC, datetime

import pytest

from tests.faults.checker import Evidence, at
from tests.faults.conftest import Report
from tests.faults.oracle import USUAL, Spec
from tests.faults.record import PostgresRecord
from tests.faults.trial import DISPATCHER_BACK, LEASE, MARGIN, Trial
from tests.waiting import stays, until

#: Seconds a decision may be late while all is well, on a machine under load.
EPSILON = 1.0

#: Who has rows of jobs locked, and waits for its client.
_PLANNING = """
    SELECT a.pid FROM pg_stat_activity a JOIN pg_locks l ON l.pid = a.pid
    WHERE a.state LIKE 'idle in transaction%' AND a.application_name LIKE 'mainspring%'
    AND l.relation = 'jobs'::regclass AND l.mode IN ('RowShareLock', 'RowExclusiveLock') AND l.granted"""


def latest(evidence: Evidence, since: float, job: str = "all-1") -> float:
    """Return by how many seconds the latest decision of a job was late, of those due after an instant."""
    own = evidence.jobs[job]["id"]
    due = datetime.fromtimestamp(since, UTC)
    return max(d["late_ms"] for d in evidence.decisions if d["job_id"] == own and at(d["scheduled_at"]) >= due) / 1000


@pytest.mark.short
def test_f09_of_three_dispatchers_one_killed_holds_up_nothing(trial: Trial, report: Report) -> None:
    trial.up(dispatchers=3, specs=USUAL)
    trial.await_work()
    killed_at = time.time()
    trial.of("dispatcher")[0].kill()
    trial.await_work(40)
    evidence = trial.finish()
    late = latest(evidence, killed_at)
    report(recovery=late, bound=EPSILON + MARGIN)


def test_f10_without_any_dispatcher_instants_wait_and_are_then_decided_by_policy(trial: Trial, report: Report) -> None:
    trial.up(dispatchers=2, specs=USUAL)
    held = trial.ask("wait_at", {"name": "gate"})
    trial.await_start(held)
    trial.await_work()
    gone_at = time.time()
    for dispatcher in trial.of("dispatcher"):
        dispatcher.kill()
    trial.open_gate("gate")
    trial.await_status(held, "success")  # running work is none of theirs
    gone_for = 100 / 15 * LEASE
    stays("the fleet", lambda: trial.of("dispatcher") == [], gone_for)
    trial.dispatcher()
    trial.await_nodes()
    back_at = time.time()
    trial.await_work(40)
    evidence = trial.finish()
    missed = [
        d
        for d in evidence.decisions
        if at(d["until_at"] or d["scheduled_at"]).timestamp() > gone_at + 2
        and at(d["scheduled_at"]).timestamp() < back_at - 5
    ]
    names = {job["id"]: name for name, job in evidence.jobs.items()}
    told = {(names[d["job_id"]], d["decision"]) for d in missed}
    assert ("late-once", "coalesced") in told
    assert {decision for name, decision in told if name == "late-never"} == {"skipped_misfire"}
    assert {decision for name, decision in told if name == "all-1"} == {"dispatched"}
    first = min(at(d["decided_at"]).timestamp() for d in missed)
    report(recovery=max(0.0, first - back_at), bound=MARGIN, away=gone_for)


def test_f11_a_dispatcher_frozen_inside_its_planning_transaction_holds_up_its_rows_for_a_bounded_time(
    trial: Trial, report: Report
) -> None:
    trial.up(dispatchers=1, specs=[*USUAL, *(Spec(f"many-{n}", 1, fields={"overlap": "skip"}) for n in range(10))])
    proxy = trial.proxy()
    slow = trial.dispatcher(MAINSPRING_DATABASE_URL=proxy.url)
    trial.await_nodes()
    proxy.delay = 0.02  # so that most of its time is spent inside transactions
    assert isinstance(trial.record, PostgresRecord)

    def caught() -> bool:
        slow.freeze()
        time.sleep(0.1)  # what was on its way has arrived, and whoever answers has answered
        if trial.rows(_PLANNING):
            return True
        slow.resume()
        time.sleep(trial.chance.uniform(0.01, 0.2))
        return False

    until("frozen while it plans", caught, 60)
    frozen_at = time.time()
    (locked,) = trial.rows(_PLANNING)[:1]
    until("the server ends that session", lambda: locked not in trial.rows(_PLANNING), DISPATCHER_BACK + MARGIN)
    freed_at = time.time()
    trial.await_work(40)
    slow.resume()
    until("it decides again", lambda: "unavailable" in slow.words() or "failed" in slow.words(), 30)
    trial.await_work(40)
    evidence = trial.finish()
    late = max(latest(evidence, frozen_at - 1, name) for name in evidence.jobs)
    report(recovery=freed_at - frozen_at, bound=DISPATCHER_BACK + MARGIN, latest=late)
    assert late <= DISPATCHER_BACK + MARGIN + EPSILON


def test_f12_a_rolling_restart_misses_nothing_and_uses_no_attempt(trial: Trial, report: Report) -> None:
    trial.up(dispatchers=2, workers=2, specs=USUAL)
    trial.customer()
    trial.await_work()
    began = time.time()
    restarts, slowest = 0, 0.0
    while time.time() < began + 20 * LEASE:
        old = trial.fleet.nodes[restarts]  # the oldest: new ones are added behind
        told_at = time.time()
        old.send(signal.SIGTERM)
        assert old.wait(20) == 0
        slowest = max(slowest, time.time() - told_at)
        trial.dispatcher() if old.name.startswith("dispatcher") else trial.worker()
        trial.await_nodes()
        restarts += 1
    evidence = trial.finish()
    assert restarts >= 4
    assert sum(x["losses"] + x["failures"] for x in evidence.executions) == 0
    assert {x["status"] for x in evidence.executions} == {"success"}
    report(recovery=latest(evidence, began), bound=EPSILON + MARGIN, restarts=restarts, slowest_stop=slowest)
