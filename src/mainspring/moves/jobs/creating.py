"""New jobs, one or many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Sequence

from mainspring.errors import ConflictError, NothingToComeError
from mainspring.model.events import EventType
from mainspring.model.job import Job, JobDefinition, JobStatus
from mainspring.moves.jobs.checking import check, check_room, known_handlers
from mainspring.moves.jobs.stored import Changed, announce, scheduled
from mainspring.moves.schedules import Schedules
from mainspring.ports.store import Tx


def create_job(tx: Tx, platform_id: str, definition: JobDefinition, *, actor: str = "api") -> Changed:
    """Store a new job; it is decided from now on. Raises `ConflictError` for a taken name, and `ValidationError`."""
    return create_jobs(tx, platform_id, [definition], actor=actor)[0]


def create_jobs(tx: Tx, platform_id: str, definitions: Sequence[JobDefinition], *, actor: str = "api") -> list[Changed]:
    """Store new jobs, all of them or none, in the order given; each is decided from now on.

    Raises `ConflictError` for a name that is taken or given twice, and `ValidationError`.
    """
    _refuse_taken(tx, platform_id, [definition.name for definition in definitions])
    check_room(tx, platform_id, len(definitions))
    # Not the process's memory of schedules: these jobs may yet be rolled back.
    schedules, known = Schedules(len(definitions)), known_handlers(tx, platform_id)
    created = [
        _created(tx, schedules, _new_job(tx, new_id, platform_id, definition), known)
        for new_id, definition in zip(tx.new_ids(len(definitions)), definitions, strict=True)
    ]
    new = [one.job for one in created]
    # By name: of two that add the same ones, none may wait for a name while the other waits for one of its own.
    tx.jobs.add(sorted(new, key=lambda job: job.name), actor=actor)
    announce(tx, new, EventType.JOB_CREATED, actor)
    tx.wake("jobs")
    return created


def _refuse_taken(tx: Tx, platform_id: str, names: Sequence[str]) -> None:
    for name in sorted(tx.jobs.taken(platform_id, names)):
        raise ConflictError(f"a job named {name!r} exists already")
    for name, count in Counter(names).items():
        if count > 1:
            raise ConflictError(f"{count} of the new jobs are named {name!r}")


def _new_job(tx: Tx, new_id: str, platform_id: str, definition: JobDefinition) -> Job:
    return Job(
        id=new_id,
        platform_id=platform_id,
        definition=definition,
        status=JobStatus.ACTIVE,
        revision=1,
        # Cut to the second: `every` anchors here, and a grid on the whole second is the one people expect.
        created_at=tx.now.replace(microsecond=0),
        updated_at=tx.now,
        cursor_at=tx.now,
    )


def _created(tx: Tx, schedules: Schedules, job: Job, known: Container[str]) -> Changed:
    warnings = check(tx, schedules, job, known)
    job = scheduled(tx, schedules, job)
    if job.definition.type.timed and job.next_run_at is None:
        raise NothingToComeError
    return Changed(job, created=True, warnings=warnings)
