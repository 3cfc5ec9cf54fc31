"""The shapes of what is sent and answered.

Made from the OpenAPI document by `./dev openapi`: change the routes, not this file.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, NotRequired, TypedDict

from mainspring.client.shape import Shape
from mainspring.model.access import Role
from mainspring.model.admin import OperationStatus
from mainspring.model.decision import Verdict
from mainspring.model.execution import Cause, Failure, Status
from mainspring.model.job import JobStatus, JobType
from mainspring.model.policy import Isolation, Misfire, Overlap, RetryJitter

Data = dict[str, Any]


class Again(TypedDict):
    """A payload of one's own needs the right to write jobs."""

    payload: NotRequired[Data | None]


class Backfill(TypedDict):
    """Run the instants of ``[from, to]`` that are past."""

    since: datetime | str
    until: datetime | str
    reprocess: NotRequired[Literal["missing", "missing_and_failed", "all"]]
    payload: NotRequired[Data | None]
    per_second: NotRequired[int | None]


class Because(TypedDict):
    """Why."""

    reason: str


class BulkRequest(TypedDict):
    """What to do to many rows: those of a filter, or those named; refused where not as many match as expected."""

    action: str
    filter: NotRequired[str | None]
    ids: NotRequired[list[str] | None]
    params: NotRequired[Data]
    per_second: NotRequired[int | None]
    stop_after_errors: NotRequired[int | None]
    expected_count: NotRequired[int | None]
    tolerance: NotRequired[float]


class CalendarDates(TypedDict):
    """The dates of a calendar: each with a name, or an iCalendar file, or the public holidays of a country."""

    dates: NotRequired[Data | None]
    ics: NotRequired[str | None]
    country: NotRequired[str | None]
    subdivision: NotRequired[str | None]
    years: NotRequired[list[int] | None]


class Cancel(TypedDict):
    """``force`` ends a running one now: whatever its handler still does is dropped."""

    reason: NotRequired[str]
    force: NotRequired[bool]


class Disable(TypedDict):
    """Why nothing is to be delivered."""

    reason: str


class Enable(TypedDict):
    """Where to deliver from now on, if the URL has moved."""

    url: NotRequired[str | None]


class JobChanges(TypedDict):
    """A merge patch: what is not named stays, null returns a field to its default."""

    handler_type: NotRequired[Literal["function", "agent", "workflow"] | None]
    description: NotRequired[str | None]
    labels: NotRequired[dict[str, str] | None]
    owner: NotRequired[str | None]
    payload: NotRequired[Data | None]
    schedule: NotRequired[Data | None]
    timezone: NotRequired[str | None]
    priority: NotRequired[int | None]
    queue: NotRequired[str | None]
    max_concurrency: NotRequired[int | None]
    concurrency_key: NotRequired[str | None]
    concurrency_limit: NotRequired[int | None]
    overlap: NotRequired[Overlap | str | None]
    buffer_limit: NotRequired[int | None]
    misfire: NotRequired[Misfire | str | None]
    misfire_grace_ms: NotRequired[int | None]
    catch_up_window_ms: NotRequired[int | None]
    max_catch_up: NotRequired[int | None]
    timeout_ms: NotRequired[int | None]
    retry: NotRequired[Retry | None]
    start_deadline_ms: NotRequired[int | None]
    isolation: NotRequired[Isolation | str | None]
    on_success: NotRequired[list[str] | None]
    on_failure: NotRequired[list[str] | None]
    pause_after_failures: NotRequired[int | None]
    dead_letter: NotRequired[bool | None]
    type: NotRequired[JobType | str | None]
    handler: NotRequired[str | None]


class LimitBounds(TypedDict):
    """The bounds of a limit; null or left out: none. All of them none removes the limit."""

    max_running: NotRequired[int | None]
    rate: NotRequired[int | None]
    rate_per: NotRequired[float]
    max_pending: NotRequired[int | None]
    max_jobs: NotRequired[int | None]
    min_interval_ms: NotRequired[int | None]


