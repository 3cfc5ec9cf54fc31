"""The events of Mainspring's own logs: stable words for programs, beside sentences for people.

A record names its event by ``extra=about("lease.lost", execution=...)``. What the fields are called is decided here, by
code alone: no text of a tenant ever becomes the name of one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mainspring.model.execution import Execution

#: Event -> when it is logged.
LOG_EVENTS: Mapping[str, str] = {
    "node.started": "a process runs its roles",
    "node.stopped": "a process has stopped",
    "node.took_over": "the former engine of a SQLite file is gone, and this one goes on",
    "metrics.served": "a worker or dispatcher serves its metrics",
    "fleet.held": "nothing new begins until a person releases the fleet",
    "fleet.released": "the fleet goes on",
    "execution.started": "an attempt starts",
    "execution.ended": "an attempt has ended, with its outcome, before that is recorded",
    "attempt.failed": "an attempt failed, timed out or was lost",
    "attempt.unsettled": "outcomes could not be recorded yet and are tried again",
    "slot.poisoned": "a handler would not stop; its slot is held by it",
    "lease.lost": "a result was dropped because the lease was another's by then",
    "executions.reaped": "executions were taken back: lease lost, deadline over, never started",
    "executions.announced_again": "executions long queued were announced again",
    "handler.foreign": "a claimed execution has a handler of another platform",
    "job.set_aside": "a job could not be decided and is paused",
    "job.left_out": "a declared job has no instant in the future",
    "job.warning": "a declared job is stored with a warning",
    "zones.changed": "zone data changed and a job's next instant moves",
    "partition.made": "a partition for the time to come was made",
    "partition.dropped": "a partition past its retention was dropped",
    "partition.crowded": "a partition past its retention cannot go yet",
    "clock.stepped": "the store's clock stepped",
    "store.unavailable": "the database cannot be reached; steps are tried again",
    "bus.unavailable": "the bus cannot be reached; steps are tried again",
    "step.failed": "a step of a loop failed",
    "chain.broken": "a chained job was not started",
    "event.refused": "an event that came in is refused",
    "event.published": "a dispatcher has published an event: its type says what happened",
    "webhook.disabled": "a webhook was disabled because its receiver keeps failing",
    "webhook.failed": "posting to a webhook failed",
    "heartbeat.failed": "leases could not be renewed and it is tried again",
    "loop.blocked": "a handler has blocked the event loop",
    "request.answered": "a request was answered: one that changes something at info, one that reads at debug",
    "request.failed": "a defect of ours answered a request with 500",
}


def about(event: str, **fields: Any) -> dict[str, Any]:
    """Return the ``extra`` of a log record: its event and its fields.

    >>> about("lease.lost", execution="e-1")
    {'mainspring': {'event': 'lease.lost', 'execution': 'e-1'}}
    """
    return {"mainspring": {"event": event, **fields}}


def log_fields(execution: Execution) -> dict[str, Any]:
    """Return what a record about an execution carries to be found again."""
    found: dict[str, Any] = {
        "execution": execution.id,
        "platform": execution.platform_id,
        "handler": execution.handler,
        "queue": execution.queue,
        "attempt": execution.attempt,
        "cause": execution.cause.value,
    }
    if execution.job_name is not None:
        found["job"] = execution.job_name
    if execution.scheduled_at is not None:
        found["scheduled_at"] = execution.scheduled_at.isoformat()
    if execution.trace_id is not None:
        found["trace_id"], found["span_id"] = execution.trace_id, execution.span_id
    return found
