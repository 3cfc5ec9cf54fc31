"""F26, F35: clocks that step and drift, the database's own and everybody else's."""

from __future__ import annotations

import time
from datetime import timedelta

from tests.faults.clocks import Clock, faketime_library
from tests.faults.conftest import Report
from tests.faults.oracle import USUAL, Spec
from tests.faults.trial import LEASE, MARGIN, REAP, WORKER_BACK, Trial
from tests.waiting import stays, until

HOUR = 3600


def test_f26_the_databases_clock_steps_forward_and_back_and_each_instant_is_decided_once(
    stepping: Trial, database_clock: Clock, report: Report
) -> None:
    trial = stepping
    # Not every job: an hour of each second's work would be another trial.
    some = [spec for spec in USUAL if spec.name in ("one-skip", "late-once", "late-never")]
    trial.up(dispatchers=2, workers=2, specs=[*some, Spec("all-late", 60, fields={"overlap": "allow_all"})])
    trial.customer(rate=10, seconds=1.0)  # some of it is under way at each step
    held = [trial.ask("wait_at", {"name": "gate"}, timeout=timedelta(hours=3)) for _ in range(6)]
    for one in held:
        trial.await_start(one)
    trial.await_work()
    stepped_at = time.time()
    database_clock.set(HOUR)
    own = "(SELECT id FROM jobs WHERE name = 'all-late')"
    decided = lambda: trial.rows(f"SELECT count(*) FROM decisions WHERE job_id = {own}")[0][0]  # noqa: E731
    until("the hour that was skipped is decided", lambda: decided() >= 60, 60)
    took = time.time() - stepped_at
    trial.await_work(20)
    lost = trial.rows("SELECT count(*) FROM executions WHERE losses > 0")[0][0]
    assert trial.rows("SELECT count(*) FROM attempts WHERE outcome = 'timeout'") == [(0,)], "a step is no timeout"

    doomed = trial.of("worker")[0]
    lines = [trial.await_start(one) for one in held]
    of_doomed = [one for one, line in zip(held, lines, strict=True) if line.pid == doomed.pid]
    started = {one: len(trial.ledger.lines("start", id=one)) for one in of_doomed}
    before = decided()
    database_clock.set(0)
    by_the_old_clock = f"""
        SELECT count(*) FROM executions WHERE status = 'running'
        AND lease_until > (extract(epoch FROM clock_timestamp()) * 1000000)::bigint + {LEASE * 1_000_000:.0f}"""
    until("every lease is by the clock as it is now", lambda: trial.rows(by_the_old_clock) == [(0,)], WORKER_BACK)
    doomed.kill()
    killed_at = time.time()
    back = 0.0
    for one in of_doomed:
        again = trial.await_start(one, times=started[one] + 1, within=3 * WORKER_BACK)
        back = max(back, again.at - killed_at)
    stays("what is decided", lambda: decided() == before, LEASE)
    trial.open_gate("gate")
    for one in held:
        trial.await_status(one, "success")
    told = " ".join(node.words() for node in trial.of("dispatcher"))
    evidence = trial.finish()
    own_id = evidence.jobs["all-late"]["id"]
    assert len([d for d in evidence.decisions if d["job_id"] == own_id]) == before, "nothing was decided again"
    assert "clock" in told, "a step of the database's clock is reported"
    assert lost < len(held), "not every lease may be lost to a step forward"
    report(recovery=max(took, back), bound=2 * WORKER_BACK + REAP + MARGIN, lost_by_the_step=lost)


def test_f35_wrong_clocks_of_workers_and_dispatchers_decide_nothing(trial: Trial, report: Report) -> None:
    faketime_library()
    ahead, behind, fast, slow = clocks = [Clock(300), Clock(-300), Clock(), Clock()]
    fast.drift(0.1)
    slow.drift(-0.1)
    trial.clocks_agree = False
    trial.fleet.run("migrate")
    trial.dispatcher(**ahead.environ())
    trial.dispatcher(**slow.environ())
    trial.worker(**behind.environ())
    trial.worker(**fast.environ())
    trial.await_nodes()
    trial.create(*USUAL)
    trial.sampler.start()
    trial.customer()
    held = trial.ask("wait_at", {"name": "gate"})
    trial.await_start(held)
    trial.await_work(40)
    for offset in (-300, 600, 0):  # they step while work goes on
        ahead.set(offset)
        behind.set(offset)
        trial.await_work(40)
    stays("its lease", lambda: trial.status(held) == "running", 2 * LEASE)
    trial.open_gate("gate")
    evidence = trial.finish()
    assert sum(x["losses"] for x in evidence.executions) == 0
    all_1 = evidence.jobs["all-1"]["id"]
    latest = max(d["late_ms"] for d in evidence.decisions if d["job_id"] == all_1) / 1000
    report(recovery=latest, bound=1.0 + MARGIN)
    for clock in clocks:
        clock.remove()
