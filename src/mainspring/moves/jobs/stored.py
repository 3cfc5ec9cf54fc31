"""A job as it is stored: found, with its next instant, and announced once it has changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mainspring.errors import NotFoundError, RevisionConflictError
from mainspring.model.columns import Columns
from mainspring.model.events import Event, EventType
from mainspring.model.job import Job, JobStatus, JobType
from mainspring.moves.pending import due_when_quiet
from mainspring.moves.schedules import Schedules
from mainspring.ports.store import Tx
from mainspring.schedule import CompiledSchedule, Occurrence, tzdb_version


@dataclass(frozen=True, slots=True)
class Changed:
    """A job after a change. ``changed`` is False where it was so already; ``warnings`` are for whoever asked."""

    job: Job
    changed: bool = True
    created: bool = False
    warnings: tuple[str, ...] = ()


def existing(tx: Tx, platform_id: str, name: str, *, lock: bool = False) -> Job:
    """Return a job by name or id; raises `NotFoundError`."""
    job = tx.jobs.get(platform_id, name, lock=lock)
    if job is None:
        raise NotFoundError("job", name)
    return job


def at_revision(tx: Tx, platform_id: str, name: str, expected: int | None) -> Job:
    """Return a job, held, at the revision somebody has seen; None: at any.

    Raises `NotFoundError`, and `RevisionConflictError` where it has moved on.
    """
    job = existing(tx, platform_id, name, lock=True)
    if expected is not None and job.revision != expected:
        raise RevisionConflictError(job.name, expected=expected, current=job.revision)
    return job


def scheduled(tx: Tx, schedules: Schedules, job: Job) -> Job:
    """Return the job with ``next_run_at`` computed from its cursor."""
    if job.status is not JobStatus.ACTIVE or job.definition.schedule is None:
        return job.changed(next_run_at=None)
    if job.definition.type is JobType.EVENT:
        return due_when_quiet(tx, job)
    schedule = schedules.of(tx, job)
    return due_at(job, schedule, schedule.next(job.cursor_at))


def due_at(job: Job, schedule: CompiledSchedule, following: Occurrence | None) -> Job:
    """Return the job as due at an occurrence of its schedule; None: it has no more."""
    next_run_at = schedule.fire_at(following.at, key=job.id) if following else None
    return job.changed(next_run_at=next_run_at, tzdb_version=tzdb_version())


def announce(tx: Tx, jobs: Sequence[Job], kind: EventType, actor: str) -> None:
    """Write the events that say what became of these jobs."""
    data = [_told(job, actor) for job in jobs]
    subjects, platforms = [job.id for job in jobs], [job.platform_id for job in jobs]
    alike = Event("", kind, "", tx.now)
    new_ids = tx.new_ids(len(jobs))
    tx.outbox.add(Columns.alike(alike, len(jobs), id=new_ids, platform_id=platforms, subject=subjects, data=data))
    tx.wake("outbox")


def _told(job: Job, actor: str) -> dict[str, Any]:
    return {"job": job.name, "job_id": job.id, "revision": job.revision, "actor": actor, "reason": job.status_reason}
