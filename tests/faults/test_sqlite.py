"""F38: the embedded engine killed at any instant, doubled, out of disk, and left with torn files."""

from __future__ import annotations

import contextlib
import random
import shutil
import sqlite3
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from mainspring.control.scheduler import SchedulerService
from mainspring.moves.enqueue import EnqueueRequest
from tests.faults.conftest import Report
from tests.faults.oracle import USUAL
from tests.faults.record import ALWAYS
from tests.faults.trial import LEASE, MARGIN, UP_WITHIN, Trial
from tests.waiting import stays, until

DATABASE = "sqlite:///jobs.db"


@pytest.fixture
def embedded(folder: Path, seed: int) -> Iterator[Trial]:
    """A trial on a SQLite file."""
    trial = Trial(folder, DATABASE, seed=seed)
    try:
        yield trial
    finally:
        trial.clear_away()


def begin(trial: Trial) -> None:
    """Make the file, create the jobs, start the engine, and wait until it works."""
    trial.fleet.run("migrate")
    trial.create(*USUAL)
    trial.sampler.start()
    trial.fleet.start("dev", "app.py")
    trial.await_nodes()


@pytest.mark.short
def test_f38_the_embedded_engine_killed_at_random_instants_loses_nothing(embedded: Trial, report: Report) -> None:
    trial = embedded
    begin(trial)
    customer = trial.customer()
    slowest = 0.0
    for _ in range(5):
        trial.await_work(trial.chance.randint(5, 60))
        time.sleep(trial.chance.uniform(0, 0.05))  # between any two instructions of a commit
        trial.of("dev")[0].kill()
        killed_at = time.time()
        trial.fleet.start("dev", "app.py")
        after = partial(lambda at: next((ln.at for ln in trial.ledger.lines("start") if ln.at > at), 0.0), killed_at)
        slowest = max(slowest, until("work goes on", after, UP_WITHIN) - killed_at)
    trial.finish()
    # Nobody waits for a lease: whoever gets the file's lock takes back at once what its former engine held.
    report(recovery=slowest, bound=UP_WITHIN, kills=5, customer_waited=customer.slowest)


def test_f38_a_second_engine_on_the_file_says_who_has_it_and_leaves(embedded: Trial, report: Report) -> None:
    trial = embedded
    begin(trial)
    first = trial.of("dev")[0]
    second = trial.fleet.start("dev", "app.py")
    assert second.wait(UP_WITHIN) == 5
    assert f"process {first.pid}" in second.words()
    trial.await_work()
    trial.finish()
    report(recovery=0.0, bound=0.0)


def test_f38_a_disk_full_for_the_embedded_engine_refuses_and_freed_is_used_again(
    folder: Path, small_disk: Path, seed: int, report: Report
) -> None:
    trial = Trial(folder, f"sqlite:///{small_disk / 'jobs.db'}", seed=seed)
    ballast = small_disk / "ballast"
    try:
        begin(trial)
        customer = trial.customer()
        trial.await_work()
        with contextlib.suppress(OSError), ballast.open("wb") as file:
            while True:
                file.write(bytes(65536))
                file.flush()
        until("writes are refused", lambda: customer.repeated >= 3, 60)
        stays("the engine", lambda: trial.of("dev"), LEASE)
        ballast.unlink()
        freed_at = time.time()
        before = len(customer.acknowledged)
        until("writes are accepted", lambda: len(customer.acknowledged) > before, 20)
        took = time.time() - freed_at
        trial.finish()
        report(recovery=took, bound=10 + MARGIN)
    finally:
        trial.clear_away()


def test_f38_a_write_ahead_log_torn_anywhere_keeps_what_was_acknowledged_before(
    embedded: Trial, folder: Path, report: Report
) -> None:
    trial = embedded
    begin(trial)
    trial.customer()
    trial.await_work()
    for customer in trial.customers:
        customer.stop()
    trial.of("dev")[0].kill()
    file, log = folder / "jobs.db", folder / "jobs.db-wal"
    with contextlib.closing(sqlite3.connect(file)) as connection:
        # From here on nobody checkpoints, so the log only grows, and its length tells what it holds.
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        image = folder / "image"
        image.mkdir()
        acknowledged = trial.call(partial(_enqueue_one_by_one, log=log, chance=trial.chance))
        shutil.copy(file, image)
        shutil.copy(log, image)
    length, cuts = (image / log.name).stat().st_size, 25
    for number in range(cuts):
        torn = folder / f"torn-{number}"
        torn.mkdir()
        cut = trial.chance.randint(0, length)
        _tear(image, torn, cut, trial.chance)
        _look_at_torn(torn / file.name, {key for key, size in acknowledged.items() if size <= cut})
    trial.fleet.start("dev", "app.py")
    trial.finish()
    report(recovery=0.0, bound=0.0, cuts=cuts, log_bytes=length)


async def _enqueue_one_by_one(service: SchedulerService, log: Path, chance: random.Random) -> dict[str, int]:
    """Return the length the log had when each key was acknowledged."""
    sizes = {}
    for number in range(60):
        key = f"torn-{number}"
        payload = {"n": number, "seconds": 0.0}
        await service.enqueue([EnqueueRequest("work", payload, idempotency_key=key)] * chance.randint(1, 2))
        sizes[key] = log.stat().st_size
    return sizes


def _tear(image: Path, torn: Path, cut: int, chance: random.Random) -> None:
    """Copy the files as a power cut may leave them: the log up to a byte, and perhaps something else behind it."""
    shutil.copy(image / "jobs.db", torn)
    whole = (image / "jobs.db-wal").read_bytes()
    behind = chance.choice([b"", bytes(chance.randint(1, 9000)), chance.randbytes(chance.randint(1, 9000))])
    (torn / "jobs.db-wal").write_bytes(whole[:cut] + behind)


def _look_at_torn(path: Path, keys: set[str]) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        there = {key for (key,) in connection.execute("SELECT idempotency_key FROM executions")}
        assert keys <= there
        assert {name: rows for name, sql in ALWAYS.items() if (rows := connection.execute(sql).fetchall())} == {}
