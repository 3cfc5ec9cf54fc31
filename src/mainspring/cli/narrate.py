"""What happened, in one line each: events and starts -> words. Pure, so that every line can be tested.

A line says when (in the job's zone), which job, what happened, and for what did not run, why.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from mainspring.cli.output import short
from mainspring.cli.times import away, clock, since, span, stamp, whole
from mainspring.model.events import Event, EventType
from mainspring.model.execution import Cause, Execution
from mainspring.model.outcome import (
    Cancelled,
    Failed,
    Lost,
    Outcome,
    Released,
    Snoozed,
    Succeeded,
    TimedOut,
)

#: An execution is late when it starts this much after it was due.
LATE = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that happened. ``what`` is its word, for programs and colours; ``text`` is for people."""

    at: datetime
    zone: str
    job: str
    what: str
    text: str
    execution_id: str | None = None
    detail: str = ""

    def plain(self, width: int = 0) -> str:
        """Return it without colours, with its date: what a log file keeps."""
        parts = [stamp(self.at, self.zone), self.job.ljust(width), self.text, self.detail, self.execution_id or ""]
        return "  ".join(part for part in parts if part)

    def to_wire(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "at": self.at.isoformat(),
            "timezone": self.zone,
            "job": self.job,
            "what": self.what,
            "text": self.text,
            "detail": self.detail,
            "execution_id": self.execution_id,
        }


def started(execution: Execution, zone: str) -> Line:
    """Tell the start of an attempt: why it runs, when it was due, how late it is."""
    at = execution.started_at or execution.available_at
    parts = []
    if execution.attempt > 1:
        parts.append(f"attempt {execution.attempt} of {execution.retry.max_retries + 1}")
    elif (cause := _cause(execution)) is not None:
        parts.append(cause)
    if execution.cause is Cause.SCHEDULE and execution.scheduled_at is not None and execution.attempt <= 1:
        late = at - execution.available_at
        if late >= LATE:
            parts.append(f"late by {span(late)}: due {_due(execution.scheduled_at, at, zone)}")
    text = "started" + (f", {', '.join(parts)}" if parts else "")
    return Line(at, zone, named(execution), "started", text, execution.id)


def ended(execution: Execution, outcome: Outcome, at: datetime, zone: str, took: timedelta) -> Line:
    """Tell the end of an attempt as its worker saw it; what follows from it is decided when it is recorded."""
    tries = f"attempt {execution.attempt} of {execution.retry.max_retries + 1}"
    detail = ""
    match outcome:
        case Succeeded():
            what, text = "finished", f"finished in {span(took)}"
        case Failed() | TimedOut():
            word = "failed" if isinstance(outcome, Failed) else "timed out"
            what, text = "failed", f"{tries} {word} after {span(took)}"
            detail = short(f"{outcome.error.get('type')}: {_first_line(outcome.error.get('message'))}", 200)
        case Lost():
            what, text = "failed", f"{tries} was lost after {span(took)}: {short(outcome.detail, 120)}"
        case Snoozed():
            what, text = "snoozed", f"snoozed for {span(outcome.after)}"
        case Cancelled():
            what, text = "cancelled", f"cancelled after {span(took)}"
        case Released():
            what, text = "released", f"released after {span(took)}: another worker runs it"
        case _:
            what, text = "waiting", f"waits for {short(outcome.external_ref, 60)}"
    return Line(at, zone, named(execution), what, text, execution.id, detail)


def _cause(execution: Execution) -> str | None:
    match execution.cause:
        case Cause.MANUAL:
            return "triggered"
        case Cause.EVENT:
            return f"on event {short((execution.event or {}).get('type'), 60)}"
        case Cause.CHAIN:
            return f"after {(execution.event or {}).get('execution', {}).get('job_name') or 'another job'}"
        case Cause.RETRY:
            return f"again, for {brief(execution.retry_of)}"
        case Cause.BACKFILL:
            return "as a backfill"
    return None


