"""New jobs, one or many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Sequence

from mainspring.errors import ConflictError
from mainspring.model.events import EventType
from mainspring.model.job import JobDefinition
from mainspring.moves.enqueue import encoded_size
from mainspring.moves.jobs.beginning import Beginnings
from mainspring.moves.jobs.checking import check_room, known_handlers, surprises
from mainspring.moves.jobs.stored import Changed, announce
from mainspring.ports.store import Tx

#: Jobs stored at a time: while a database works on some of them, the next are made.
AT_ONCE = 250


def create_job(tx: Tx, platform_id: str, definition: JobDefinition, *, actor: str = "api") -> Changed:
    """Store a new job; it is decided from now on. Raises `ConflictError` for a taken name, and `ValidationError`."""
    return create_jobs(tx, platform_id, [definition], actor=actor)[0]


def create_jobs(tx: Tx, platform_id: str, definitions: Sequence[JobDefinition], *, actor: str = "api") -> list[Changed]:
    """Store new jobs, all of them or none, in the order given; each is decided from now on.

    Raises `ConflictError` for a name that is taken or given twice, and `ValidationError`.
    """
    _refuse_taken(tx, platform_id, [definition.name for definition in definitions])
    for payload in {id(definition.payload): definition.payload for definition in definitions}.values():
        encoded_size(payload)  # once where one is that of many jobs
    check_room(tx, platform_id, len(definitions))
    created = _stored(tx, platform_id, definitions, actor)
    for begin in range(0, len(created), AT_ONCE):
        announce(tx, [one.job for one in created[begin : begin + AT_ONCE]], EventType.JOB_CREATED, actor)
    tx.wake("jobs")
    return created


def _stored(tx: Tx, platform_id: str, definitions: Sequence[JobDefinition], actor: str) -> list[Changed]:
    beginnings, known = Beginnings(tx, platform_id), known_handlers(tx, platform_id)
    new = list(zip(tx.new_ids(len(definitions)), definitions, strict=True))
    # By name: of two that add the same ones, none may wait for a name while the other waits for one of its own.
    in_order = sorted(new, key=lambda one: one[1].name)
    made: dict[str, Changed] = {}
    for begin in range(0, len(in_order), AT_ONCE):
        part = {new_id: _created(beginnings, new_id, one, known) for new_id, one in in_order[begin : begin + AT_ONCE]}
        tx.jobs.add([one.job for one in part.values()], actor=actor)
        made |= part
    return [made[new_id] for new_id, _ in new]


def _refuse_taken(tx: Tx, platform_id: str, names: Sequence[str]) -> None:
    for name in sorted(tx.jobs.taken(platform_id, names)):
        raise ConflictError(f"a job named {name!r} exists already")
    for name, count in Counter(names).items():
        if count > 1:
            raise ConflictError(f"{count} of the new jobs are named {name!r}")


def _created(beginnings: Beginnings, new_id: str, definition: JobDefinition, known: Container[str]) -> Changed:
    beginning = beginnings.of(new_id, definition)
    warnings = (*beginning.warnings, *surprises(definition, known))
    return Changed(beginning.job(new_id, definition), created=True, warnings=warnings)
