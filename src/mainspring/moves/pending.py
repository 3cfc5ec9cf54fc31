"""What a debounced event job waits out: the newest event of a burst, kept until it has been quiet for long enough.

The job is due when the quiet ends (``next_run_at``), so the planner wakes for it as for any due instant.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mainspring.model.events import Event
from mainspring.model.job import ActiveExecution, Job, JobCursor, JobStatus, JobType
from mainspring.moves.schedules import Schedules
from mainspring.ports.store import Tx
from mainspring.schedule.decide import Plan
from mainspring.schedule.decide_event import Recent, decide_quiet, drop_pending, quiet_at
from mainspring.schedule.event import EventSchedule


def plan_event_job(
    tx: Tx, schedules: Schedules, job: Job, active: Iterable[ActiveExecution], dispatcher_id: str | None
) -> Plan:
    """Decide the event a due job has waited out. A job that waits for none just stops being due."""
    pending = pending_event(tx, job)
    if pending is None:
        cursor = JobCursor(job.id, job.cursor_at, None, job.cursor_wall, job.tzdb_version)
        return Plan(cursor=cursor, settled_pending=True)
    schedule = schedules.event(tx, job)
    return decide_quiet(
        job,
        schedule,
        pending,
        now=tx.now,
        active=active,
        new_id=tx.new_id,
        recent=recent_runs(tx, job, schedule, pending),
        dispatcher_id=dispatcher_id,
    )


def pending_event(tx: Tx, job: Job) -> Event | None:
    """Return the event a debounced job waits out, if it does."""
    row = tx.inbox.pending([job.id]).get(job.id)
    return None if row is None else tx.inbox.get(row.platform_id, row.source, row.event_id)


def recent_runs(tx: Tx, job: Job, schedule: EventSchedule, event: Event) -> Recent | None:
    """Return what the throttle counts for an event; None where there is none, or the job is not active."""
    throttle = schedule.throttle
    if throttle is None or job.status is not JobStatus.ACTIVE:
        return None
    # No upper bound: another transaction that began a little later may have been decided before this one.
    return Recent(*tx.decisions.ran_since(job.id, event.at - throttle.per, throttle.limit))


def due_when_quiet(tx: Tx, job: Job) -> Job:
    """Return an active event job with ``next_run_at`` set to when what it waits out has been quiet; None for nothing.

    After an edit the new debounce holds for what waits already: counted from the event, and never in the past.
    """
    pending = pending_event(tx, job)
    if pending is None:
        return job.changed(next_run_at=None)
    schedule = Schedules(1).event(tx, job)  # not from memory: this revision may yet be rolled back
    return job.changed(next_run_at=max(quiet_at(job.id, schedule, pending), tx.now))


def skip_pending(tx: Tx, schedules: Schedules, job: Job, why: Mapping[str, Any]) -> Plan | None:
    """Return the plan that decides what a job waits out as skipped; None where it waits for nothing."""
    if job.definition.type is not JobType.EVENT:
        return None
    pending = pending_event(tx, job)
    return None if pending is None else drop_pending(job, schedules.event(tx, job), pending, now=tx.now, why=why)
