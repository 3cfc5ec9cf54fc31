"""Queued -> running: a worker takes executions under a lease and a fence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta

from mainspring.model.execution import Actor, Execution, Move, Status
from mainspring.ports.store import Tx


def claim(
    tx: Tx,
    worker_id: str,
    *,
    queues: Mapping[str, int],
    handlers: Sequence[str],
    limit: int,
    lease: timedelta,
    only: str | None = None,
    offered: Sequence[str] | None = None,
) -> list[Execution]:
    """Lease queued executions to a worker by the store's clock; return them as they are now stored.

    However many callers there are, no execution is on lease to two of them. Each claim raises the fence. ``queues``
    says how many of each queue the worker has room for. ``offered`` narrows the claim to executions a transport named,
    which may be unknown, long ended, of another queue, or not for this worker; ``only`` to one, whatever its queue.
    """
    if only is not None:
        one = tx.executions.get(only, lock=True)
        found = [one] if one is not None and one.status is Status.QUEUED else []
    elif offered is not None:
        found = _within(tx.executions.claimable_of(offered, list(queues), handlers), queues)[:limit]
    else:
        found = tx.executions.claimable(queues, handlers, limit)
    now = tx.now
    claimed = [
        execution.changed(
            status=Status.RUNNING,
            worker_id=worker_id,
            attempt=execution.attempt + 1,
            fence=execution.fence + 1,
            started_at=now,
            lease_until=now + lease,
            deadline_at=now + execution.timeout,
        )
        for execution in found
    ]
    taken = tx.executions.move([_move(before, after) for before, after in zip(found, claimed, strict=True)])
    return [execution for execution in claimed if execution.id in taken]


def _within(found: Sequence[Execution], room: Mapping[str, int]) -> list[Execution]:
    """Leave out what there is no room for: a queue's entries may name executions of another queue."""
    taken: Counter[str] = Counter()
    kept = []
    for execution in found:
        taken[execution.queue] += 1
        if taken[execution.queue] <= room.get(execution.queue, 0):
            kept.append(execution)
    return kept


def _move(before: Execution, after: Execution) -> Move:
    fields = ("worker_id", "attempt", "fence", "started_at", "lease_until", "deadline_at")
    values = {name: getattr(after, name) for name in fields}
    return Move(before.id, Status.QUEUED, Status.RUNNING, Actor.WORKER, fence=before.fence, set=values)
