"""Jobs: create, change, pause, resume, archive. The past never fires because of a change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from mainspring.errors import (
    ConflictError,
    LimitExceededError,
    NotFoundError,
    NothingToComeError,
    RevisionConflictError,
    ScheduleError,
    ValidationError,
)
from mainspring.model.decision import Decision, Verdict
from mainspring.model.events import Event, EventType
from mainspring.model.job import Job, JobDefinition, JobStatus, JobType
from mainspring.model.policy import Misfire, Overlap
from mainspring.model.wire import definition_from_wire, definition_to_wire
from mainspring.moves.enqueue import encoded_size
from mainspring.moves.order import hold_stoppable, is_due
from mainspring.moves.pending import due_when_quiet, skip_pending
from mainspring.moves.plan import active_by_job, plan_job, record, skipped_event
from mainspring.moves.schedules import Schedules, check_shape
from mainspring.ports.store import Tx
from mainspring.schedule import CompiledSchedule, tzdb_version
from mainspring.schedule.misfire import COUNT_LIMIT


@dataclass(frozen=True, slots=True)
class Changed:
    """A job after a change. ``changed`` is False where it was so already; ``warnings`` are for whoever asked."""

    job: Job
    changed: bool = True
    created: bool = False
    warnings: tuple[str, ...] = ()


def create_job(tx: Tx, platform_id: str, definition: JobDefinition, *, actor: str = "api") -> Changed:
    """Store a new job; it is decided from now on. Raises `ConflictError` for a taken name, and `ValidationError`."""
    return create_jobs(tx, platform_id, [definition], actor=actor)[0]


def create_jobs(tx: Tx, platform_id: str, definitions: Sequence[JobDefinition], *, actor: str = "api") -> list[Changed]:
    """Store new jobs, all of them or none, in the order given; each is decided from now on.

    Raises `ConflictError` for a name that is taken or given twice, and `ValidationError`.
    """
    _refuse_taken(tx, platform_id, [definition.name for definition in definitions])
    _check_room(tx, platform_id, len(definitions))
    # Not the process's memory of schedules: these jobs may yet be rolled back.
    schedules, known = Schedules(len(definitions)), _known_handlers(tx, platform_id)
    created = [
        _created(tx, schedules, _new_job(tx, new_id, platform_id, definition), known)
        for new_id, definition in zip(tx.new_ids(len(definitions)), definitions, strict=True)
    ]
    new = [one.job for one in created]
    # By name: of two that add the same ones, none may wait for a name while the other waits for one of its own.
    tx.jobs.add(sorted(new, key=lambda job: job.name), actor=actor)
    _announce(tx, new, EventType.JOB_CREATED, actor)
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
    job = existing(tx, platform_id, name, lock=True)
    if expected_revision is not None and job.revision != expected_revision:
        raise RevisionConflictError(job.name, expected=expected_revision, current=job.revision)
    merged = merge(definition_to_wire(job.definition), changes)
    definition = definition_from_wire(merged)
    if definition == job.definition:
        return Changed(job, changed=False)
    if job.status is JobStatus.ARCHIVED:
        raise ConflictError(f"job {job.name!r} is archived")
    if definition.name != job.name:
        raise ValidationError("cannot be changed; create a new job", field="name")
    if _timing(definition) != _timing(job.definition):
        job = _decided(tx, schedules, job)
        _skip_paused(tx, schedules, job)
        if definition.type is not job.definition.type:
            _skip_pending(tx, schedules, job, f"the job was changed into one of type {definition.type}")
        job = job.changed(cursor_at=max(job.cursor_at, tx.now), cursor_wall=None)
    changed = job.changed(definition=definition, revision=job.revision + 1, updated_at=tx.now)
    if changed.status is JobStatus.COMPLETED and _timing(definition) != _timing(job.definition):
        changed = changed.changed(status=JobStatus.ACTIVE, status_reason=None)
    # Compiled afresh, not from memory: this revision may yet be rolled back.
    warnings = check(tx, Schedules(1), changed, _known_handlers(tx, platform_id))
    changed = scheduled(tx, schedules, changed)
    tx.jobs.save(changed, expected_revision=job.revision, actor=actor)
    _announce(tx, [changed], EventType.JOB_UPDATED, actor)
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
        job = _decided(tx, schedules, job)
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
    _announce(tx, [paused], EventType.JOB_PAUSED, actor)
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
        _skip_paused(tx, schedules, job)
        job = job.changed(cursor_at=max(job.cursor_at, tx.now))
    elif not catch_up:
        _skip_pending(tx, schedules, job, job.status_reason)
    active = job.changed(
        status=JobStatus.ACTIVE, status_reason=None, paused_at=None, paused_until=None, updated_at=tx.now
    )
    active = scheduled(tx, schedules, active)
    if active.definition.type.timed and active.next_run_at is None:
        active = active.changed(status=JobStatus.COMPLETED, status_reason="its schedule has no further instant")
    tx.jobs.save(active, expected_revision=job.revision, actor=actor)
    _announce(tx, [active], EventType.JOB_RESUMED, actor)
    tx.wake("jobs")
    return Changed(active)


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
    job = existing(tx, platform_id, name, lock=True)
    if expected_revision is not None and job.revision != expected_revision:
        raise RevisionConflictError(job.name, expected=expected_revision, current=job.revision)
    if job.status is JobStatus.ARCHIVED:
        return Changed(job, changed=False)
    job = _decided(tx, schedules, job)
    _skip_paused(tx, schedules, job)
    _skip_pending(tx, schedules, job, "the job was archived while a burst of events was still under way")
    archived = job.changed(
        status=JobStatus.ARCHIVED, status_reason=f"archived by {actor}", next_run_at=None, updated_at=tx.now
    )
    tx.jobs.save(archived, expected_revision=job.revision, actor=actor)
    _announce(tx, [archived], EventType.JOB_ARCHIVED, actor)
    return Changed(archived)


def resume_due(tx: Tx, schedules: Schedules, limit: int = 100) -> int:
    """Resume jobs whose pause was to end by now; return how many."""
    due = tx.jobs.paused_until_passed(limit)
    for job in due:
        resume_job(tx, schedules, job.platform_id, job.id, actor="dispatcher")
    return len(due)


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


# -- shared by the above -----------------------------------------------------------------------------------------


def existing(tx: Tx, platform_id: str, name: str, *, lock: bool = False) -> Job:
    """Return a job by name or id; raises `NotFoundError`."""
    job = tx.jobs.get(platform_id, name, lock=lock)
    if job is None:
        raise NotFoundError("job", name)
    return job


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


def scheduled(tx: Tx, schedules: Schedules, job: Job) -> Job:
    """Return the job with ``next_run_at`` computed from its cursor."""
    if job.status is not JobStatus.ACTIVE or job.definition.schedule is None:
        return job.changed(next_run_at=None)
    if job.definition.type is JobType.EVENT:
        return due_when_quiet(tx, job)
    schedule = schedules.of(tx, job)
    following = schedule.next(job.cursor_at)
    next_run_at = schedule.fire_at(following.at, key=job.id) if following else None
    return job.changed(next_run_at=next_run_at, tzdb_version=tzdb_version())


def check(tx: Tx, schedules: Schedules, job: Job, known: Container[str]) -> tuple[str, ...]:
    """Refuse what can never work and return warnings about what may surprise; ``known`` are the announced handlers."""
    definition = job.definition
    encoded_size(definition.payload)
    check_shape(definition)
    warnings: list[str] = []
    if definition.type.timed:
        schedule = schedules.of(tx, job)
        _check_least_interval(tx, job.platform_id, schedule)
        warnings.extend(schedule.warnings)
    if definition.handler not in known:
        warnings.append(f"no node has announced the handler {definition.handler!r}: its executions will wait for one")
    if definition.misfire is Misfire.FIRE_ALL and definition.overlap_policy is Overlap.SKIP:
        warnings.append("misfire fire_all with overlap skip runs only the first missed instant; use buffer_all")
    return tuple(warnings)


def _known_handlers(tx: Tx, platform_id: str) -> frozenset[str]:
    return frozenset(handler.name for handler in tx.nodes.handlers(platform_id))


def _check_room(tx: Tx, platform_id: str, more: int) -> None:
    for limit in tx.platforms.limits(platform_id):
        if limit.scope == "platform" and limit.max_jobs is not None:
            found = tx.jobs.count(platform_id) + more
            if found > limit.max_jobs:
                raise LimitExceededError("jobs", found=found, allowed=limit.max_jobs)


def _check_least_interval(tx: Tx, platform_id: str, schedule: CompiledSchedule) -> None:
    for limit in tx.platforms.limits(platform_id):
        if limit.scope == "platform" and limit.min_interval_ms is not None:
            _check_interval(schedule, tx.now, limit.min_interval_ms)


def _check_interval(schedule: CompiledSchedule, now: datetime, least_ms: int) -> None:
    at = now
    before: datetime | None = None
    for _ in range(200):
        occurrence = schedule.next(at)
        if occurrence is None:
            return
        gap = (occurrence.at - before) // timedelta(milliseconds=1) if before is not None else least_ms
        if gap < least_ms:
            raise LimitExceededError("milliseconds between two runs (a minimum)", found=gap, allowed=least_ms)
        at = before = occurrence.at


def _timing(definition: JobDefinition) -> tuple[Any, ...]:
    return definition.type, definition.schedule, definition.timezone


def _decided(tx: Tx, schedules: Schedules, job: Job) -> Job:
    """Decide what is due under the job's present definition, and return it as stored after that."""
    if is_due(tx, job):
        hold_stoppable(tx, [job])  # before the first round holds limits
    while is_due(tx, job):
        record(tx, [(job, plan_job(tx, schedules, job, active_by_job(tx, [job.id])[job.id], None))])
        job = existing(tx, job.platform_id, job.id, lock=True)
    return job


def _skip_paused(tx: Tx, schedules: Schedules, job: Job) -> None:
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


def _skip_pending(tx: Tx, schedules: Schedules, job: Job, why: str | None) -> None:
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


def _announce(tx: Tx, jobs: Sequence[Job], kind: EventType, actor: str) -> None:
    tx.outbox.add([_change_event(tx, job, kind, actor) for job in jobs])
    tx.wake("outbox")


def _change_event(tx: Tx, job: Job, kind: EventType, actor: str) -> Event:
    data = {"job": job.name, "job_id": job.id, "revision": job.revision, "actor": actor, "reason": job.status_reason}
    return Event(tx.new_id(), kind, job.platform_id, tx.now, subject=job.id, data=data)
