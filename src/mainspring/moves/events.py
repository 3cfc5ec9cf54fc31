"""Events in: accepted once by source and id, matched against event jobs, decided like any due instant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mainspring.errors import ValidationError
from mainspring.model.events import Event
from mainspring.model.execution import Execution
from mainspring.moves.enqueue import CHAIN_DEPTH, encoded_size
from mainspring.moves.plan import active_by_job, record
from mainspring.ports.store import Tx
from mainspring.schedule import event_matches, validate_event_schedule
from mainspring.schedule.decide import decide_event


@dataclass(frozen=True, slots=True)
class Published:
    """What became of an event. ``duplicate``: this source and id was accepted before, and nothing was done."""

    event: Event
    duplicate: bool = False
    executions: tuple[Execution, ...] = ()


def publish(
    tx: Tx,
    platform_id: str,
    event_type: str,
    data: Mapping[str, Any] | None = None,
    *,
    event_id: str | None = None,
    source: str = "mainspring",
    subject: str | None = None,
    chain_depth: int = 0,
) -> Published:
    """Accept an event and run the event jobs whose patterns match its type, all in one transaction.

    The same ``event_id`` of one source is accepted once, for ever. ``chain_depth`` says how many executions led to
    it; past `CHAIN_DEPTH` it is refused, so that jobs that feed each other come to an end.
    """
    if not event_type or len(event_type) > 255 or not event_type.isprintable() or " " in event_type:
        raise ValidationError("must be 1 to 255 printable characters without blanks", field="type")
    if chain_depth > CHAIN_DEPTH:
        raise ValidationError(f"an event loop: {chain_depth} executions led to this event", field="type")
    encoded_size(data or {}, "data")
    event = Event(event_id or tx.new_id(), event_type, platform_id, tx.now, source, subject, dict(data or {}))
    if not tx.inbox.accept(event):
        return Published(event, duplicate=True)
    plans = []
    jobs = [
        job
        for job in tx.jobs.event_jobs(platform_id)
        if any(event_matches(p, event_type) for p in validate_event_schedule(job.definition.schedule or {}).events)
    ]
    active = active_by_job(tx, [job.id for job in jobs])
    for job in jobs:
        plan = decide_event(job, event, now=tx.now, active=active[job.id], new_id=tx.new_id)
        plan.executions = [e.changed(chain_depth=chain_depth) for e in plan.executions]
        plans.append((job, plan))
    return Published(event, executions=tuple(record(tx, plans)))
