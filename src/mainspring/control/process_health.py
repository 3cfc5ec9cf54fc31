"""Is the process of this host well? Judged by what it has done in the database, and never by its being up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from mainspring.control.explanation import span
from mainspring.control.health import ALIVE, FAIL
from mainspring.model.node import DispatcherNode, WorkerNode
from mainspring.moves.hold import held
from mainspring.ports.store import Tx


@dataclass(frozen=True, slots=True)
class ProcessHealth:
    """``well``: whether to leave the process alone; ``sentence`` says why, or what is wrong."""

    well: bool
    sentence: str


def check_worker(tx: Tx, host: str) -> ProcessHealth:
    """Judge the workers of a host: one was seen lately, and none lets work wait that it has a free slot for.

    Work that waits because every slot is busy is load, and no reason to restart a worker.
    """
    alive = [w for w in tx.nodes.workers(seen_since=tx.now - ALIVE) if w.host == host and w.status != "stopped"]
    if not alive:
        last = _last(tx.nodes.workers())
        return ProcessHealth(False, f"no worker of host {host} was seen within {span(ALIVE)}{last}")
    if (hold := held(tx)) is not None:
        return ProcessHealth(True, f"{len(alive)} alive on host {host}; the fleet is held: {hold.reason}")
    running = sum(worker.running for worker in alive)
    idle = [w for w in alive if w.status == "running" and w.running + w.poisoned < sum(w.queues.values())]
    waits = [at for queue, handler, at in tx.executions.queued_handlers(1000) if _serves(idle, queue, handler)]
    oldest = tx.now - min(waits) if waits else timedelta(0)
    if oldest > FAIL:
        return ProcessHealth(False, f"work for it has waited for {span(oldest)}, and it has slots free")
    return ProcessHealth(True, f"{len(alive)} alive on host {host}, {running} running")


def check_dispatcher(tx: Tx, host: str) -> ProcessHealth:
    """Judge the dispatchers of a host: one was seen lately, and no due instant waits long for its decision."""
    alive = [d for d in tx.nodes.dispatchers(seen_since=tx.now - ALIVE) if d.host == host and d.status != "stopped"]
    if not alive:
        last = _last(tx.nodes.dispatchers())
        return ProcessHealth(False, f"no dispatcher of host {host} was seen within {span(ALIVE)}{last}")
    if (hold := held(tx)) is not None:
        return ProcessHealth(True, f"{len(alive)} alive on host {host}; the fleet is held: {hold.reason}")
    due = tx.jobs.next_due_at()
    late = max(tx.now - due, timedelta(0)) if due is not None else timedelta(0)
    if late > FAIL:
        return ProcessHealth(False, f"an instant due {span(late)} ago is not decided yet")
    return ProcessHealth(True, f"{len(alive)} alive on host {host}, nothing due waits")


def _serves(workers: Sequence[WorkerNode], queue: str, handler: str) -> bool:
    return any(queue in worker.queues and handler in worker.handlers for worker in workers)


def _last(nodes: Sequence[WorkerNode | DispatcherNode]) -> str:
    hosts = sorted({node.host for node in nodes})
    return f"; known hosts: {', '.join(hosts[:5])}" if hosts else "; no host has ever run one"