class MatchTest(TypedDict):
    """An event, and what to try it on: an event job by name or id, or the schedule of one."""

    event: NewEvent
    job: NotRequired[str | None]
    schedule: NotRequired[Data | None]


class NewEvent(TypedDict):
    """An event in the manner of CloudEvents; ``source`` and ``id`` together are accepted once, for ever."""

    type: str
    id: NotRequired[str | None]
    source: NotRequired[str]
    subject: NotRequired[str | None]
    data: NotRequired[Data]
    specversion: NotRequired[Literal["1.0"] | None]
    time: NotRequired[datetime | str | None]
    datacontenttype: NotRequired[Literal["application/json"] | None]


class NewExecution(TypedDict):
    """A direct enqueue of a handler, without a job."""

    handler: str
    payload: NotRequired[Data]
    run_at: NotRequired[datetime | str | None]
    priority: NotRequired[int]
    queue: NotRequired[str]
    concurrency_key: NotRequired[str | None]
    concurrency_limit: NotRequired[int | None]
    timeout_ms: NotRequired[int]
    retry: NotRequired[Retry | None]
    isolation: NotRequired[Isolation | str | None]
    start_deadline_ms: NotRequired[int | None]
    idempotency_key: NotRequired[str | None]


class NewExecutions(TypedDict):
    """Up to 1,000 enqueues; all of them or none."""

    executions: list[NewExecution]


class NewJob(TypedDict):
    """A job to create."""

    handler_type: NotRequired[Literal["function", "agent", "workflow"] | None]
    description: NotRequired[str | None]
    labels: NotRequired[dict[str, str] | None]
    owner: NotRequired[str | None]
    payload: NotRequired[Data | None]
    schedule: NotRequired[Data | None]
    timezone: NotRequired[str | None]
    priority: NotRequired[int | None]
    queue: NotRequired[str | None]
    max_concurrency: NotRequired[int | None]
    concurrency_key: NotRequired[str | None]
    concurrency_limit: NotRequired[int | None]
    overlap: NotRequired[Overlap | str | None]
    buffer_limit: NotRequired[int | None]
    misfire: NotRequired[Misfire | str | None]
    misfire_grace_ms: NotRequired[int | None]
    catch_up_window_ms: NotRequired[int | None]
    max_catch_up: NotRequired[int | None]
    timeout_ms: NotRequired[int | None]
    retry: NotRequired[Retry | None]
    start_deadline_ms: NotRequired[int | None]
    isolation: NotRequired[Isolation | str | None]
    on_success: NotRequired[list[str] | None]
    on_failure: NotRequired[list[str] | None]
    pause_after_failures: NotRequired[int | None]
    dead_letter: NotRequired[bool | None]
    name: str
    type: JobType | str
    handler: str


class NewKey(TypedDict):
    """A key to make. ``scopes`` narrow the role; without them it has all of the role's."""

    role: Role | str
    name: NotRequired[str]
    scopes: NotRequired[list[str]]
    expires_at: NotRequired[datetime | str | None]
    all_platforms: NotRequired[bool]


class NewPlatform(TypedDict):
    """A platform to make."""

    id: str
    timezone: NotRequired[str | None]
    description: NotRequired[str | None]


class NewWebhook(TypedDict):
    """A URL to subscribe. Without a ``secret`` one is made."""

    url: str
    events: NotRequired[list[str]]
    description: NotRequired[str]
    secret: NotRequired[str | None]


class Pause(TypedDict):
    """Why a job is paused, and until when."""

    reason: str
    until: NotRequired[datetime | str | None]


class PlatformChanges(TypedDict):
    """A merge patch of a platform."""

    timezone: NotRequired[str | None]
    description: NotRequired[str | None]


class PreviewRequest(TypedDict):
    """A schedule to try. ``calendars`` it may name, besides those of the caller's platform: a name and its dates."""

    schedule: Data
    timezone: NotRequired[str]
    after: NotRequired[datetime | str | None]
    count: NotRequired[int]
    calendars: NotRequired[Data | None]


