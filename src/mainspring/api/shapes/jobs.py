"""Jobs, their schedules, decisions and explanations."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from mainspring.api.shapes.base import Data, Day, HandlerName, Instant, Name, PerSecond, Reason, Request, Shape, Told
from mainspring.model.decision import Verdict
from mainspring.model.job import JobStatus, JobType
from mainspring.model.policy import Isolation, Misfire, Overlap, RetryJitter

_YEARS_MS = 10 * 366 * 86_400_000
_WEEK_MS = 7 * 86_400_000
Span = Annotated[int, Field(ge=0, le=_YEARS_MS)]
Labels = Annotated[
    dict[
        Annotated[str, StringConstraints(max_length=128)],
        Annotated[str, StringConstraints(max_length=256)],
    ],
    Field(max_length=32),
]


class Retry(Request):
    """How often and how far apart a failed attempt is repeated."""

    max_retries: Annotated[int, Field(ge=0, le=1000)] = 2
    retry_delay_ms: Span = 1000
    backoff_multiplier: Annotated[float, Field(ge=1, le=100, strict=False)] = 2.0
    max_retry_delay_ms: Span = 3_600_000
    jitter: Annotated[RetryJitter, Field(strict=False)] = RetryJitter.FULL


class JobFields(Request):
    """The fields of a job a person writes, but for those that make it what it is. Null: the default again."""

    handler_type: Literal["function", "agent", "workflow"] | None = None
    description: Annotated[str, StringConstraints(max_length=4096)] | None = None
    labels: Labels | None = None
    owner: Annotated[str, StringConstraints(max_length=256)] | None = None
    payload: Data | None = None
    schedule: Annotated[Data | None, Field(description="One of the shapes of a schedule; see the guide to jobs.")] = (
        None
    )
    timezone: Annotated[str, StringConstraints(max_length=64)] | None = None
    priority: Annotated[int, Field(ge=0, le=9)] | None = None
    queue: Name | None = None
    max_concurrency: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    concurrency_key: Annotated[str, StringConstraints(max_length=256)] | None = None
    concurrency_limit: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    overlap: Annotated[Overlap, Field(strict=False)] | None = None
    buffer_limit: Annotated[int, Field(ge=1, le=100_000)] | None = None
    misfire: Annotated[Misfire, Field(strict=False)] | None = None
    misfire_grace_ms: Span | None = None
    catch_up_window_ms: Span | None = None
    max_catch_up: Annotated[int, Field(ge=1, le=10_000)] | None = None
    timeout_ms: Annotated[int, Field(ge=1000, le=_WEEK_MS)] | None = None
    retry: Retry | None = None
    start_deadline_ms: Annotated[int, Field(ge=1, le=_YEARS_MS)] | None = None
    isolation: Annotated[Isolation, Field(strict=False)] | None = None
    on_success: list[Name] | None = None
    on_failure: list[Name] | None = None
    pause_after_failures: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    dead_letter: bool | None = None


class NewJob(JobFields):
    """A job to create."""

    name: Name
    type: Annotated[JobType, Field(strict=False)]
    handler: HandlerName


class JobChanges(JobFields):
    """A merge patch: what is not named stays, null returns a field to its default."""

    type: Annotated[JobType, Field(strict=False)] | None = None
    handler: HandlerName | None = None


class Job(Shape):
    """A job as stored. ``payload`` is null for who may not see payloads."""

    id: str
    platform_id: str
    name: str
    type: JobType
    handler: str
    handler_type: str
    description: str
    labels: dict[str, str]
    owner: str | None
    payload: Data | None = None
    schedule: Data | None
    timezone: str | None
    priority: int
    queue: str
    max_concurrency: int | None
    concurrency_key: str | None
    concurrency_limit: int | None
    overlap: Overlap
    buffer_limit: int
    misfire: Misfire
    misfire_grace_ms: int
    catch_up_window_ms: int | None
    max_catch_up: int
    timeout_ms: int
    retry: Retry
    start_deadline_ms: int | None
    isolation: Isolation | None
    on_success: list[str]
    on_failure: list[str]
    pause_after_failures: int | None
    dead_letter: bool
    status: JobStatus
    status_reason: str | None
    paused_until: Told | None
    revision: int
    created_at: Told
    updated_at: Told
    next_run_at: Told | None
    cursor_at: Told | None
    last_run_at: Told | None
    last_status: str | None
    total_count: int
    success_count: int
    failed_count: int
    skipped_count: int
    avg_duration_ms: int | None
    consecutive_failures: int


class ChangedJob(Job):
    """A job after a change, with what may surprise. ``changed`` is false where it was so already."""

    warnings: list[str]
    changed: bool


class Pause(Request):
    """Why a job is paused, and until when."""

    reason: Reason
    until: Annotated[Instant, Field(strict=False)] | None = None


class Resume(Request):
    """``catch_up``: decide what passed by the job's misfire policy, instead of skipping it."""

    catch_up: bool = False


