"""Rows as people are shown them: explicit fields, payloads only for who may see them, secrets hidden.

One way of showing for the API and for the command line, whether that asks a server or has the database.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mainspring.control.listing import Page
from mainspring.errors import ValidationError
from mainspring.model.admin import AuditEntry
from mainspring.model.decision import Decision
from mainspring.model.events import Event
from mainspring.model.execution import Execution, LogLine
from mainspring.model.job import Job, JobStats
from mainspring.model.redact import HIDDEN, redacted
from mainspring.model.wire import decision_to_wire, execution_to_wire, instant, job_to_wire, record_to_wire
from mainspring.moves.backfill import Instant
from mainspring.moves.events import Published
from mainspring.moves.jobs import Changed
from mainspring.ports.store import Tx
from mainspring.schedule import CompiledSchedule
from mainspring.schedule.occurrence import Occurrence

#: What of an execution is shown only to who may see payloads.
_CONTENT = ("payload", "event", "result")


def page_body(page: Page, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a page."""
    body: dict[str, Any] = {
        "data": rows,
        "next_page_token": page.next_page_token,
        "prev_page_token": page.prev_page_token,
    }
    if page.total is not None:
        body["total"] = {"value": page.total[0], "relation": page.total[1]}
    if page.since is not None:
        body["window"] = {"since": instant(page.since)}
    return body


def chosen_fields(row: dict[str, Any], fields: str) -> dict[str, Any]:
    """Return the fields asked for, separated by commas, and the id; all of them where none are.

    >>> chosen_fields({"id": "x", "name": "a", "queue": "q"}, "name")
    {'id': 'x', 'name': 'a'}
    """
    wanted = {name.strip() for name in fields.split(",") if name.strip()}
    if not wanted:
        return row
    unknown = sorted(wanted - row.keys())
    if unknown:
        raise UnknownFieldError(unknown[0])
    return {name: value for name, value in row.items() if name in wanted or name == "id"}


class UnknownFieldError(ValidationError):
    """``fields`` names something a row does not have."""

    code = "unknown_field"

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no field {name[:60]!r}", field="fields")


def job_row(job: Job, stats: JobStats | None, *, content: bool) -> dict[str, Any]:
    """Return a job."""
    wire = job_to_wire(job, stats)
    wire["payload"] = redacted(wire["payload"]) if content else None
    wire["schedule"] = redacted(wire["schedule"])
    return wire


def job_rows(tx: Tx, jobs: Sequence[Job], *, content: bool) -> list[dict[str, Any]]:
    """Return jobs with their rollups."""
    stats = tx.jobs.stats([job.id for job in jobs])
    return [job_row(job, stats.get(job.id), content=content) for job in jobs]


def changed_row(changed: Changed, *, content: bool) -> dict[str, Any]:
    """Return a job after a change: with warnings, and whether it changed anything."""
    row = job_row(changed.job, None, content=content)
    return row | {"warnings": list(changed.warnings), "changed": changed.changed}


def execution_row(execution: Execution, *, content: bool) -> dict[str, Any]:
    """Return an execution."""
    wire = execution_to_wire(execution)
    for name in _CONTENT:
        wire[name] = redacted(wire[name]) if content else None
    wire["error"] = redacted(wire["error"])
    wire["idempotency_key"] = wire["idempotency_key"] if content else None
    return wire


def decision_row(decision: Decision) -> dict[str, Any]:
    """Return a row of the ledger."""
    wire = decision_to_wire(decision)
    return wire | {"reason": redacted(wire["reason"])}


def record_row(record: Any) -> dict[str, Any]:
    """Return an attempt or a dead letter."""
    found: dict[str, Any] = redacted(record_to_wire(record))
    return found


def log_row(line: LogLine) -> dict[str, Any]:
    """Return a log line."""
    return {
        "line": line.line,
        "at": instant(line.at),
        "level": line.level,
        "message": redacted(line.message),
        "fields": redacted(line.fields),
        "attempt": line.attempt,
        "external": line.external,
    }


def event_row(event: Event, *, content: bool) -> dict[str, Any]:
    """Return an event."""
    return {
        "id": event.id,
        "type": str(event.type),
        "platform_id": event.platform_id,
        "at": instant(event.at),
        "source": event.source,
        "subject": event.subject,
        "data": redacted(event.data) if content else None,
    }


def published_row(done: Published) -> dict[str, Any]:
    """Return what came of publishing an event."""
    return {
        "id": done.event.id,
        "type": str(done.event.type),
        "source": done.event.source,
        "duplicate": done.duplicate,
        "jobs": list(done.jobs),
        "executions": [execution.id for execution in done.executions],
    }


def audit_row(entry: AuditEntry, *, content: bool = True) -> dict[str, Any]:
    """Return a line of the audit trail; ``content``: with the payloads it tells of."""
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
        "before": entry.before if content else _without_payload(entry.before),
        "after": entry.after if content else _without_payload(entry.after),
    }


def _without_payload(told: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    return told if told is None or "payload" not in told else {**told, "payload": None}


def occurrence_row(schedule: CompiledSchedule, occurrence: Occurrence) -> dict[str, Any]:
    """Return an instant of a schedule, in its zone and in UTC."""
    return {
        "at": schedule.local(occurrence.at).isoformat(),
        "utc": instant(occurrence.at),
        "notes": list(occurrence.notes),
        "excluded_by": occurrence.excluded_by,
    }


def backfill_rows(instants: Sequence[Instant]) -> list[dict[str, Any]]:
    """Return what became of the instants of a backfill."""
    return [
        {"at": instant(one.at), "runs": one.runs, "reason": one.reason, "execution_id": one.execution_id}
        for one in instants
    ]


def refuse_hidden(value: Any, field: str = "payload") -> None:
    """Refuse what was shown with its secrets hidden and is sent back: it would overwrite them."""
    if isinstance(value, dict):
        for key, item in value.items():
            refuse_hidden(item, f"{field}.{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            refuse_hidden(item, f"{field}[{index}]")
    elif isinstance(value, str) and HIDDEN in value:
        raise ValidationError(f"{HIDDEN} stands for a secret that is not shown: leave it out", field=field)
