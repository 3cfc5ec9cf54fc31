"""What can never work is refused, and what may surprise is said, before a job is stored."""

from __future__ import annotations

from collections.abc import Container, Iterator
from datetime import datetime, timedelta

from mainspring.errors import LimitExceededError
from mainspring.model.job import Job, JobDefinition
from mainspring.model.policy import Misfire, Overlap
from mainspring.moves.enqueue import encoded_size
from mainspring.moves.schedules import Schedules, check_shape
from mainspring.ports.store import Tx
from mainspring.schedule import CompiledSchedule


def check(tx: Tx, schedules: Schedules, job: Job, known: Container[str]) -> tuple[str, ...]:
    """Refuse what can never work and return warnings about what may surprise; ``known`` are the announced handlers."""
    encoded_size(job.definition.payload)
    schedule = check_schedule(tx, schedules, job)
    return (*(schedule.warnings if schedule is not None else ()), *surprises(job.definition, known))


def check_schedule(tx: Tx, schedules: Schedules, job: Job) -> CompiledSchedule | None:
    """Refuse a schedule that cannot be used or runs too often; return it, None where the job has no instants."""
    check_shape(job.definition)
    if not job.definition.type.timed:
        return None
    schedule = schedules.of(tx, job)
    _check_least_interval(tx, job.platform_id, schedule)
    return schedule


def surprises(definition: JobDefinition, known: Container[str]) -> Iterator[str]:
    """Yield what may surprise about all but the schedule; ``known`` are the announced handlers."""
    if definition.handler not in known:
        yield f"no node has announced the handler {definition.handler!r}: its executions will wait for one"
    if definition.misfire is Misfire.FIRE_ALL and definition.overlap_policy is Overlap.SKIP:
        yield "misfire fire_all with overlap skip runs only the first missed instant; use buffer_all"


def known_handlers(tx: Tx, platform_id: str) -> frozenset[str]:
    """Return the names of the handlers that nodes have announced for a platform."""
    return frozenset(handler.name for handler in tx.nodes.handlers(platform_id))


def check_room(tx: Tx, platform_id: str, more: int) -> None:
    """Refuse ``more`` jobs than a platform may have; raises `LimitExceededError`."""
    for limit in tx.platforms.limits(platform_id):
        if limit.scope == "platform" and limit.max_jobs is not None:
            found = tx.jobs.count(platform_id, limit.max_jobs + 1) + more
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
