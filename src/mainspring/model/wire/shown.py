"""Jobs, executions, decisions and their kin as API, CLI, exports and dashboard show them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from mainspring.model.decision import Decision
from mainspring.model.execution import Attempt, Cause, DeadLetter, Execution, Failure, LogLine, Status, Transition
from mainspring.model.job import Job, JobStats
from mainspring.model.wire.definitions import _PLAIN, definition_to_wire, plain, retry_from_wire
from mainspring.model.wire.values import instant, milliseconds


def job_to_wire(job: Job, stats: JobStats | None = None) -> dict[str, Any]:
    """Return a job as the API, ``-o json`` and the dashboard show it."""
    stats = stats or JobStats(job.id)
    average = stats.avg_duration
    return {
        "id": job.id,
        "platform_id": job.platform_id,
        **definition_to_wire(job.definition),
        "overlap": job.definition.overlap_policy.value,
        "status": job.status.value,
        "status_reason": job.status_reason,
        "paused_until": instant(job.paused_until),
        "revision": job.revision,
        "created_at": instant(job.created_at),
        "updated_at": instant(job.updated_at),
        "next_run_at": instant(job.next_run_at),
        "cursor_at": instant(job.cursor_at),
        "last_run_at": instant(stats.last_run_at),
        "last_status": stats.last_status.value if stats.last_status else None,
        "total_count": stats.total,
        "success_count": stats.success,
        "failed_count": stats.failed,
        "skipped_count": stats.skipped,
        "avg_duration_ms": milliseconds(average) if average is not None else None,
        "consecutive_failures": stats.consecutive_failures,
    }


def execution_to_wire(execution: Execution) -> dict[str, Any]:
    """Return an execution as the API, ``-o json`` and the dashboard show it."""
    started, finished = execution.started_at, execution.finished_at
    wire: dict[str, Any] = {}
    for field in Execution.__dataclass_fields__:
        value = getattr(execution, field)
        if value is None or type(value) in _PLAIN:
            wire[field] = value
        elif type(value) is datetime:
            wire[field] = instant(value)
        elif field == "timeout":
            wire["timeout_ms"] = milliseconds(value)
        else:
            wire[field] = plain(value)
    wire["duration_ms"] = milliseconds(finished - started) if started and finished and finished >= started else None
    return wire


def execution_from_wire(wire: Mapping[str, Any]) -> Execution:
    """Read an execution back from the shape `execution_to_wire` gives.

    >>> from datetime import UTC
    >>> at = datetime(2026, 3, 1, tzinfo=UTC)
    >>> one = Execution("i", "default", "h", Status.QUEUED, Cause.ENQUEUE, at, at)
    >>> execution_from_wire(execution_to_wire(one)) == one
    True
    """
    values: dict[str, Any] = {}
    for field in Execution.__dataclass_fields__:
        if field == "timeout":
            values[field] = timedelta(milliseconds=wire["timeout_ms"])
        elif field == "retry":
            values[field] = retry_from_wire(wire[field])
        elif field.endswith(("_at", "_until")):
            values[field] = None if wire[field] is None else datetime.fromisoformat(wire[field])
        else:
            values[field] = wire[field]
    values["status"], values["cause"] = Status(values["status"]), Cause(values["cause"])
    values["failure"] = None if values["failure"] is None else Failure(values["failure"])
    return Execution(**values)


def decision_to_wire(decision: Decision) -> dict[str, Any]:
    """Return a ledger row as plain data."""
    wire: dict[str, Any] = {}
    for field in Decision.__dataclass_fields__:
        value = getattr(decision, field)
        if field == "late":
            wire["late_ms"] = milliseconds(value)
        else:
            wire[field] = instant(value) if isinstance(value, datetime) else plain(value)
    return wire


def record_to_wire(record: Attempt | Transition | LogLine | DeadLetter) -> dict[str, Any]:
    """Return an attempt, a move, a log line or a dead letter as plain data."""
    wire: dict[str, Any] = {}
    for field in record.__dataclass_fields__:
        value = getattr(record, field)
        wire[field] = instant(value) if isinstance(value, datetime) else plain(value)
    return wire