class Resume(TypedDict):
    """``catch_up``: decide what passed by the job's misfire policy, instead of skipping it."""

    catch_up: NotRequired[bool]


class Retry(TypedDict):
    """How often and how far apart a failed attempt is repeated."""

    max_retries: NotRequired[int]
    retry_delay_ms: NotRequired[int]
    backoff_multiplier: NotRequired[float]
    max_retry_delay_ms: NotRequired[int]
    jitter: NotRequired[RetryJitter | str]


class Revert(TypedDict):
    """The revision whose definition is to hold again, as a new revision."""

    revision: int


class Rotate(TypedDict):
    """How long the former secret still holds."""

    overlap_ms: NotRequired[int]


class RotateSecret(TypedDict):
    """How long the former secret signs beside the new one, and the new one itself where it is not to be made."""

    overlap_ms: NotRequired[int]
    secret: NotRequired[str | None]


class Skip(TypedDict):
    """Pass over the next instant; ``occurrence`` says which that is, so that nobody skips by accident."""

    occurrence: NotRequired[datetime | str | Literal["next"]]
    reason: str


class Trigger(TypedDict):
    """Run now. A payload of one's own needs the right to write jobs."""

    payload: NotRequired[Data | None]
    overlap: NotRequired[Overlap | str | None]
    idempotency_key: NotRequired[str | None]


class WebhookChanges(TypedDict):
    """A merge patch of a webhook; what is owed already goes to the new URL as well."""

    url: NotRequired[str | None]
    events: NotRequired[list[str] | None]
    description: NotRequired[str | None]


class Attempt(Shape):
    """One ended try."""

    execution_id: str
    attempt: int
    fence: int
    outcome: str
    ended_at: datetime
    started_at: datetime | None
    worker_id: str | None
    error: Data | None


class AuditEntry(Shape):
    """One change."""

    id: str
    platform_id: str
    at: datetime
    actor: str
    via: str
    action: str
    target: str
    address: str | None
    request_id: str | None
    before: Data | None
    after: Data | None


class BackfillInstant(Shape):
    """What becomes of one instant of a backfill."""

    at: datetime
    runs: bool
    reason: str
    execution_id: str | None


class Bucket(Shape):
    """What ended and what was skipped within one span of time."""

    at: datetime
    executions: int
    outcomes: dict[str, int]
    retries: int
    dead_letters: int
    skipped_instants: dict[str, int]
    success_rate: float | None
    duration_ms: dict[str, int] | None
    start_delay_ms: dict[str, int] | None


class Calendar(Shape):
    """A named set of dates."""

    name: str
    dates: list[str]


class CallbackTarget(Shape):
    """Where and how whoever was handed the work reports its end."""

    url: str
    secret: str
    execution_id: str
    fence: int
    expires_at: datetime | None


class Check(Shape):
    """One thing looked at."""

    check: str
    result: str
    detail: str
    evidence: Data


class DeadLetter(Shape):
    """An execution given up on."""

    execution_id: str
    platform_id: str
    handler: str
    failure: Failure
    created_at: datetime
    fingerprint: str
    job_id: str | None
    job_name: str | None
    error: Data | None
    status: str
    resolved_at: datetime | None
    reason: str | None
    redriven_as: str | None


class Decision(Shape):
    """One row of the ledger, or a run of identical skips."""

    job_id: str
    scheduled_at: datetime
    decision: Verdict
    decided_at: datetime
    revision: int
    key: str
    late_ms: int
    reason: Data
    dispatcher_id: str | None
    execution_id: str | None
    into_at: datetime | None
    until_at: datetime | None
    count: int | None


class Delivery(Shape):
    """One event owed to one webhook: how often it was tried, when next, and how the last try went."""

    id: str
    webhook_id: str
    event_id: str
    event_type: str
    subject: str | None
    state: Literal["held", "ready", "delivered", "failed"]
    attempts: int
    available_at: datetime
    failing_since: datetime | None
    ended_at: datetime | None
    detail: str | None
    created_at: datetime


