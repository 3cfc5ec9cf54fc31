"""The facts an outbox row carries, and their names on the bus (CloudEvents types, SPEC §8)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from mainspring.model.value import Value


class EventType(StrEnum):
    """Every event Mainspring publishes itself."""

    JOB_CREATED = "scheduler:job.created"
    JOB_UPDATED = "scheduler:job.updated"
    JOB_PAUSED = "scheduler:job.paused"
    JOB_RESUMED = "scheduler:job.resumed"
    JOB_COMPLETED = "scheduler:job.completed"
    JOB_ARCHIVED = "scheduler:job.archived"
    JOB_DISPATCH = "scheduler:job.dispatch"
    OCCURRENCE_SKIPPED = "scheduler:occurrence.skipped"
    EXECUTION_STARTED = "scheduler:execution.started"
    EXECUTION_SUCCESS = "scheduler:execution.success"
    EXECUTION_FAILED = "scheduler:execution.failed"
    EXECUTION_RETRY = "scheduler:execution.retry"
    EXECUTION_CANCELLED = "scheduler:execution.cancelled"
    EXECUTION_EXPIRED = "scheduler:execution.expired"
    EXECUTION_DEAD = "scheduler:execution.dead"
    WORKER_LOST = "scheduler:worker.lost"
    BUDGET_EXCEEDED = "scheduler:budget.exceeded"


@dataclass(frozen=True)
class Event(Value):
    """One event: ours on its way out, or somebody's on its way in. ``subject`` is what it is about.

    ``extensions`` are the further attributes of a CloudEvent (numbers, text, true and false), such as ``chaindepth``:
    how many executions, one after the other, led to it.
    """

    id: str
    type: str
    platform_id: str
    at: datetime
    source: str = "mainspring"
    subject: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    extensions: Mapping[str, Any] = field(default_factory=dict)

    @property
    def chain_depth(self) -> int:
        """The depth an execution started by this event has."""
        depth = self.extensions.get("chaindepth", 0)
        return depth if isinstance(depth, int) and depth >= 0 else 0


@dataclass(frozen=True, slots=True)
class PendingEvent:
    """The newest event of a burst that a debounced job waits out: which one, and when the inbox accepted it."""

    job_id: str
    platform_id: str
    source: str
    event_id: str
    at: datetime
