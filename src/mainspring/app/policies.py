"""Policies the way Python callers write them, into the wire shape of SPEC §3."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any, TypedDict

from mainspring.engine.registry import as_retry
from mainspring.errors import ValidationError
from mainspring.model.durations import duration
from mainspring.model.policy import RetryPolicy
from mainspring.model.wire import DEFINITION_FIELDS, milliseconds, refuse_unknown, retry_to_wire

Span = timedelta | str | float
Moment = datetime | str


class Policies(TypedDict, total=False):
    """What a decorator takes besides its schedule: every policy of SPEC §3, and the schedule's own options."""

    description: str
    labels: Mapping[str, str]
    owner: str
    payload: Mapping[str, Any]
    tz: str
    priority: int
    queue: str
    max_concurrency: int
    concurrency_key: str
    concurrency_limit: int
    overlap: str
    buffer_limit: int
    misfire: str
    misfire_grace: Span
    catch_up_window: Span
    max_catch_up: int
    timeout: Span
    retry: RetryPolicy | Mapping[str, Any] | int
    start_deadline: Span
    isolation: str
    on_success: list[str]
    on_failure: list[str]
    pause_after_failures: int
    dead_letter: bool
    jitter: Span
    start_at: Moment
    end_at: Moment
    max_executions: int
    calendars: Mapping[str, Any]
    dst_gap: str
    dst_fold: str


class HandlerOptions(TypedDict, total=False):
    """What `handler` takes: the defaults for its jobs and enqueues."""

    description: str
    timeout: Span
    retry: RetryPolicy | Mapping[str, Any] | int
    queue: str
    priority: int
    isolation: str
    platform_id: str


_SPANS = ("misfire_grace", "catch_up_window", "timeout", "start_deadline")
_SCHEDULE = ("start_at", "end_at", "max_executions", "calendars", "dst_gap", "dst_fold")
#: Options that are the handler's as well, so that a direct enqueue of the function follows them too.
HANDLER_OPTIONS = ("description", "timeout", "retry", "queue", "priority", "isolation")


def job_fields(schedule: Mapping[str, Any] | None, policies: Mapping[str, Any]) -> dict[str, Any]:
    """Return the wire fields named by ``policies``, with the schedule's options inside ``schedule``.

    >>> job_fields({"cron": "@daily"}, {"tz": "UTC", "timeout": "5m", "jitter": 2, "retry": 1})["schedule"]
    {'cron': '@daily', 'jitter_ms': 2000}
    """
    known = [*(f.removesuffix("_ms") for f in DEFINITION_FIELDS), *_SCHEDULE, "tz", "jitter"]
    refuse_unknown(policies, known)
    shape = dict(schedule) if schedule is not None else None
    fields: dict[str, Any] = {}
    for key, value in policies.items():
        if value is None:
            continue
        if key in _SCHEDULE or key == "jitter":
            if shape is None:
                raise ValidationError("needs a schedule", field=key)
            shape["jitter_ms" if key == "jitter" else key] = (
                milliseconds(duration(value, key)) if key == "jitter" else plain_instant(value)
            )
        elif key == "tz":
            fields["timezone"] = value
        elif key in _SPANS:
            fields[f"{key}_ms"] = milliseconds(duration(value, key))
        elif key == "retry":
            fields[key] = retry_to_wire(as_retry(value)) if not isinstance(value, Mapping) else dict(value)
        else:
            fields[key] = value
    if shape is not None:
        fields["schedule"] = shape
    return fields


def plain_instant(value: Any) -> Any:
    """Return a date or datetime as ISO text, anything else as it is."""
    return value.isoformat() if isinstance(value, datetime | date) else value
