"""F18-F25: PostgreSQL restarted, killed, away, cut off, lying about commits, crowded, held up, and full."""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from mainspring.moves.enqueue import EnqueueRequest
from tests import servers
from tests.faults.conftest import Report
from tests.faults.fleet import usage
from tests.faults.oracle import USUAL
from tests.faults.record import PostgresRecord
from tests.faults.rest import listening, post
from tests.faults.trial import LEASE, MARGIN, POSTGRES_BACK, WORKER_BACK, Trial
from tests.waiting import stays, until


@pytest.fixture
def server() -> Iterator[servers.Server]:
    """A PostgreSQL of the test's own, which flushes what it acknowledges."""
    with servers.postgres(18, durable=True) as server:
        yield server


@pytest.fixture
def postgres_url(server: servers.Server) -> Iterator[str]:
    with servers.new_database(server.url) as url:
        yield url


def recovered(trial: Trial, since: float) -> float:
    """Wait until an attempt has started and ended again after an instant; return the seconds that took."""

    def first() -> float:
        return next((ln.at for ln in trial.ledger.lines("start") if ln.at > since), 0.0)

    began = until("work starts again", first, POSTGRES_BACK + MARGIN + 10) - since
    trial.await_work(10)
    return began


def test_f18_postgresql_restarted_under_load_is_used_again_at_once(
    trial: Trial, server: servers.Server, report: Report
) -> None:
    trial.up(dispatchers=2, workers=2, specs=USUAL)
    customer = trial.customer()
    trial.await_work()
    server.stop()
    until("the customer has found nobody", lambda: customer.repeated > 0, 30)  # a quick restart falls between two calls
    server.start()
    back_at = time.time()
    took = recovered(trial, back_at)
    trial.finish()
    report(recovery=took, bound=POSTGRES_BACK + MARGIN, customer_waited=customer.slowest)


def test_f18_the_server_says_when_to_ask_again_while_postgresql_is_restarted(
    trial: Trial, server: servers.Server, report: Report
) -> None:
    trial.up(specs=USUAL)
    port = servers._free_port()
    trial.fleet.start("server", "--port", str(port))
    until("the server listens", lambda: listening(port), 60)
    body = {"handler": "work", "payload": {"n": 7}}
    assert post(port, body, "before").status == 201
    server.stop()
    away = post(port, body, "meanwhile")
    assert away.status == 503, away.body
    assert int(away.headers["retry-after"]) >= 1
    server.start()
    back_at = time.time()
    until("the same call succeeds", lambda: post(port, body, "meanwhile").status == 201, POSTGRES_BACK + MARGIN)
    took = time.time() - back_at
    trial.await_work()
    evidence = trial.finish()
    asked = [x for x in evidence.executions if x["cause"] == "enqueue"]
    assert [x["status"] for x in asked] == ["success"] * 2
    report(recovery=took, bound=POSTGRES_BACK + MARGIN)


@pytest.mark.short
def test_f19_postgresql_killed_loses_nothing_it_has_acknowledged(
    trial: Trial, server: servers.Server, report: Report
) -> None:
    trial.up(dispatchers=2, workers=2, specs=USUAL)
    trial.customer()
    slowest = 0.0
    for _ in range(3):
        trial.await_work(trial.chance.randint(10, 60))
        server.kill()
        server.start()
        slowest = max(slowest, recovered(trial, time.time()))
    trial.finish()
    report(recovery=slowest, bound=POSTGRES_BACK + MARGIN, kills=3)


def test_f20_with_postgresql_away_handlers_finish_and_nobody_spins(
    trial: Trial, server: servers.Server, report: Report
) -> None:
    trial.up(dispatchers=2, workers=2, specs=USUAL)
    trial.customer()
    held = trial.ask("wait_at", {"name": "gate"})
    trial.await_start(held)
    trial.await_work()
    server.kill()
    trial.open_gate("gate")
    until("its handler has finished", lambda: trial.ledger.lines("end", id=held), 10)
    before = usage(trial.fleet)
    gone_for = 120 / 15 * LEASE
    stays("every process", lambda: all(node.alive for node in trial.fleet.nodes), gone_for)
    busy = {name: (now[0] - before[name][0]) / gone_for for name, now in usage(trial.fleet).items()}
    server.start()
    took = recovered(trial, time.time())
    evidence = trial.finish()
    assert max(busy.values()) < 0.5, f"cores used while there was nothing to do: {busy}"
    (execution,) = [x for x in evidence.executions if x["id"] == held]
    # Its result waited, or it was repeated; the checker sees that it was not both.
    assert execution["status"] == "success"
    report(recovery=took, bound=POSTGRES_BACK + MARGIN, away=gone_for, cores_at_most=max(busy.values()))


