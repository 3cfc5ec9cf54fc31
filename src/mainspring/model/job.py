"""A job: the definition people write, and the state the engine keeps beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from mainspring.model.execution import Execution, Status
from mainspring.model.policy import Misfire, Overlap, RetryPolicy
from mainspring.model.value import Value


class JobType(StrEnum):
    """What makes a job due."""

    CRON = "cron"
    RECURRING = "recurring"
    ONE_TIME = "one_time"
    EVENT = "event"
    MANUAL = "manual"

    @property
    def timed(self) -> bool:
        """Whether its due instants come from a schedule."""
        return self in (JobType.CRON, JobType.RECURRING, JobType.ONE_TIME)


class JobStatus(StrEnum):
    """Whether a job's due instants are decided, and if not, why."""

    ACTIVE = "active"
    PAUSED = "paused"
    COMPLETED = "completed"
    ARCHIVED = "archived"


@dataclass(frozen=True)
class JobDefinition(Value):
    """What a person writes: what, when and how (SPEC §3). Each change of it is a new revision.

    ``overlap`` and ``max_concurrency`` are None until a type's default is read by the properties below.
    """

    name: str
    type: JobType
    handler: str
    handler_type: str = "function"
    description: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    owner: str | None = None
    payload: Mapping[str, Any] = field(default_factory=dict)
    schedule: Mapping[str, Any] | None = None
    timezone: str | None = None
    priority: int = 5
    queue: str = "default"
    max_concurrency: int | None = None
    concurrency_key: str | None = None
    concurrency_limit: int | None = None
    overlap: Overlap | None = None
    buffer_limit: int = 100
    misfire: Misfire = Misfire.FIRE_ONCE
    misfire_grace: timedelta = timedelta(seconds=60)
    catch_up_window: timedelta | None = None
    max_catch_up: int = 100
    timeout: timedelta = timedelta(minutes=5)
    retry: RetryPolicy = RetryPolicy()
    start_deadline: timedelta | None = None
    isolation: str | None = None
    on_success: tuple[str, ...] = ()
    on_failure: tuple[str, ...] = ()
    pause_after_failures: int | None = None
    dead_letter: bool = True

    @property
    def overlap_policy(self) -> Overlap:
        """The overlap policy in force: ``skip`` for cron and recurring, ``buffer_all`` for the rest, unless set."""
        if self.overlap is not None:
            return self.overlap
        return Overlap.SKIP if self.type in (JobType.CRON, JobType.RECURRING) else Overlap.BUFFER_ALL

    @property
    def slots(self) -> int | None:
        """Most executions active at once: ``max_concurrency``; else 1, or None (no bound) under ``allow_all``."""
        if self.max_concurrency is not None:
            return self.max_concurrency
        return None if self.overlap_policy is Overlap.ALLOW_ALL else 1

    @property
    def calendars(self) -> frozenset[str]:
        """The names of the calendars that the schedule includes or excludes."""
        spec = (self.schedule or {}).get("calendars") or {}
        return frozenset(name for key in ("include", "exclude") for name in spec.get(key) or ())


@dataclass(frozen=True)
class Job(Value):
    """A stored job.

    ``cursor_at`` is the last due instant decided (or the instant from which it is decided), ``next_run_at`` the next
    one with its jitter, None when there is none. ``cursor_wall`` is the local wall time of the last one decided and
    ``tzdb_version`` the zone data both were computed with. ``scheduled_count`` counts executions its schedule made.
    """

    id: str
    platform_id: str
    definition: JobDefinition
    status: JobStatus
    revision: int
    created_at: datetime
    updated_at: datetime
    cursor_at: datetime
    next_run_at: datetime | None = None
    cursor_wall: datetime | None = None
    tzdb_version: str | None = None
    scheduled_count: int = 0
    status_reason: str | None = None
    paused_at: datetime | None = None
    paused_until: datetime | None = None

    @property
    def name(self) -> str:
        """The definition's name."""
        return self.definition.name

    def advanced(self, cursor: JobCursor) -> Job:
        """Return the job as it is once a step of planning has moved its cursor."""
        return self.changed(
            cursor_at=cursor.cursor_at,
            next_run_at=cursor.next_run_at,
            cursor_wall=cursor.cursor_wall,
            tzdb_version=cursor.tzdb_version,
            scheduled_count=self.scheduled_count + cursor.made,
            status=cursor.status,
            status_reason=cursor.status_reason,
        )


@dataclass(frozen=True)
class JobStats(Value):
    """Rollups of one job, at most 5 s behind its executions."""

    job_id: str
    total: int = 0
    success: int = 0
    failed: int = 0
    skipped: int = 0
    duration: timedelta = timedelta(0)
    consecutive_failures: int = 0
    last_run_at: datetime | None = None
    last_status: Status | None = None

    @property
    def avg_duration(self) -> timedelta | None:
        """Mean duration of the executions that succeeded or failed; None before the first."""
        ended = self.success + self.failed
        return self.duration / ended if ended else None


@dataclass(frozen=True, slots=True)
class JobCursor:
    """How far a job's schedule is decided after a planning step, and what the step made of the job."""

    job_id: str
    cursor_at: datetime
    next_run_at: datetime | None
    cursor_wall: datetime | None
    tzdb_version: str | None
    made: int = 0
    status: JobStatus = JobStatus.ACTIVE
    status_reason: str | None = None


@dataclass(frozen=True, slots=True)
class ActiveExecution:
    """What deciding needs to know of one execution of the job that has not ended."""

    id: str
    job_id: str
    status: Status
    buffered: bool
    created_at: datetime
    scheduled_at: datetime | None = None
    cancel_requested: bool = False
    blocked_by: str | None = None

    @property
    def held_by_job(self) -> bool:
        """Whether it waits for a slot of its own job, and so takes none."""
        return self.buffered or self.blocked_by == "job"


def as_active(execution: Execution) -> ActiveExecution:
    """Cut an execution down to what deciding needs; it must belong to a job."""
    assert execution.job_id is not None
    return ActiveExecution(
        execution.id,
        execution.job_id,
        execution.status,
        execution.buffered,
        execution.created_at,
        execution.scheduled_at,
        execution.cancel_requested_at is not None,
        execution.blocked_by,
    )
