"""Events in: accepted once by source and id, matched against event jobs, decided like any due instant."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mainspring.errors import ScheduleError, ValidationError
from mainspring.model.cloudevents import from_cloudevent
from mainspring.model.events import Event
from mainspring.model.execution import Execution
from mainspring.model.job import ActiveExecution, Job, JobStatus, JobType
from mainspring.model.trace import read_header
from mainspring.moves.enqueue import encoded_size
from mainspring.moves.pending import pending_event, recent_runs
from mainspring.moves.plan import active_by_job, record
from mainspring.moves.schedules import Schedules
from mainspring.ports.store import Tx
from mainspring.schedule.decide import Plan
from mainspring.schedule.decide_event import decide_event

#: Longest type, source, id and subject of an event.
TEXT_LIMIT = 255


@dataclass(frozen=True, slots=True)
class Published:
    """What became of an event. ``duplicate``: this source and id was accepted before, and nothing was done.

    ``jobs`` names those it matched, also where a policy kept it from running; `explain` says which.
    """

    event: Event
    duplicate: bool = False
    executions: tuple[Execution, ...] = ()
    jobs: tuple[str, ...] = ()


def publish(
    tx: Tx,
    platform_id: str,
    event_type: str,
    data: Mapping[str, Any] | None = None,
    *,
    event_id: str | None = None,
    source: str = "mainspring",
    subject: str | None = None,
    chain_depth: int = 0,
    extensions: Mapping[str, Any] | None = None,
    schedules: Schedules | None = None,
) -> Published:
    """Accept an event and decide it for each event job that it matches, all in one transaction.

    The same ``event_id`` of one source is accepted once, for ever. ``chain_depth`` says how many executions led to
    it; past `CHAIN_DEPTH` it starts nothing more, so that jobs that feed each other come to an end.

    Raises:
        ValidationError: For a type, id, source or subject that cannot be used, and data that is no plain JSON.
        LimitExceededError: For data over the limit of a payload.
    """
    more = {**(extensions or {}), **({"chaindepth": chain_depth} if chain_depth else {})}
    event = Event(
        tx.new_id() if event_id is None else event_id,
        event_type,
        platform_id,
        tx.now,
        source,
        subject,
        dict(data or {}),
        more,
    )
    check_event(event)
    if not tx.inbox.accept(event):
        return Published(event, duplicate=True)
    return decide_accepted(tx, schedules or Schedules(), event)


def accept(tx: Tx, platform_id: str, content: object, *, schedules: Schedules | None = None) -> Published:
    """Accept a CloudEvent that came in for a platform, as `publish` does. Raises `ValidationError` for what is none."""
    event = from_cloudevent(content, platform_id=platform_id, at=tx.now)
    check_event(event)
    if not tx.inbox.accept(event):
        return Published(event, duplicate=True)
    return decide_accepted(tx, schedules or Schedules(), event)


def check_event(event: Event) -> None:
    """Refuse an event that could not be stored, matched or shown; raises `ValidationError`, `LimitExceededError`."""
    rule = f"must be 1 to {TEXT_LIMIT} printable characters without blanks"
    texts = {"type": event.type, "id": event.id, "source": event.source}
    for name, text in texts.items() if event.subject is None else [*texts.items(), ("subject", event.subject)]:
        blanks = name in ("subject", "id") or " " not in text
        if not (isinstance(text, str) and 0 < len(text) <= TEXT_LIMIT and text.isprintable() and blanks):
            raise ValidationError(rule, field=name)
    encoded_size(event.data, "data")
    encoded_size(event.extensions, "extensions")


def decide_accepted(tx: Tx, schedules: Schedules, event: Event) -> Published:
    """Decide an event that was accepted in this very transaction."""
    heard = [job for job in tx.jobs.event_jobs(event.platform_id) if _matches(tx, schedules, job, event)]
    # Held in one order by whoever publishes, and read again: what is decided follows from what is counted here.
    jobs = [job for job in tx.jobs.lock([job.id for job in heard]) if _matches(tx, schedules, job, event)]
    active = active_by_job(tx, [job.id for job in jobs if job.status is JobStatus.ACTIVE])
    plans = [(job, _decided(tx, schedules, job, event, active[job.id])) for job in jobs]
    trace = read_header(str(event.extensions.get("traceparent") or ""))
    if trace is not None:
        for _, plan in plans:
            plan.executions[:] = [e.changed(trace_id=trace.trace_id, span_id=trace.span_id) for e in plan.executions]
    made = record(tx, plans)
    if any(plan.pending is not None for _, plan in plans):
        tx.wake("jobs")
    return Published(event, executions=tuple(made), jobs=tuple(sorted(job.name for job in jobs)))


def _matches(tx: Tx, schedules: Schedules, job: Job, event: Event) -> bool:
    if job.definition.type is not JobType.EVENT or job.status not in (JobStatus.ACTIVE, JobStatus.PAUSED):
        return False
    try:
        return schedules.event(tx, job).objection(event) is None
    except ScheduleError:
        return False  # stored by a version that knew more: its events are nobody's to judge here, and the others go on


def _decided(tx: Tx, schedules: Schedules, job: Job, event: Event, active: Iterable[ActiveExecution]) -> Plan:
    schedule = schedules.event(tx, job)
    # A job that waits something out is due when that ends; only then is there a row to look for.
    waiting = pending_event(tx, job) if job.next_run_at is not None else None
    recent = recent_runs(tx, job, schedule, event if waiting is None else min(event, waiting, key=lambda e: e.at))
    return decide_event(
        job, schedule, event, now=tx.now, active=active, new_id=tx.new_id, recent=recent, pending=waiting
    )
