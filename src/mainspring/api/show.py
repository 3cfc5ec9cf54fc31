"""Rows as the API shows them: explicit fields, payloads only for who may see them, secrets hidden."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from mainspring.api.call import Call, Reply
from mainspring.api.problems import ApiError
from mainspring.model.admin import AuditEntry
from mainspring.model.decision import Decision
from mainspring.model.events import Event
from mainspring.model.execution import Execution
from mainspring.model.job import Job, JobStats
from mainspring.model.redact import HIDDEN, redacted
from mainspring.model.wire import decision_to_wire, execution_to_wire, instant, job_to_wire
from mainspring.moves.jobs import Changed
from mainspring.ports.store import Tx
from mainspring.schedule import CompiledSchedule
from mainspring.schedule.occurrence import Occurrence

#: What of an execution is shown only to who may see payloads.
_CONTENT = ("payload", "event", "result")


def etag(job: Job) -> str:
    """Return a job's ETag: its revision."""
    return f'"r{job.revision}"'


def job_row(call: Call, job: Job, stats: JobStats | None) -> dict[str, Any]:
    """Return a job."""
    wire = job_to_wire(job, stats)
    wire["payload"] = redacted(wire["payload"]) if call.sees_payloads else None
    wire["schedule"] = redacted(wire["schedule"])
    return wire


def job_rows(call: Call, tx: Tx, jobs: Sequence[Job]) -> list[dict[str, Any]]:
    """Return jobs with their rollups."""
    stats = tx.jobs.stats([job.id for job in jobs])
    return [job_row(call, job, stats.get(job.id)) for job in jobs]


def changed_job(call: Call, changed: Changed, status: int = 200) -> Reply:
    """Return a job after a change."""
    body = job_row(call, changed.job, None) | {"warnings": list(changed.warnings)}
    return Reply(body, status, etag(changed.job))


def execution_row(call: Call, execution: Execution, *, content: bool = True) -> dict[str, Any]:
    """Return an execution; ``content`` False leaves out payload, event and result whoever asks."""
    wire = execution_to_wire(execution)
    for name in _CONTENT:
        wire[name] = redacted(wire[name]) if content and call.sees_payloads else None
    wire["error"] = redacted(wire["error"])
    wire["idempotency_key"] = wire["idempotency_key"] if call.sees_payloads else None
    return wire


def decision_row(decision: Decision) -> dict[str, Any]:
    """Return a row of the ledger."""
    wire = decision_to_wire(decision)
    return wire | {"reason": redacted(wire["reason"])}


def event_row(call: Call, event: Event, *, content: bool = True) -> dict[str, Any]:
    """Return an event; its data only to who may see payloads."""
    shown = content and call.sees_payloads
    return {
        "id": event.id,
        "type": str(event.type),
        "platform_id": event.platform_id,
        "at": instant(event.at),
        "source": event.source,
        "subject": event.subject,
        "data": redacted(event.data) if shown else None,
    }


def audit_row(entry: AuditEntry) -> dict[str, Any]:
    """Return a line of the audit trail."""
    return {
        "id": entry.id,
        "platform_id": entry.platform_id,
        "at": instant(entry.at),
        "actor": entry.actor,
        "via": entry.via,
        "action": entry.action,
        "target": entry.target,
        "address": entry.address,
        "request_id": entry.request_id,
        "before": entry.before,
        "after": entry.after,
    }


def occurrence_row(schedule: CompiledSchedule, occurrence: Occurrence) -> dict[str, Any]:
    """Return an instant of a schedule, in its zone and in UTC."""
    return {
        "at": schedule.local(occurrence.at).isoformat(),
        "utc": instant(occurrence.at),
        "notes": list(occurrence.notes),
        "excluded_by": occurrence.excluded_by,
    }


def refuse_hidden(value: Any, field: str = "payload") -> None:
    """Refuse what was shown with its secrets hidden and is sent back: it would overwrite them."""
    if isinstance(value, dict):
        for key, item in value.items():
            refuse_hidden(item, f"{field}.{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            refuse_hidden(item, f"{field}[{index}]")
    elif isinstance(value, str) and HIDDEN in value:
        raise ApiError(422, "validation", f"{HIDDEN} stands for a secret that is not shown: leave it out", field=field)


def as_utc(at: datetime | None) -> datetime | None:
    """Return an instant as the record keeps it."""
    return None if at is None else at.astimezone(UTC)
