"""Running instants of the past: the only way the past ever fires.

An instant nobody has decided gets its ledger row, `backfilled`. One that was decided keeps its decision; the execution
made for it carries the same ``scheduled_at`` and so points to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from mainspring.errors import ConflictError, ValidationError
from mainspring.model.decision import Decision, Verdict
from mainspring.model.execution import Cause, Execution, Status
from mainspring.model.job import Job, JobStatus
from mainspring.model.policy import Overlap
from mainspring.moves.admit import add_executions
from mainspring.moves.enqueue import check_pending
from mainspring.moves.schedules import Schedules
from mainspring.ports.store import Tx
from mainspring.schedule.decide import new_execution
from mainspring.schedule.occurrence import Occurrence
from mainspring.schedule.overlap import Slots

#: Most instants looked at in one step.
STEP = 100


class Reprocess(StrEnum):
    """Which instants a backfill runs: those that made no execution, also those whose execution failed, or all."""

    MISSING = "missing"
    MISSING_AND_FAILED = "missing_and_failed"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Instant:
    """One instant of a backfill: whether it runs, and why (not). ``execution_id`` is the one made for it."""

    at: datetime
    runs: bool
    reason: str
    execution_id: str | None = None


@dataclass(frozen=True, slots=True)
class Backfilled:
    """What one step did; ``reached`` is the last instant it looked at, None at the end of the range."""

    instants: tuple[Instant, ...]
    reached: datetime | None


def check_range(job: Job, since: datetime, until: datetime) -> datetime:
    """Return the end of a backfill's range, cut to what is decided already: what is to come runs by itself.

    Raises `ValidationError` for a job without instants or an empty range, `ConflictError` for an archived job.
    """
    if not job.definition.type.timed:
        raise ValidationError(f"a {job.definition.type} job has no instants to run again", field="job")
    if job.status is JobStatus.ARCHIVED:
        raise ConflictError(f"job {job.name!r} is archived")
    cut = min(until, job.cursor_at)
    if since >= cut:
        fix = f"Choose a range before {job.cursor_at.isoformat()}, up to where the job is decided"
        raise ValidationError("the range holds no instant that is past", field="from", fix=fix)
    return cut


def backfill_step(
    tx: Tx,
    schedules: Schedules,
    job: Job,
    since: datetime,
    until: datetime,
    reprocess: Reprocess,
    *,
    payload: Mapping[str, Any] | None = None,
    limit: int = STEP,
) -> Backfilled:
    """Run the instants of a job in ``[since, until]``, the first ``limit`` of them, under its concurrency.

    They wait for the job's slots in their order, however many there are; nothing is skipped for overlap.
    """
    schedule = schedules.of(tx, job)
    found: list[Occurrence] = []
    occurrence = schedule.at(since) or schedule.next(since)
    while occurrence is not None and occurrence.at <= until and len(found) < limit:
        found.append(occurrence)
        occurrence = schedule.next(occurrence.at)
    told = [
        Instant(one.at, runs=False, reason=f"excluded by {one.excluded_by}")
        if one.excluded_by is not None
        else _judged(tx, job, one.at, reprocess)
        for one in found
    ]
    told = _made(tx, job, told, payload)
    more = occurrence is not None and occurrence.at <= until
    return Backfilled(tuple(told), found[-1].at if more else None)


def _judged(tx: Tx, job: Job, at: datetime, reprocess: Reprocess) -> Instant:
    decision = tx.decisions.get(job.id, at)
    if decision is None:
        return Instant(at, runs=True, reason="not decided before")
    if decision.execution_id is None:
        return Instant(at, runs=True, reason=f"was {decision.decision}")
    if reprocess is Reprocess.ALL:
        return Instant(at, runs=True, reason="runs again")
    execution = tx.executions.get(decision.execution_id)
    if execution is not None and execution.status is Status.FAILED and reprocess is Reprocess.MISSING_AND_FAILED:
        return Instant(at, runs=True, reason=f"execution {execution.id} failed")
    return Instant(at, runs=False, reason=f"execution {decision.execution_id} was made for it")


def _made(tx: Tx, job: Job, told: list[Instant], payload: Mapping[str, Any] | None) -> list[Instant]:
    running = [one for one in told if one.runs]
    check_pending(tx, job.platform_id, len(running))
    # Excess waits for the job's own slots instead of being judged by its overlap policy.
    waiting = replace(job.definition, overlap=Overlap.ALLOW_ALL, max_concurrency=job.definition.slots)
    slots = Slots(waiting, tx.executions.active_of([job.id]))
    executions: dict[datetime, Execution] = {}
    for one, new_id in zip(running, tx.new_ids(len(running)), strict=True):
        execution = new_execution(job, new_id, Cause.BACKFILL, now=tx.now, scheduled_at=one.at, payload=payload)
        ruling = slots.judge(new_id)
        executions[one.at] = replace(execution, buffered=ruling.buffered, blocked_by=ruling.blocked_by)
    fresh = [one.at for one in running if tx.decisions.get(job.id, one.at) is None]
    tx.decisions.add(
        [
            Decision(
                job.id,
                job.platform_id,
                at,
                Verdict.BACKFILLED,
                tx.now,
                job.revision,
                late=tx.now - at,
                execution_id=executions[at].id,
            )
            for at in fresh
        ]
    )
    add_executions(tx, list(executions.values()))
    return [replace(one, execution_id=executions[one.at].id) if one.at in executions else one for one in told]
