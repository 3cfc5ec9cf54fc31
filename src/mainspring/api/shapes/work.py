"""Executions, dead letters, events and bulk operations."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from mainspring.api.shapes.base import Data, HandlerName, Instant, Name, PerSecond, Reason, Request, Shape, Told, Total
from mainspring.api.shapes.jobs import Retry, Span
from mainspring.model.admin import OperationStatus
from mainspring.model.execution import Cause, Failure, Status
from mainspring.model.policy import Isolation


class Execution(Shape):
    """An execution as stored. Payload, event and result are shown to who may see payloads."""

    id: str
    platform_id: str
    handler: str
    handler_type: str
    status: Status
    cause: Cause
    job_id: str | None
    job_name: str | None
    job_revision: int | None
    payload: Data | None = None
    event: Data | None = None
    result: Any = None
    error: Data | None
    failure: Failure | None
    retry_of: str | None
    queue: str
    priority: int
    attempt: int
    fence: int
    blocked_by: str | None
    worker_id: str | None
    created_at: Told
    available_at: Told
    scheduled_at: Told | None
    queued_at: Told | None
    started_at: Told | None
    finished_at: Told | None
    deadline_at: Told | None
    lease_until: Told | None
    timeout_ms: int
    duration_ms: int | None
    progress: Data | None
    usage: Data | None


class ExecutionWithAttempts(Execution):
    """An execution with its ended attempts and the decision that made it."""

    attempts: list[Data]
    decision: Data | None


class NewExecution(Request):
    """A direct enqueue of a handler, without a job."""

    handler: HandlerName
    payload: Data = Field(default_factory=dict)
    run_at: Annotated[Instant, Field(strict=False)] | None = None
    priority: Annotated[int, Field(ge=0, le=9)] = 5
    queue: Name = "default"
    concurrency_key: Annotated[str, StringConstraints(max_length=256)] | None = None
    concurrency_limit: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    timeout_ms: Annotated[int, Field(ge=1000, le=7 * 86_400_000)] = 300_000
    retry: Retry | None = None
    isolation: Annotated[Isolation, Field(strict=False)] | None = None
    start_deadline_ms: Span | None = None
    idempotency_key: Annotated[str, StringConstraints(min_length=1, max_length=256)] | None = None


class NewExecutions(Request):
    """Up to 1,000 enqueues; all of them or none."""

    executions: Annotated[list[NewExecution], Field(min_length=1, max_length=1000)]


class Cancel(Request):
    """``force`` ends a running one now: whatever its handler still does is dropped."""

    reason: Reason = "cancelled"
    force: bool = False


class Again(Request):
    """A payload of one's own needs the right to write jobs."""

    payload: Data | None = None


class LogLine(Shape):
    """One line."""

    line: int
    at: Told
    level: str
    message: str
    fields: Data
    attempt: int | None
    external: bool


class Log(Shape):
    """Lines in order. ``last`` is what ``after`` takes for what follows; ``ended``: nothing will."""

    lines: list[LogLine]
    last: int
    ended: bool


class Attempt(Shape):
    """One ended try."""

    execution_id: str
    attempt: int
    fence: int
    outcome: str
    ended_at: Told
    started_at: Told | None
    worker_id: str | None
    error: Data | None


class CallbackTarget(Shape):
    """Where and how whoever was handed the work reports its end."""

    url: str
    secret: str
    execution_id: str
    fence: int
    expires_at: Told | None


class CallbackBody(Request):
    """How the work ended."""

    status: Literal["success", "failed"]
    result: Any = None
    error: Data | None = None
    retryable: bool = True


class DeadLetter(Shape):
    """An execution given up on."""

    execution_id: str
    platform_id: str
    handler: str
    failure: Failure
    created_at: Told
    fingerprint: str
    job_id: str | None
    job_name: str | None
    error: Data | None
    status: str
    resolved_at: Told | None
    reason: str | None
    redriven_as: str | None


class LetterGroup(Shape):
    """Open dead letters that failed alike."""

    fingerprint: str
    handler: str
    count: int
    oldest_at: Told
    newest_at: Told
    newest_execution_id: str
    error: Data | None
    jobs: list[str]


class LetterGroups(Shape):
    """The largest group first. ``complete`` is false where there are more letters than were looked at."""

    data: list[LetterGroup]
    complete: bool


class Because(Request):
    """Why."""

    reason: Reason


class BulkRequest(Request):
    """What to do to many rows: those of a filter, or those named; refused where not as many match as expected."""

    action: Annotated[str, StringConstraints(min_length=1, max_length=32)]
    filter: Annotated[str, StringConstraints(max_length=4000)] | None = None
    ids: Annotated[list[Annotated[str, StringConstraints(max_length=36)]], Field(max_length=1000)] | None = None
    params: Data = Field(default_factory=dict)
    per_second: PerSecond | None = None
    stop_after_errors: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    expected_count: Annotated[int, Field(ge=0, le=10_000_000)] | None = None
    tolerance: Annotated[float, Field(ge=0, le=1, strict=False)] = 0.0


class Operation(Shape):
    """A bulk operation and how far it is."""

    id: str
    platform_id: str
    kind: str
    status: OperationStatus
    actor: str
    total: Total
    done: int
    failed: int
    params: Data
    errors: list[Data]
    reason: str | None
    created_at: Told
    updated_at: Told
    finished_at: Told | None


class BackfillInstant(Shape):
    """What becomes of one instant of a backfill."""

    at: Told
    runs: bool
    reason: str
    execution_id: str | None


class BackfillOperation(Operation):
    """A backfill and what its first step did."""

    instants: list[BackfillInstant]


class NewEvent(Request):
    """An event in the manner of CloudEvents; ``source`` and ``id`` together are accepted once, for ever."""

    type: Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[!-~]+$")]
    id: Annotated[str, StringConstraints(min_length=1, max_length=256)] | None = None
    source: Annotated[str, StringConstraints(min_length=1, max_length=256)] = "api"
    subject: Annotated[str, StringConstraints(max_length=256)] | None = None
    data: Data = Field(default_factory=dict)
    specversion: Literal["1.0"] | None = None
    time: Annotated[Instant, Field(strict=False)] | None = None
    datacontenttype: Literal["application/json"] | None = None


class PublishedEvent(Shape):
    """``duplicate``: this source and id was accepted before, and nothing was done."""

    id: str
    type: str
    source: str
    duplicate: bool
    jobs: list[str]
    executions: list[str]


class Event(Shape):
    """An accepted event."""

    id: str
    type: str
    platform_id: str
    at: Told
    source: str
    subject: str | None
    data: Data | None = None


class MatchTest(Request):
    """An event, and what to try it on: an event job by name or id, or the schedule of one."""

    event: NewEvent
    job: Annotated[str, StringConstraints(min_length=1, max_length=128)] | None = None
    schedule: Data | None = None


class MatchResult(Shape):
    """Whether the job would start; if not, why not and the path of the first condition that fails."""

    job: str | None
    matches: bool
    why: str
    path: str | None