#: Slots of a worker by default.
SLOTS = 20


def test_f21_a_worker_cut_off_from_postgresql_is_superseded_and_comes_back(trial: Trial, report: Report) -> None:
    trial.up(workers=1, specs=USUAL)
    proxy = trial.proxy()
    cut_off = trial.worker(MAINSPRING_DATABASE_URL=proxy.url)
    trial.await_nodes()
    line = trial.await_start(held := trial.ask("wait_at", {"name": "gate"}))
    while line.pid != cut_off.pid:
        line = trial.await_start(held := trial.ask("wait_at", {"name": "gate"}))
    proxy.hold()
    held_at = time.time()
    again = trial.await_start(held, times=2, within=WORKER_BACK + MARGIN)
    trial.open_gate("gate")
    trial.await_status(held, "success")
    until("its own attempt ends", lambda: len(trial.ledger.lines("end", id=held)) == 2, 10)
    proxy.heal()
    healed_at = time.time()
    # More than the other has slots for: it hears of work sooner than this one behind its proxy, and would take it all.
    crowd = [EnqueueRequest("wait_at", {"name": "crowd"}) for _ in range(SLOTS + 5)]
    trial.call(lambda service: service.enqueue(crowd))
    until(
        "it works again",
        lambda: [ln for ln in trial.ledger.lines("start") if ln.pid == cut_off.pid and ln.at > healed_at],
        POSTGRES_BACK + MARGIN,
    )
    trial.open_gate("crowd")
    evidence = trial.finish()
    (execution,) = [x for x in evidence.executions if x["id"] == held]
    assert execution["result"]["fence"] == again.fence
    report(recovery=again.at - held_at, bound=WORKER_BACK + MARGIN)


@pytest.mark.short
def test_f22_answers_to_commit_lost_at_random_neither_lose_nor_double(trial: Trial, report: Report) -> None:
    trial.fleet.run("migrate")
    proxy = trial.proxy()
    for start in (trial.dispatcher, trial.dispatcher, trial.worker, trial.worker):
        start(MAINSPRING_DATABASE_URL=proxy.url)
    trial.await_nodes()
    trial.create(*USUAL)
    trial.sampler.start()
    customer = trial.customer(url=proxy.url)
    proxy.lost_commits = 0.05
    until("many answers lost, the customer's too", lambda: proxy.lost >= 25 and customer.repeated > 0, 120)
    proxy.lost_commits = 0.0
    trial.await_work(40)
    trial.finish()
    assert customer.repeated > 0
    report(recovery=customer.slowest, bound=POSTGRES_BACK + MARGIN, lost=proxy.lost)


def test_f23_connections_used_up_by_a_stranger_are_waited_for(trial: Trial, postgres_url: str, report: Report) -> None:
    trial.up(dispatchers=2, workers=2, specs=USUAL)
    customer = trial.customer()
    trial.await_work()
    ours = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'mainspring%'"
    with psycopg.connect(postgres_url, autocommit=True) as admin, contextlib.ExitStack() as taken:
        end = time.monotonic() + 2 * LEASE
        while time.monotonic() < end:
            admin.execute(ours)
            # Whatever our processes let go of, the stranger takes.
            with contextlib.suppress(psycopg.OperationalError):
                while True:
                    taken.enter_context(contextlib.closing(psycopg.connect(postgres_url)))
        stays("every process", lambda: all(node.alive for node in trial.fleet.nodes), LEASE)
    left_at = time.time()
    took = recovered(trial, left_at)
    trial.finish()
    told = " ".join(node.words() for node in trial.fleet.nodes)
    assert "too many clients" in told or "connection slots" in told
    report(recovery=took, bound=POSTGRES_BACK + MARGIN, customer_waited=customer.slowest)


