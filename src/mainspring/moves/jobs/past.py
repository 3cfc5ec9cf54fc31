"""What was due before a job changes is decided first: the past never fires because of a change."""

from __future__ import annotations

from datetime import timedelta

from mainspring.errors import ScheduleError
from mainspring.model.decision import Decision, Verdict
from mainspring.model.job import Job, JobStatus
from mainspring.moves.jobs.stored import existing
from mainspring.moves.order import hold_stoppable, is_due
from mainspring.moves.pending import skip_pending
from mainspring.moves.plan import active_by_job, plan_job, record, skipped_event
from mainspring.moves.schedules import Schedules
from mainspring.ports.store import Tx
from mainspring.schedule import CompiledSchedule
from mainspring.schedule.misfire import COUNT_LIMIT


def decided(tx: Tx, schedules: Schedules, job: Job) -> Job:
    """Decide what is due under the job's present definition, and return it as stored after that."""
    if is_due(tx, job):
        hold_stoppable(tx, [job])  # before the first round holds limits
    while is_due(tx, job):
        record(tx, [(job, plan_job(tx, schedules, job, active_by_job(tx, [job.id])[job.id], None))])
        job = existing(tx, job.platform_id, job.id, lock=True)
    return job


def skip_paused(tx: Tx, schedules: Schedules, job: Job) -> None:
    """Record the instants that passed while the job was paused, before something puts its cursor past them."""
    if job.status is not JobStatus.PAUSED or not job.definition.type.timed:
        return
    try:
        skipped = _skipped_pause(tx, schedules.of(tx, job), job)
    except ScheduleError:
        return  # set aside because it cannot be read: nobody can say which instants passed
    if skipped is not None:
        tx.decisions.add([skipped])
        tx.outbox.add([skipped_event(tx, job, skipped)])


def skip_waiting(tx: Tx, schedules: Schedules, job: Job, why: str | None) -> None:
    """Decide as skipped what an event job waits out and will not run any more."""
    try:
        plan = skip_pending(tx, schedules, job, {"reason": why})
    except ScheduleError:
        return  # set aside because it cannot be read
    if plan is not None:
        record(tx, [(job, plan)])


def _skipped_pause(tx: Tx, schedule: CompiledSchedule, job: Job) -> Decision | None:
    first = schedule.next(job.cursor_at)
    if first is None or first.at > tx.now:
        return None
    last = schedule.previous(tx.now + timedelta(microseconds=1)) or first
    more = schedule.count_between(first.at, last.at, limit=COUNT_LIMIT) if last.at > first.at else 0
    reason = {"reason": job.status_reason, "paused_at": job.paused_at.isoformat() if job.paused_at else None}
    return Decision(
        job.id,
        job.platform_id,
        first.at,
        Verdict.SKIPPED_PAUSED,
        tx.now,
        job.revision,
        late=max(tx.now - first.at, timedelta(0)),
        reason=reason,
        until_at=last.at if last.at > first.at else None,
        count=None if more is None else more + 1,
    )
