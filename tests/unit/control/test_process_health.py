"""Whether the process of a host is well, from what the database shows of it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from mainspring.control.process_health import check_dispatcher, check_worker
from mainspring.model.node import DispatcherNode, WorkerNode
from mainspring.moves.enqueue import EnqueueRequest, enqueue
from tests.unit.moves.conftest import Bench, bench

__all__ = ["bench"]


def worker(b: Bench, **fields: object) -> None:
    now = b.clock.now()
    plain = {"queues": {"default": 2}, "handlers": ("h",)}
    node = WorkerNode("w", "here", 1, now, now, "1", **(plain | fields))  # type: ignore[arg-type]
    b.do(lambda tx: tx.nodes.put_worker(node))


def dispatcher(b: Bench, status: str = "running") -> None:
    now = b.clock.now()
    b.do(lambda tx: tx.nodes.put_dispatcher(DispatcherNode("d", "here", 1, now, now, "1", "2026a", status=status)))


def of_worker(b: Bench, host: str = "here"):
    return b.do(lambda tx: check_worker(tx, host))


def of_dispatcher(b: Bench):
    return b.do(lambda tx: check_dispatcher(tx, "here"))


def test_a_worker_that_was_seen_is_well_on_its_own_host_only(bench):
    assert "no host has ever run one" in of_worker(bench).sentence
    worker(bench)
    assert of_worker(bench).well
    elsewhere = of_worker(bench, "there")
    assert not elsewhere.well
    assert "known hosts: here" in elsewhere.sentence


def test_a_worker_not_seen_for_three_heartbeats_is_not_well(bench):
    worker(bench)
    bench.clock.advance(timedelta(seconds=16))
    assert not of_worker(bench).well


def test_a_worker_with_free_slots_that_lets_its_work_wait_is_not_well(bench):
    bench.do(lambda tx: enqueue(tx, [EnqueueRequest("h")]))
    bench.clock.advance(timedelta(seconds=61))
    worker(bench)
    assert "has waited for 1 min 1 s" in of_worker(bench).sentence
    assert not of_worker(bench).well


@pytest.mark.parametrize(
    "fields",
    [
        {"running": 2},
        {"running": 1, "poisoned": 1},
        {"status": "draining"},
        {"handlers": ("other",)},
        {"queues": {"x": 1}},
    ],
    ids=["busy", "poisoned", "draining", "another handler", "another queue"],
)
def test_work_a_worker_cannot_take_now_is_no_fault_of_it(bench, fields):
    bench.do(lambda tx: enqueue(tx, [EnqueueRequest("h")]))
    bench.clock.advance(timedelta(seconds=61))
    worker(bench, **fields)
    assert of_worker(bench).well


def test_a_dispatcher_is_well_while_nothing_due_waits_long(bench):
    bench.job()
    dispatcher(bench)
    assert of_dispatcher(bench).well
    bench.clock.advance(timedelta(hours=1, seconds=61))
    dispatcher(bench)
    assert of_dispatcher(bench).sentence == "an instant due 1 min 1 s ago is not decided yet"
    bench.plan()
    assert of_dispatcher(bench).well


def test_a_dispatcher_that_stopped_is_not_well(bench):
    dispatcher(bench, "stopped")
    assert not of_dispatcher(bench).well