#: By how much a transaction somebody keeps open may slow the work down, over half a minute.
SLOWER = 3.0


def test_f24_a_transaction_kept_open_by_somebody_slows_work_by_a_bounded_factor(
    trial: Trial, postgres_url: str, report: Report
) -> None:
    """Ten minutes are half a minute here, and so the minute from which `doctor` warns is three seconds."""
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute("ALTER SYSTEM SET autovacuum_naptime = '3s'")  # a minute, scaled as well
        admin.execute("SELECT pg_reload_conf()")
    trial.up(workers=2, specs=USUAL)
    trial.customer(rate=50, batch=10)
    trial.await_work(50)

    def doctor() -> dict[str, dict[str, Any]]:
        told = trial.fleet.run("doctor", "-o", "json", "--transactions-older-than", "3s", code=None)
        return {finding["check"]: finding for finding in json.loads(told)["findings"]}

    def rate(seconds: float) -> float:
        before, began = len(trial.ledger.lines("end")), time.monotonic()
        stays("every process", lambda: all(node.alive for node in trial.fleet.nodes), seconds)
        return (len(trial.ledger.lines("end")) - before) / (time.monotonic() - began)

    assert doctor()["transactions"]["status"] == "ok"
    alone = rate(8)
    with psycopg.connect(postgres_url, application_name="forgotten") as foreign:
        foreign.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        foreign.execute("SELECT count(*) FROM executions")
        rate(20)
        beside = rate(8)
        found = doctor()
        assert found["transactions"]["status"] == "warning"
        assert f"process {foreign.info.backend_pid} of forgotten" in found["transactions"]["detail"]
        assert found["dead_rows"]["status"] == "warning"
        assert "executions_live" in found["dead_rows"]["detail"]
        assert any("forgotten" in one["name"] for one in found["dead_rows"]["evidence"]["holders"])
        dead = found["dead_rows"]["evidence"]["tables"]["executions_live"]["dead"]
    until("the transaction is warned of no more", lambda: doctor()["transactions"]["status"] == "ok", 30)
    until("the dead rows are removed", lambda: doctor()["dead_rows"]["status"] == "ok", 60)
    trial.finish()
    factor = alone / max(beside, 0.01)
    report(recovery=factor, bound=SLOWER, per_second_alone=alone, per_second_beside=beside, dead_rows=dead)


def test_f25_a_full_disk_refuses_writes_and_freed_is_used_again(
    folder: Path, server: servers.Server, small_disk: Path, seed: int, report: Report
) -> None:
    shutil.chown(small_disk, "nobody")
    with psycopg.connect(server.url, autocommit=True) as admin:
        admin.execute(f"CREATE TABLESPACE small LOCATION '{small_disk}'".encode())
        admin.execute("CREATE DATABASE full_disk TABLESPACE small")
    url = f"{server.url.rpartition('/')[0]}/full_disk"
    trial = Trial(folder, url, seed=seed)
    ballast = small_disk / "ballast"
    try:
        trial.up(workers=2, specs=USUAL)
        customer = trial.customer(rate=200, batch=20)
        trial.await_work()
        with contextlib.suppress(OSError), ballast.open("wb") as file:
            while True:
                file.write(bytes(65536))
                file.flush()
        until("writes are refused", lambda: customer.repeated >= 3, 60)
        stays("every process", lambda: all(node.alive for node in trial.fleet.nodes), 2 * LEASE)
        ballast.unlink()
        took = recovered(trial, time.time())
        trial.finish()
        assert isinstance(trial.record, PostgresRecord)
        report(recovery=took, bound=POSTGRES_BACK + MARGIN, customer_waited=customer.slowest)
    finally:
        trial.clear_away()
        with psycopg.connect(server.url, autocommit=True) as admin:
            admin.execute("DROP DATABASE full_disk WITH (FORCE)")
            admin.execute("DROP TABLESPACE small")