class Dispatcher(Shape):
    """A dispatcher process."""

    id: str
    status: str
    started_at: datetime
    seen_at: datetime
    alive: bool
    version: str
    tzdb_version: str
    stats: Data


class Event(Shape):
    """An accepted event."""

    id: str
    type: str
    platform_id: str
    at: datetime
    source: str
    subject: str | None
    data: Data | None


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
    payload: Data | None
    event: Data | None
    result: Any
    error: Data | None
    failure: Failure | None
    retry_of: str | None
    queue: str
    priority: int
    attempt: int
    fence: int
    blocked_by: str | None
    worker_id: str | None
    created_at: datetime
    available_at: datetime
    scheduled_at: datetime | None
    queued_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    deadline_at: datetime | None
    lease_until: datetime | None
    timeout_ms: int
    duration_ms: int | None
    progress: Data | None
    usage: Data | None


class Explanation(Shape):
    """Why it did (not) run."""

    subject: str
    at: str | None
    verdict: str
    summary: str
    checks: list[Check]
    advice: list[str]


class Finding(Shape):
    """One thing that was checked."""

    check: str
    status: Literal["ok", "note", "warning", "error"]
    detail: str
    evidence: Data
    fix: list[str]


class Findings(Shape):
    """What was found; ``status`` is the worst of it."""

    status: Literal["ok", "note", "warning", "error"]
    findings: list[Finding]


class Handler(Shape):
    """A handler some node has announced."""

    name: str
    type: str
    description: str
    announced_at: datetime
    platform_id: str | None
    schema: Data
    defaults: Data


class Health(Shape):
    """How healthy a platform is, and why."""

    status: str
    checks: Data


class Heatmap(Shape):
    """Executions by day and hour of a zone."""

    job: str
    timezone: str
    complete: bool
    cells: list[Data]


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
    payload: Data | None
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
    paused_until: datetime | None
    revision: int
    created_at: datetime
    updated_at: datetime
    next_run_at: datetime | None
    cursor_at: datetime | None
    last_run_at: datetime | None
    last_status: str | None
    total_count: int
    success_count: int
    failed_count: int
    skipped_count: int
    avg_duration_ms: int | None
    consecutive_failures: int


class Key(Shape):
    """A key as shown: never its secret."""

    id: str
    platform_id: str
    name: str
    role: Role
    scopes: list[str]
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    rotated_until: datetime | None


class LetterGroup(Shape):
    """Open dead letters that failed alike."""

    fingerprint: str
    handler: str
    count: int
    oldest_at: datetime
    newest_at: datetime
    newest_execution_id: str
    error: Data | None
    jobs: list[str]


class LetterGroups(Shape):
    """The largest group first. ``complete`` is false where there are more letters than were looked at."""

    data: list[LetterGroup]
    complete: bool


class Limit(Shape):
    """A bound on a queue, a concurrency key, or the whole platform."""

    platform_id: str
    scope: Literal["queue", "key", "platform"]
    name: str
    max_running: int | None
    rate: int | None
    rate_per: float
    max_pending: int | None
    max_jobs: int | None
    min_interval_ms: int | None


class Log(Shape):
    """Lines in order. ``last`` is what ``after`` takes for what follows; ``ended``: nothing will."""

    lines: list[LogLine]
    last: int
    ended: bool


class LogLine(Shape):
    """One line."""

    line: int
    at: datetime
    level: str
    message: str
    fields: Data
    attempt: int | None
    external: bool


class MatchResult(Shape):
    """Whether the job would start; if not, why not and the path of the first condition that fails."""

    job: str | None
    matches: bool
    why: str
    path: str | None


class Me(Shape):
    """Who asks, and what they may."""

    id: str
    name: str
    platform_id: str
    scopes: list[str]


class Meta(Shape):
    """What this server is."""

    version: str
    api: str
    tzdb_version: str
    limits: Data


