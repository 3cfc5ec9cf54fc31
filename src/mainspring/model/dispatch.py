"""What is said aloud once a transaction has committed: an execution is queued, is retrying, is a dead letter.

These are hints and never the record: whoever hears one looks into the database before believing it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from mainspring.model.columns import Columns
from mainspring.model.execution import Execution


class Band(StrEnum):
    """Which of three lines a priority stands in, on a transport that cannot sort."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"


def band(priority: int) -> Band:
    """Return the band of a priority from 0 to 9: 7-9 are high, 4-6 normal, 0-3 low.

    >>> [str(band(priority)) for priority in (9, 7, 6, 4, 3, 0)]
    ['high', 'high', 'normal', 'normal', 'low', 'low']
    """
    if priority >= 7:
        return Band.HIGH
    return Band.NORMAL if priority >= 4 else Band.LOW


class Dispatch(NamedTuple):
    """An execution was queued. ``trace`` is a W3C ``traceparent`` header, None without a trace.

    One is made for each execution: a tuple takes half the time of a frozen dataclass.
    """

    execution_id: str
    platform_id: str
    queue: str = "default"
    priority: int = 5
    trace: str | None = None


@dataclass(frozen=True, slots=True)
class RetryPlanned:
    """An attempt failed and another one follows; ``available_at`` is when it may start."""

    execution_id: str
    platform_id: str
    available_at: datetime


@dataclass(frozen=True, slots=True)
class GivenUp:
    """An execution became a dead letter."""

    execution_id: str
    platform_id: str


Announcement = Dispatch | RetryPlanned | GivenUp


def dispatch_of(execution: Execution) -> Dispatch:
    """Return the announcement of a queued execution."""
    trace = traceparent(execution.trace_id, execution.span_id)
    return Dispatch(execution.id, execution.platform_id, execution.queue, execution.priority, trace)


def dispatches_of(executions: Columns[Execution]) -> Iterable[Dispatch]:
    """Return the announcements of queued executions, in their order."""
    names = ("id", "platform_id", "queue", "priority")
    ids, platforms, queues, priorities = (executions.fields[name] for name in names)
    traces = map(traceparent, executions.fields["trace_id"], executions.fields["span_id"])
    return map(Dispatch, ids, platforms, queues, priorities, traces)


def traceparent(trace_id: str | None, span_id: str | None) -> str | None:
    """Return the W3C header of a trace; None without the two ids it needs.

    >>> traceparent("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7")
    '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'
    """
    return f"00-{trace_id}-{span_id}-01" if trace_id and span_id else None
