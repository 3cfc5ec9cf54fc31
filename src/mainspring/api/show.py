"""Rows as the API shows them to whoever asks: payloads to who may see payloads."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from mainspring.api.call import Call, Reply
from mainspring.control import rows
from mainspring.control.operations import operation_to_wire
from mainspring.control.rows import decision_row, occurrence_row, refuse_hidden
from mainspring.errors import ValidationError
from mainspring.model.admin import AuditEntry, Operation
from mainspring.model.events import Event
from mainspring.model.execution import Execution
from mainspring.model.job import Job, JobStats
from mainspring.moves.jobs import Changed
from mainspring.ports.store import Tx

__all__ = [
    "as_utc", "audit_row", "changed_job", "decision_row", "etag", "event_row", "execution_row", "job_row", "job_rows",
    "occurrence_row", "operation_row", "refuse_hidden",
]  # fmt: skip


def etag(job: Job) -> str:
    """Return a job's ETag: its revision."""
    return f'"r{job.revision}"'


def job_row(call: Call, job: Job, stats: JobStats | None) -> dict[str, Any]:
    """Return a job."""
    return rows.job_row(job, stats, content=call.sees_payloads)


def job_rows(call: Call, tx: Tx, jobs: Sequence[Job]) -> list[dict[str, Any]]:
    """Return jobs with their rollups."""
    return rows.job_rows(tx, jobs, content=call.sees_payloads)


def changed_job(call: Call, changed: Changed, status: int = 200) -> Reply:
    """Return a job after a change."""
    return Reply(rows.changed_row(changed, content=call.sees_payloads), status, etag(changed.job))


def execution_row(call: Call, execution: Execution, *, content: bool = True) -> dict[str, Any]:
    """Return an execution; ``content`` False leaves out payload, event and result whoever asks."""
    return rows.execution_row(execution, content=content and call.sees_payloads)


def event_row(call: Call, event: Event, *, content: bool = True) -> dict[str, Any]:
    """Return an event; its data only to who may see payloads."""
    return rows.event_row(event, content=content and call.sees_payloads)


def operation_row(call: Call, operation: Operation) -> dict[str, Any]:
    """Return an operation."""
    return operation_to_wire(operation, content=call.sees_payloads)


def audit_row(call: Call, entry: AuditEntry) -> dict[str, Any]:
    """Return a line of the audit trail."""
    return rows.audit_row(entry, content=call.sees_payloads)


def as_utc(at: datetime | None) -> datetime | None:
    """Return an instant as the record keeps it."""
    return None if at is None else at.astimezone(UTC)


def aware(at: datetime | None, field: str) -> datetime | None:
    """Return a parameter's instant in UTC; raises `ValidationError` for one without an offset."""
    if at is not None and at.tzinfo is None:
        raise ValidationError("needs an offset, such as Z", field=field)
    return as_utc(at)
