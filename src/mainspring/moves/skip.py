"""Passing over the next due instant of a job, as a pause of exactly one instant."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from mainspring.errors import ConflictError, ValidationError
from mainspring.model.decision import Decision, Verdict
from mainspring.model.job import JobStatus
from mainspring.model.wire import instant
from mainspring.moves.jobs import existing, scheduled
from mainspring.moves.plan import skipped_event
from mainspring.moves.schedules import Schedules
from mainspring.ports.store import Tx


def skip_next(
    tx: Tx,
    schedules: Schedules,
    platform_id: str,
    name: str,
    *,
    reason: str,
    at: datetime | None = None,
    actor: str = "api",
) -> Decision:
    """Decide the next instant of a job now, as skipped, and move its cursor there; return the decision.

    ``at`` names the instant that is meant: another one than the next is refused, so that nobody skips by accident.

    Raises:
        ValidationError: Without a reason, or where ``at`` is not the next instant.
        ConflictError: For a job that is not active, has no further instant, or whose next instant is due already.
    """
    if not reason.strip():
        raise ValidationError("say why the instant is skipped", field="reason")
    job = existing(tx, platform_id, name, lock=True)
    if not job.definition.type.timed:
        raise ValidationError(f"a {job.definition.type} job has no instants", field="job")
    if job.status is not JobStatus.ACTIVE:
        raise ConflictError(f"job {job.name!r} is {job.status}")
    occurrence = schedules.of(tx, job).next(job.cursor_at)
    if occurrence is None:
        raise ConflictError(f"job {job.name!r} has no further instant")
    if at is not None and at != occurrence.at:
        fix = "Only the next instant can be skipped"
        raise ValidationError(f"the next instant is {instant(occurrence.at)}", field="occurrence", fix=fix)
    if job.next_run_at is not None and job.next_run_at <= tx.now:
        raise ConflictError(f"the instant {instant(occurrence.at)} is due: it is being decided")
    decision = Decision(
        job.id,
        job.platform_id,
        occurrence.at,
        Verdict.SKIPPED_PAUSED,
        tx.now,
        job.revision,
        late=timedelta(0),
        reason={"reason": reason[:500], "by": actor, "skipped": True},
    )
    tx.decisions.add([decision])
    moved = scheduled(tx, schedules, replace(job, cursor_at=occurrence.at, cursor_wall=occurrence.wall))
    if moved.next_run_at is None:
        moved = replace(moved, status=JobStatus.COMPLETED, status_reason="its schedule has no further instant")
    tx.jobs.save(replace(moved, updated_at=tx.now), expected_revision=job.revision, actor=actor)
    tx.outbox.add([skipped_event(tx, job, decision)])
    tx.wake("jobs", "outbox")
    return decision