def named(execution: Execution) -> str:
    """Return the name people know an execution by: its job's, else its handler's."""
    return execution.job_name or execution.handler


def happened(
    event: Event, zone: str, *, running: Mapping[str, datetime] | None = None, buried: bool = False
) -> Line | None:
    """Tell an event; None for one that is no news here.

    Args:
        event: One of ours.
        zone: The job's zone.
        running: Since when executions run, to tell what a skipped instant would have had to wait for.
        buried: Whether the execution that failed is a dead letter: those events come apart, and are told as one.
    """
    data = event.data
    what, text = _told(event, zone, running or {}, buried)
    if not what:
        return None
    execution_id = data.get("execution_id")
    detail = ""
    if what in ("failed", "retry", "expired", "cancelled") and data.get("error"):
        error = data["error"]
        detail = short(f"{error.get('type')}: {_first_line(error.get('message'))}", 200)
    job = str(data.get("job") or data.get("handler") or event.subject or "")
    return Line(event.at, zone, job, what, text, str(execution_id) if execution_id else None, detail)


def _told(event: Event, zone: str, running: Mapping[str, datetime], buried: bool) -> tuple[str, str]:
    data, at = event.data, event.at
    took = f" after {span(data['duration_ms'] / 1000)}" if data.get("duration_ms") is not None else ""
    match event.type:
        case EventType.EXECUTION_SUCCESS:
            took_ms = data.get("duration_ms") or 0
            return "finished", f"finished in {span(took_ms / 1000)}" if took_ms else "finished at once"
        case EventType.EXECUTION_FAILED:
            why = {"timeout": "timed out", "lost": "lost", "poisoned": "lost too often"}
            word = why.get(str(data.get("failure")), "failed")
            dead = "; now a dead letter" if buried else ""
            return "failed", f"{word} for good on attempt {data.get('attempt')}{took}{dead}"
        case EventType.EXECUTION_RETRY:
            available = since(data.get("available_at"))
            rest = f"; next try in {span(whole(max(available - at, timedelta(0))))}" if available is not None else ""
            return "retry", f"attempt {data.get('attempt')} failed{rest}"
        case EventType.EXECUTION_CANCELLED:
            return "cancelled", f"cancelled{took}"
        case EventType.EXECUTION_EXPIRED:
            return "expired", "expired: it was not started before its deadline"
        case EventType.OCCURRENCE_SKIPPED:
            return "skipped", skipped(data, at, zone, running)
        case EventType.JOB_PAUSED:
            return "paused", f"paused by {data.get('actor')}: {short(data.get('reason') or 'no reason given', 120)}"
        case EventType.JOB_COMPLETED:
            return "completed", f"completed: {data.get('reason') or 'its schedule has no further instant'}"
        case EventType.JOB_CREATED | EventType.JOB_UPDATED | EventType.JOB_RESUMED | EventType.JOB_ARCHIVED:
            word = event.type.rpartition(".")[2]
            revision = f", revision {data.get('revision')}" if word == "updated" else ""
            return word, f"{word} by {data.get('actor')}{revision}"
    return "", ""