class Trigger(Request):
    """Run now. A payload of one's own needs the right to write jobs."""

    payload: Data | None = None
    overlap: Annotated[Overlap, Field(strict=False)] | None = None
    idempotency_key: Annotated[str, StringConstraints(min_length=1, max_length=256)] | None = None


class Skip(Request):
    """Pass over the next instant; ``occurrence`` says which that is, so that nobody skips by accident."""

    occurrence: Annotated[Instant, Field(strict=False)] | Literal["next"] = "next"
    reason: Reason


class Revert(Request):
    """The revision whose definition is to hold again, as a new revision."""

    revision: Annotated[int, Field(ge=1, le=2**31 - 1)]


class Backfill(Request):
    """Run the instants of ``[from, to]`` that are past."""

    since: Annotated[Instant, Field(alias="from", strict=False)]
    until: Annotated[Instant, Field(alias="to", strict=False)]
    reprocess: Literal["missing", "missing_and_failed", "all"] = "missing"
    payload: Data | None = None
    per_second: PerSecond | None = None


class Occurrence(Shape):
    """One instant a schedule names."""

    at: Annotated[str, Field(description="In the schedule's zone, with its offset.")]
    utc: Told
    notes: list[str]
    excluded_by: str | None


class NextRuns(Shape):
    """Instants of a job, skipped ones among them."""

    job: str
    timezone: str
    sentence: str
    warnings: list[str]
    instants: list[Occurrence]


class PreviewRequest(Request):
    """A schedule to try. ``calendars`` it may name, besides those of the caller's platform: a name and its dates."""

    schedule: Data
    timezone: Annotated[str, StringConstraints(max_length=64)] = "UTC"
    after: Annotated[Instant, Field(strict=False)] | None = None
    count: Annotated[int, Field(ge=1, le=500)] = 10
    calendars: Annotated[dict[Name, Annotated[list[Day], Field(max_length=10_000)]], Field(max_length=20)] | None = None


class Preview(Shape):
    """When a schedule runs."""

    timezone: str
    sentence: str
    warnings: list[str]
    instants: list[Occurrence]


class Decision(Shape):
    """One row of the ledger, or a run of identical skips."""

    job_id: str
    scheduled_at: Told
    decision: Verdict
    decided_at: Told
    revision: int
    key: str
    late_ms: int
    reason: Data
    dispatcher_id: str | None
    execution_id: str | None
    into_at: Told | None
    until_at: Told | None
    count: int | None


class Revision(Shape):
    """A former or the present definition."""

    revision: int
    at: Told
    actor: str
    definition: Data


class Check(Shape):
    """One thing looked at."""

    check: str
    result: str
    detail: str
    evidence: Data


class Explanation(Shape):
    """Why it did (not) run."""

    subject: str
    at: str | None
    verdict: str
    summary: str
    checks: list[Check]
    advice: list[str]


class Stats(Shape):
    """How a job went. ``complete`` is false where a part of the range was not counted, or is kept no more."""

    job: str
    complete: bool
    executions: int
    outcomes: dict[str, int]
    retries: int
    dead_letters: int
    skipped_instants: dict[str, int]
    success_rate: float | None
    duration_ms: dict[str, int] | None
    start_delay_ms: dict[str, int] | None
    effective_cadence_ms: int | None


class Heatmap(Shape):
    """Executions by day and hour of a zone."""

    job: str
    timezone: str
    complete: bool
    cells: list[dict[str, Any]]
