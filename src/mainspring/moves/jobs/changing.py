"""Changes of definition, and the end of a job."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from mainspring.errors import ConflictError, ValidationError
from mainspring.model.events import EventType
from mainspring.model.job import Job, JobDefinition, JobStatus
from mainspring.model.wire import definition_from_wire, definition_to_wire
from mainspring.moves.jobs.checking import check, known_handlers
from mainspring.moves.jobs.creating import create_job
from mainspring.moves.jobs.past import decided, skip_paused, skip_waiting
from mainspring.moves.jobs.stored import Changed, announce, at_revision, scheduled
from mainspring.moves.schedules import Schedules
from mainspring.ports.store import Tx
from mainspring.schedule import tzdb_version


def update_job(
    tx: Tx,
    schedules: Schedules,
    platform_id: str,
    name: str,
    changes: Mapping[str, Any],
    *,
    expected_revision: int | None = None,
    actor: str = "api",
) -> Changed:
    """Change fields of a job, in wire shape: what is not named stays; null returns a field to its default.

    What is due under the old definition is decided first; then the cursor is set to now. Equal values write nothing.
    Raises `NotFoundError`, `RevisionConflictError`, `ValidationError`.
    """
    job = at_revision(tx, platform_id, name, expected_revision)
    merged = merge(definition_to_wire(job.definition), changes)
    definition = definition_from_wire(merged)
    if definition == job.definition:
        return Changed(job, changed=False)
    if job.status is JobStatus.ARCHIVED:
        raise ConflictError(f"job {job.name!r} is archived")
    if definition.name != job.name:
        raise ValidationError("cannot be changed; create a new job", field="name")
    if _timing(definition) != _timing(job.definition):
        job = decided(tx, schedules, job)
        skip_paused(tx, schedules, job)
        if definition.type is not job.definition.type:
            skip_waiting(tx, schedules, job, f"the job was changed into one of type {definition.type}")
        job = job.changed(cursor_at=max(job.cursor_at, tx.now), cursor_wall=None)
    changed = job.changed(definition=definition, revision=job.revision + 1, updated_at=tx.now)
    if changed.status is JobStatus.COMPLETED and _timing(definition) != _timing(job.definition):
        changed = changed.changed(status=JobStatus.ACTIVE, status_reason=None)
    # Compiled afresh, not from memory: this revision may yet be rolled back.
    warnings = check(tx, Schedules(1), changed, known_handlers(tx, platform_id))
    changed = scheduled(tx, schedules, changed)
    tx.jobs.save(changed, expected_revision=job.revision, actor=actor)
    announce(tx, [changed], EventType.JOB_UPDATED, actor)
    tx.wake("jobs")
    return Changed(changed, warnings=warnings)


def put_job(
    tx: Tx, schedules: Schedules, platform_id: str, fields: Mapping[str, Any], *, actor: str = "code"
) -> Changed:
    """Create the job, or change only the fields named; safely when several processes race with equal fields.

    An archived job stays archived and a paused one paused: a deploy resumes nothing.
    """
    job = tx.jobs.get(platform_id, str(fields.get("name", "")), lock=True)
    if job is None:
        return create_job(tx, platform_id, definition_from_wire(fields), actor=actor)
    if job.status is JobStatus.ARCHIVED:
        return Changed(job, changed=False, warnings=(f"job {job.name!r} is archived; the code's definition waits",))
    return update_job(tx, schedules, platform_id, job.name, fields, actor=actor)


def archive_job(
    tx: Tx,
    schedules: Schedules,
    platform_id: str,
    name: str,
    *,
    expected_revision: int | None = None,
    actor: str = "api",
) -> Changed:
    """Retire a job: its instants are decided no more, its name is free, its history stays. Running work goes on."""
    job = at_revision(tx, platform_id, name, expected_revision)
    if job.status is JobStatus.ARCHIVED:
        return Changed(job, changed=False)
    job = decided(tx, schedules, job)
    skip_paused(tx, schedules, job)
    skip_waiting(tx, schedules, job, "the job was archived while a burst of events was still under way")
    archived = job.changed(
        status=JobStatus.ARCHIVED, status_reason=f"archived by {actor}", next_run_at=None, updated_at=tx.now
    )
    tx.jobs.save(archived, expected_revision=job.revision, actor=actor)
    announce(tx, [archived], EventType.JOB_ARCHIVED, actor)
    return Changed(archived)


def recompute(
    tx: Tx, schedules: Schedules, *, after: str | None = None, limit: int = 500
) -> tuple[list[tuple[Job, datetime | None]], str | None]:
    """Recompute the next instant of jobs planned with other zone data, in order of id.

    Returns:
        The jobs that move, as (job before, its new next instant), and the id to go on ``after``; None at the end. A
        node whose zone data is older than the database has seen changes nothing.
    """
    version = tzdb_version()
    if (tx.platforms.note("tzdb_version") or "") > version:
        return [], None
    tx.platforms.put_note("tzdb_version", version)
    moved = []
    jobs = tx.jobs.outdated(version, limit, after=after)
    for job in jobs:
        following = schedules.of(tx, job).next(job.cursor_at)
        next_run_at = schedules.of(tx, job).fire_at(following.at, key=job.id) if following else None
        if next_run_at != job.next_run_at:
            # Its version stays as it was: deciding uses it to see a wall time that ran under the old rules.
            tx.jobs.save(job.changed(next_run_at=next_run_at), expected_revision=job.revision, actor="zone data")
            moved.append((job, next_run_at))
    return moved, jobs[-1].id if len(jobs) == limit else None


def merge(before: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Merge changes into a definition in wire shape; null removes a field, so that its default holds again.

    ``retry`` merges field by field; payload, schedule and labels are replaced whole.

    >>> merge({"queue": "a", "priority": 1}, {"queue": None})
    {'priority': 1}
    """
    merged = dict(before)
    for key, value in changes.items():
        if value is None:
            merged.pop(key, None)
        elif key == "retry" and isinstance(value, Mapping):
            merged[key] = {**merged.get(key, {}), **value}
        else:
            merged[key] = value
    return merged


def _timing(definition: JobDefinition) -> tuple[Any, ...]:
    return definition.type, definition.schedule, definition.timezone