def skipped(data: Mapping[str, Any], at: datetime, zone: str, running: Mapping[str, datetime]) -> str:
    """Tell why an instant did not run, from the reason its decision kept.

    >>> from datetime import UTC
    >>> now = datetime(2026, 1, 1, 9, 0, 12, tzinfo=UTC)
    >>> earlier = "019ca8a0-3e80-7d8e-91b7-584a2265b1f5"
    >>> data = {"decision": "skipped_overlap", "reason": {"policy": "skip", "blocking": earlier}}
    >>> skipped(data, now, "UTC", {earlier: now - timedelta(seconds=12)})
    'skipped: overlap is skip, 019c…2265b1f5 still runs since 12 s'
    """
    reason: Mapping[str, Any] = data.get("reason") or {}
    count = int(data.get("count") or 1)
    due = since(data.get("scheduled_at"))
    instants = f" {count} instants" if count > 1 else ""
    first = f" from {_due(due, at, zone)} on" if count > 1 and due is not None else ""
    match data.get("decision"):
        case "skipped_overlap":
            return f"skipped{instants}: overlap is {reason.get('policy')}, {_holder(reason, at, running)}"
        case "dropped_buffer_full":
            return f"dropped: {reason.get('buffered')} executions wait already, and buffer_limit allows no more"
        case "coalesced" if "debounce_ms" in reason:
            return f"folded an event into {short(reason.get('into'), 60)}, which followed within the debounce"
        case "coalesced":
            where = f"{instants or ' one instant'}{first}"
            return f"folded{where} into one run: misfire is {reason.get('misfire', 'fire_once')}"
        case "skipped_misfire":
            return f"skipped{instants or ' one instant'}{first}, missed: {reason.get('why') or reason.get('misfire')}"
        case "skipped_paused":
            return f"skipped{instants}{first} while paused: {short(reason.get('reason') or 'no reason given')}"
        case "skipped_calendar":
            return f"skipped: {_calendar(reason)}"
        case "skipped_chain":
            return f"not started by a chain: {short(reason.get('why'), 160)}"
        case "skipped_limit" if reason.get("why"):
            return f"skipped: {short(reason['why'], 160)}"
        case "skipped_limit":
            return f"skipped: it ran {reason.get('max_executions')} times, which is max_executions"
    return f"{data.get('decision')}"


def _holder(reason: Mapping[str, Any], at: datetime, running: Mapping[str, datetime]) -> str:
    blocking = str(reason.get("blocking") or "")
    since_at = running.get(blocking)
    if since_at is None:
        return f"{brief(blocking)} still holds its slot"
    return f"{brief(blocking)} still runs since {span(whole(max(at - since_at, timedelta(0))))}"


def _calendar(reason: Mapping[str, Any]) -> str:
    if reason.get("excluded_by"):
        return f"excluded by {reason['excluded_by']}"
    return short(reason.get("zone_data") or "excluded by a calendar", 120)


def _due(at: datetime, now: datetime, zone: str) -> str:
    """Return an instant the way it is said on a line of another instant: with its date only where that differs."""
    return clock(at, zone) if abs(now - at) < timedelta(hours=12) else stamp(at, zone)


def _first_line(message: Any) -> str:
    return next(iter(str(message or "").strip().splitlines()), "")


def brief(execution_id: str | None) -> str:
    """Return an id that still tells executions apart, for a line that has no room: its head and its tail.

    >>> brief("019ca8a0-3e80-7d8e-91b7-584a2265b1f5")
    '019c…2265b1f5'
    """
    text = execution_id or "another execution"
    return f"{text[:4]}…{text[-8:]}" if len(text) == 36 else text


def next_run(at: datetime, now: datetime, zone: str) -> str:
    """Return when a job runs next: how far away, and the instant itself where it is not of today.

    >>> from datetime import UTC
    >>> next_run(datetime(2026, 1, 1, 9, 5, tzinfo=UTC), datetime(2026, 1, 1, 9, tzinfo=UTC), "UTC")
    'in 5 min'
    """
    if at <= now:
        return "now"
    # A countdown of whole seconds, rounded up: it ends at "now" and never shows a fraction.
    told = away(now + timedelta(seconds=math.ceil((at - now).total_seconds())), now)
    return told if at - now < timedelta(minutes=10) else f"{told}, {_due(at, now, zone)}"


def progress_told(progress: Any) -> str:
    """Return a progress as people read it.

    >>> progress_told({"current": 5, "total": 20, "message": "rows"}), progress_told({"message": "alive"})
    ('25 % (5/20) rows', 'alive')
    """
    current, total, message = progress.get("current"), progress.get("total"), progress.get("message") or ""
    if current is None:
        return str(message)
    if isinstance(total, int | float) and total > 0:
        told = f"{min(max(current / total, 0), 1) * 100:.0f} % ({current:g}/{total:g})"
    else:
        told = f"{current:g}"
    return f"{told} {message}".strip()