class Metrics(Shape):
    """What lives and waits on a platform."""

    executions: dict[str, int]
    jobs: int
    dead_letters: int
    at_least: list[str]
    decision_lag_s: float
    queue_lag_s: float
    outbox_lag_s: float
    workers: int
    dispatchers: int


class NextRuns(Shape):
    """Instants of a job, skipped ones among them."""

    job: str
    timezone: str
    sentence: str
    warnings: list[str]
    instants: list[Occurrence]


class Occurrence(Shape):
    """One instant a schedule names."""

    at: str
    utc: datetime
    notes: list[str]
    excluded_by: str | None


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
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None


class Overview(Shape):
    """How it goes, on one screen."""

    status: str
    sentence: str
    checks: Data
    metrics: Data
    last_hour: Data


class Platform(Shape):
    """A tenant."""

    id: str
    timezone: str | None
    description: str
    created_at: datetime | None


class PostAnswer(Shape):
    """How a test post went, right now."""

    reception: Literal["delivered", "retry", "gone", "forbidden"]
    detail: str


class Preview(Shape):
    """When a schedule runs."""

    timezone: str
    sentence: str
    warnings: list[str]
    instants: list[Occurrence]


class PublishedEvent(Shape):
    """``duplicate``: this source and id was accepted before, and nothing was done."""

    id: str
    type: str
    source: str
    duplicate: bool
    jobs: list[str]
    executions: list[str]


class Queue(Shape):
    """A queue: what waits, what runs, and its bounds."""

    name: str
    oldest_queued_at: datetime | None
    occupied: int
    slots: int
    limit: int | None


class Revision(Shape):
    """A former or the present definition."""

    revision: int
    at: datetime
    actor: str
    definition: Data


class SigningSecret(Shape):
    """One secret that signs: until when (null: until it is replaced), and never itself."""

    until: datetime | None


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


class Timeseries(Shape):
    """How a platform went, span by span; spans in which nothing happened are left out."""

    bucket_ms: int
    complete: bool
    buckets: list[Bucket]


class Total(Shape):
    """How many there are; ``gte``: at least so many, counting stopped there."""

    value: int
    relation: str


class Usage(Shape):
    """What a platform holds now, beside what it may."""

    platform_id: str
    jobs: int
    jobs_allowed: int | None
    pending: int
    pending_allowed: int | None
    running: int
    running_allowed: int | None
    executions: dict[str, int]
    dead_letters: int
    at_least: list[str]


class Watermark(Shape):
    """Every instant due before ``decided_up_to`` has a decision. ``held``: the fleet decides nothing for now."""

    decided_up_to: datetime
    now: datetime
    lag_ms: int
    held: bool


class Webhook(Shape):
    """A subscription, as it stands; never its secrets."""

    id: str
    platform_id: str
    url: str
    events: list[str]
    description: str
    enabled: bool
    disabled_reason: str | None
    failures: int
    failing_since: datetime | None
    retry_at: datetime | None
    secrets: list[SigningSecret]
    created_at: datetime
    updated_at: datetime


class Window(Shape):
    """What a list without a filter on time was narrowed to."""

    since: datetime


class Worker(Shape):
    """A worker process."""

    id: str
    status: str
    started_at: datetime
    seen_at: datetime
    alive: bool
    version: str
    queues: dict[str, int]
    handlers: list[str]
    running: int
    poisoned: int


class BackfillOperation(Operation):
    """A backfill and what its first step did."""

    instants: list[BackfillInstant]


class ChangedJob(Job):
    """A job after a change, with what may surprise. ``changed`` is false where it was so already."""

    warnings: list[str]
    changed: bool


class DeliveryWithBody(Delivery):
    """A delivery with what is posted; null for who may not see payloads."""

    body: str | None


class ExecutionWithAttempts(Execution):
    """An execution with its ended attempts and the decision that made it."""

    attempts: list[Data]
    decision: Data | None


class MadeKey(Key):
    """A key with its secret, which is told this once."""

    secret: str


class MadeWebhook(Webhook):
    """A webhook with the secret it was just given, which is told this once."""

    secret: str
