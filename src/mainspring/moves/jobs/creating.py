"""New jobs, one or many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterator, Sequence
from datetime import datetime

from mainspring.errors import ConflictError, NothingToComeError
from mainspring.model.events import EventType
from mainspring.model.job import Job, JobDefinition, JobStatus, JobType
from mainspring.moves.enqueue import encoded_size
from mainspring.moves.jobs.beginning import Beginnings
from mainspring.moves.jobs.checking import check_room, known_handlers, surprises
from mainspring.moves.jobs.stored import Changed, announce, due_at
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
    beginnings, known = Beginnings(tx), known_handlers(tx, platform_id)
    new_ids = tx.new_ids(len(definitions))
    created = [_created(beginnings, job, known) for job in _new_jobs(tx.now, platform_id, new_ids, definitions)]
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


def _new_jobs(
    now: datetime, platform_id: str, new_ids: Sequence[str], definitions: Sequence[JobDefinition]
) -> Iterator[Job]:
    # Cut to the second: `every` anchors here, and a grid on the whole second is the one people expect.
    created_at = now.replace(microsecond=0)
    blank = JobDefinition("", JobType.MANUAL, "")
    alike = Job("", platform_id, blank, JobStatus.ACTIVE, 1, created_at, updated_at=now, cursor_at=now)
    for new_id, definition in zip(new_ids, definitions, strict=True):
        yield alike.changed(id=new_id, definition=definition)


def _created(beginnings: Beginnings, job: Job, known: Container[str]) -> Changed:
    encoded_size(job.definition.payload)
    beginning = beginnings.of(job)
    warnings = (*beginning.warnings, *surprises(job.definition, known))
    if beginning.schedule is not None:
        if beginning.first is None:
            raise NothingToComeError
        job = due_at(job, beginning.schedule, beginning.first)
    return Changed(job, created=True, warnings=warnings)
