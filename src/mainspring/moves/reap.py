"""What the clock ends: expired leases, deadlines nobody kept, cancels nobody obeyed, start deadlines gone by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from mainspring.model.events import Event, EventType
from mainspring.model.execution import Actor, Execution, Status
from mainspring.model.outcome import Cancelled, Lost, Outcome, TimedOut
from mainspring.moves.end import apply_steps, end
from mainspring.ports.store import Tx
from mainspring.schedule.settle import Step, settle

BATCH = 500
#: The database's note of the last step of its clock: when, by how much, and who saw it.
CLOCK_STEP = "clock_step"


@dataclass(frozen=True, slots=True)
class Reaped:
    """How many executions a step took back, and why; ``rest``: how long until something is over next."""

    lost: int = 0
    overdue: int = 0
    expired: int = 0
    rest: timedelta | None = None

    def __bool__(self) -> bool:
        return bool(self.lost or self.overdue or self.expired)


def reap(
    tx: Tx,
    *,
    grace: timedelta,
    draws: Sequence[float],
    leases_before: datetime | None = None,
    spare_leases: bool = False,
) -> Reaped:
    """Take back what is over, by the store's clock; whatever the handler does, it is fenced off.

    Args:
        grace: How long after its deadline, or after a cancel was asked for, an attempt may still end by itself.
        draws: Uniform random numbers in [0, 1) for retry jitter, used in turn; at least one.
        leases_before: Treat every lease as over that was made before this instant: the engine that takes over a
            SQLite file knows that nobody else is alive.
        spare_leases: Take back no lease: the clock has stepped, and those alive have yet to renew by what it says now.
    """
    over_at = tx.executions.next_over(grace)
    lost, overdue = set[str](), set[str]()
    if leases_before is not None or (over_at is not None and over_at <= tx.now):
        lost = set() if spare_leases else _take_lost(tx, leases_before)
        overdue = _take_overdue(tx, grace, draws, besides=lost)
    expired = sum(
        end(tx, e, Status.EXPIRED, Actor.DISPATCHER, reason="its start deadline passed before it could start")
        for e in tx.executions.start_expired(BATCH)
    )
    # While leases are spared, what is over is not what is to be looked for.
    over_at = None if spare_leases else tx.over_at(grace)
    rest = None if over_at is None else over_at - tx.now
    return Reaped(len(lost), len(overdue), expired, rest)


def _take_lost(tx: Tx, leases_before: datetime | None) -> set[str]:
    found = tx.executions.lease_over(BATCH, older_than=leases_before)
    taken = apply_steps(tx, [(e, _step(tx, e, Lost(e.worker_id), 0.0)) for e in found], Actor.REAPER)
    _announce_lost(tx, [e for e in found if e.id in taken])
    return taken


def _take_overdue(tx: Tx, grace: timedelta, draws: Sequence[float], *, besides: set[str]) -> set[str]:
    late = [e for e in tx.executions.overdue(grace, BATCH) if e.id not in besides]
    steps = [(e, _step(tx, e, _why(e), draws[i % len(draws)])) for i, e in enumerate(late)]
    return apply_steps(tx, steps, Actor.REAPER)


def _why(execution: Execution) -> Outcome:
    if execution.cancel_requested_at is not None:
        why = execution.cancel_reason or "cancelled"
        return Cancelled({"type": "Cancelled", "message": f"{why}; the handler did not stop in time", "traceback": ""})
    limit = execution.timeout.total_seconds()
    message = f"attempt {execution.attempt} took longer than its timeout of {limit:g} s and was fenced off"
    return TimedOut({"type": "Timeout", "message": message, "traceback": ""})


def _step(tx: Tx, execution: Execution, outcome: Outcome, draw: float) -> Step:
    step = settle(execution, outcome, now=tx.now, draw=draw)
    return replace(step, set={**step.set, "fence": execution.fence + 1})


def _announce_lost(tx: Tx, executions: Sequence[Execution]) -> None:
    by_worker: dict[tuple[str, str], list[str]] = {}
    for execution in executions:
        by_worker.setdefault((execution.platform_id, execution.worker_id or "unknown"), []).append(execution.id)
    tx.outbox.add(
        [
            Event(
                tx.new_id(),
                EventType.WORKER_LOST,
                platform_id,
                tx.now,
                subject=worker_id,
                data={"worker_id": worker_id, "executions": ids[:100]},
            )
            for (platform_id, worker_id), ids in by_worker.items()
        ]
    )
