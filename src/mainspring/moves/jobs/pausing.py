"""Pause and resume."""

from __future__ import annotations

from datetime import datetime

from mainspring.errors import ConflictError, ValidationError
from mainspring.model.events import EventType
from mainspring.model.job import JobStatus
from mainspring.moves.jobs.past import decided, skip_paused, skip_waiting
from mainspring.moves.jobs.stored import Changed, announce, existing, scheduled
from mainspring.moves.schedules import Schedules
from mainspring.ports.store import Tx


def pause_job(
    tx: Tx,
    schedules: Schedules,
    platform_id: str,
    name: str,
    *,
    reason: str,
    until: datetime | None = None,
    actor: str = "api",
) -> Changed:
    """Stop deciding a job's instants; executions that exist go on. What was due before this instant is decided first.

    Raises `ValidationError` without a reason or with an ``until`` gone by, `ConflictError` for an ended job.
    """
    if not reason.strip():
        raise ValidationError("say why the job is paused", field="reason")
    job = existing(tx, platform_id, name, lock=True)
    if until is not None and until <= tx.now:
        raise ValidationError(f"must be in the future, got {until.isoformat()}", field="until")
    if job.status not in (JobStatus.ACTIVE, JobStatus.PAUSED):
        raise ConflictError(f"job {job.name!r} is {job.status}")
    if job.status is JobStatus.ACTIVE:
        job = decided(tx, schedules, job)
        if job.status is not JobStatus.ACTIVE:
            raise ConflictError(f"job {job.name!r} is {job.status}")
        job = job.changed(paused_at=tx.now)
    paused = job.changed(
        status=JobStatus.PAUSED,
        status_reason=reason[:500],
        paused_until=until,
        next_run_at=None,
        updated_at=tx.now,
    )
    tx.jobs.save(paused, expected_revision=job.revision, actor=actor)
    announce(tx, [paused], EventType.JOB_PAUSED, actor)
    tx.wake("jobs")
    return Changed(paused)


def resume_job(
    tx: Tx, schedules: Schedules, platform_id: str, name: str, *, catch_up: bool = False, actor: str = "api"
) -> Changed:
    """Decide a paused job again from now on. The instants that passed become one range row, `skipped_paused`.

    With ``catch_up`` they are decided by the job's misfire policy instead, and the event a debounced job waited out
    when it was paused runs once it has been quiet. An active job is left as it is.
    """
    job = existing(tx, platform_id, name, lock=True)
    if job.status is JobStatus.ACTIVE:
        return Changed(job, changed=False)
    if job.status is not JobStatus.PAUSED:
        raise ConflictError(f"job {job.name!r} is {job.status}")
    if job.definition.type.timed and not catch_up:
        skip_paused(tx, schedules, job)
        job = job.changed(cursor_at=max(job.cursor_at, tx.now))
    elif not catch_up:
        skip_waiting(tx, schedules, job, job.status_reason)
    active = job.changed(
        status=JobStatus.ACTIVE, status_reason=None, paused_at=None, paused_until=None, updated_at=tx.now
    )
    active = scheduled(tx, schedules, active)
    if active.definition.type.timed and active.next_run_at is None:
        active = active.changed(status=JobStatus.COMPLETED, status_reason="its schedule has no further instant")
    tx.jobs.save(active, expected_revision=job.revision, actor=actor)
    announce(tx, [active], EventType.JOB_RESUMED, actor)
    tx.wake("jobs")
    return Changed(active)


def resume_due(tx: Tx, schedules: Schedules, limit: int = 100) -> int:
    """Resume jobs whose pause was to end by now; return how many."""
    due = tx.jobs.paused_until_passed(limit)
    for job in due:
        resume_job(tx, schedules, job.platform_id, job.id, actor="dispatcher")
    return len(due)
