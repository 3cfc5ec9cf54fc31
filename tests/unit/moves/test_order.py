"""The order in which transactions wait for their locks, and that whoever leaves it is found out."""

from __future__ import annotations

from typing import Any

from mainspring.model.execution import Execution
from mainspring.moves.admit import promote
from mainspring.moves.enqueue import trigger
from mainspring.ports.store import Tx
from tests.locks import Rank, WatchedTx, watched
from tests.unit.moves.conftest import Bench


def started(bench: Bench) -> Execution:
    """Run the job named `job` now."""
    found: Execution = bench.do(lambda tx: trigger(tx, "default", "job"))
    return found


def ranks(bench: Bench, work: Any) -> list[Rank]:
    """The ranks of what a transaction waits for, in order."""

    def watching(tx: Tx) -> list[Rank]:
        watch: Any = WatchedTx(tx)
        work(watch)
        return [rank for rank, _ in watch.locks.waited]

    found: list[Rank] = bench.do(watching)
    return found


def test_who_waits_for_what_comes_before_something_it_holds_is_found_out(bench: Bench) -> None:
    job = bench.job(type="manual", schedule=None)
    execution = started(bench)

    def backwards(tx: Tx) -> None:
        tx.executions.get(execution.id, lock=True)
        tx.jobs.get("default", job.id, lock=True)

    told: list[str] = []
    bench.do(watched(backwards, told.append))
    assert told == [f"jobs.get waits for job {job.id} while it holds execution {execution.id}"]


def test_two_rows_of_one_rank_are_waited_for_in_order_of_id(bench: Bench) -> None:
    ids = sorted(bench.job(name).id for name in ("a", "b"))
    told: list[str] = []
    bench.do(watched(lambda tx: [tx.jobs.get("default", one, lock=True) for one in reversed(ids)], told.append))
    assert len(told) == 1
    told.clear()
    bench.do(watched(lambda tx: [tx.jobs.get("default", one, lock=True) for one in ids], told.append))
    assert told == []


def test_promoting_holds_the_jobs_that_block_before_anything_else(bench: Bench) -> None:
    bench.job(type="manual", schedule=None, overlap="buffer_all")
    first, _ = started(bench), started(bench)
    (running,) = bench.claim()
    assert running.id == first.id
    bench.settle(running)
    assert ranks(bench, promote) == [Rank.JOB]
    assert len(bench.claim()) == 1
