"""Say once to nobody what planning will say at the next instant, so that it is quick to say then."""

from __future__ import annotations

from mainspring.moves.ahead import Ahead, Position
from mainspring.moves.plan import active_by_job, record_together
from mainspring.ports.store import Rehearsing, Tx
from mainspring.schedule.foresee import together

#: Jobs of one instant that are enough to see what all of them share and what varies.
FEW = 20


def look(tx: Tx, ahead: Ahead, limit: int, after: Position | None = None) -> Position | None:
    """Do `Ahead.look`; where it begins anew, rehearse the first instant at which several jobs are due."""
    begins = after is None
    after = ahead.look(tx, limit, after)
    if begins and isinstance(tx, Rehearsing):
        rehearse(tx, ahead)
    return after


def rehearse(tx: Rehearsing, ahead: Ahead) -> None:
    """Rehearse what `plan_due` does for the first of what is foreseen; a single job is quick without."""
    soon = ahead.soonest(FEW)
    if len(soon) < 2:
        return
    once = tx.rehearsal(soon[0].since)
    once.jobs.due(FEW, known=ahead.jobs)
    active_by_job(once, [found.job.id for found in soon])
    record_together(once, [found.job for found in soon], together(soon, once.now, once.new_ids(len(soon))))
    once.jobs.next_due_at()
