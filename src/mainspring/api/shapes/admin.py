"""Keys, platforms, limits, calendars, the fleet and the audit trail."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from mainspring.api.shapes.base import Data, Day, Instant, Name, Request, Shape, Told
from mainspring.model.access import Role


class NewKey(Request):
    """A key to make. ``scopes`` narrow the role; without them it has all of the role's."""

    role: Annotated[Role, Field(strict=False)]
    name: Annotated[str, StringConstraints(max_length=200)] = ""
    scopes: Annotated[list[Annotated[str, StringConstraints(max_length=40)]], Field(max_length=40)] = Field(
        default_factory=list
    )
    expires_at: Annotated[Instant, Field(strict=False)] | None = None
    all_platforms: bool = False


class Key(Shape):
    """A key as shown: never its secret."""

    id: str
    platform_id: str
    name: str
    role: Role
    scopes: list[str]
    created_at: Told
    created_by: str
    expires_at: Told | None
    revoked_at: Told | None
    last_used_at: Told | None
    rotated_until: Told | None


class MadeKey(Key):
    """A key with its secret, which is told this once."""

    secret: str


class Rotate(Request):
    """How long the former secret still holds."""

    overlap_ms: Annotated[int, Field(ge=0, le=30 * 86_400_000)] = 86_400_000


class NewPlatform(Request):
    """A platform to make."""

    id: Name
    timezone: Annotated[str, StringConstraints(max_length=64)] | None = None
    description: Annotated[str, StringConstraints(max_length=1000)] | None = None


class PlatformChanges(Request):
    """A merge patch of a platform."""

    timezone: Annotated[str, StringConstraints(max_length=64)] | None = None
    description: Annotated[str, StringConstraints(max_length=1000)] | None = None


class Platform(Shape):
    """A tenant."""

    id: str
    timezone: str | None
    description: str
    created_at: Told | None


AtLeast = Annotated[
    list[str], Field(description="Names of counts that stopped at 10,000, such as executions.pending: there are more.")
]


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
    at_least: AtLeast


Bound = Annotated[int, Field(ge=0, le=1_000_000_000)]


class LimitBounds(Request):
    """The bounds of a limit; null or left out: none. All of them none removes the limit."""

    max_running: Bound | None = None
    rate: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    rate_per: Annotated[float, Field(gt=0, le=86_400, strict=False)] = 1.0
    max_pending: Bound | None = None
    max_jobs: Bound | None = None
    min_interval_ms: Bound | None = None


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


class Queue(Shape):
    """A queue: what waits, what runs, and its bounds."""

    name: str
    oldest_queued_at: Told | None
    occupied: int
    slots: int
    limit: int | None


class CalendarDates(Request):
    """The dates of a calendar: each with a name, or an iCalendar file, or the public holidays of a country."""

    dates: dict[Day, str] | None = None
    ics: Annotated[str, StringConstraints(max_length=900_000)] | None = None
    country: Annotated[str, StringConstraints(min_length=2, max_length=3)] | None = None
    subdivision: Annotated[str, StringConstraints(max_length=10)] | None = None
    years: Annotated[list[Annotated[int, Field(ge=1970, le=2200)]], Field(max_length=100)] | None = None


class Calendar(Shape):
    """A named set of dates."""

    name: str
    dates: list[str]


class Handler(Shape):
    """A handler some node has announced."""

    name: str
    type: str
    description: str
    announced_at: Told
    platform_id: str | None
    input_schema: Annotated[Data, Field(alias="schema")]
    defaults: Data


class Worker(Shape):
    """A worker process."""

    id: str
    status: str
    started_at: Told
    seen_at: Told
    alive: bool
    version: str
    queues: dict[str, int]
    handlers: list[str]
    running: int
    poisoned: int


class Dispatcher(Shape):
    """A dispatcher process."""

    id: str
    status: str
    started_at: Told
    seen_at: Told
    alive: bool
    version: str
    tzdb_version: str
    stats: Data


class AuditEntry(Shape):
    """One change."""

    id: str
    platform_id: str
    at: Told
    actor: str
    via: str
    action: str
    target: str
    address: str | None
    request_id: str | None
    before: Data | None
    after: Data | None


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
    limits: dict[str, Any]


class Overview(Shape):
    """How it goes, on one screen."""

    status: str
    sentence: str
    checks: Data
    metrics: Data
    last_hour: Data


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


class Probe(Shape):
    """Whether it lives, or is ready."""

    status: str


class Healthz(Shape):
    """How healthy the fleet is; ``checks`` by component and measurement."""

    status: str
    version: str
    checks: Data


class Health(Shape):
    """How healthy a platform is, and why."""

    status: str
    checks: Data


class Metrics(Shape):
    """What lives and waits on a platform."""

    executions: dict[str, int]
    jobs: int
    dead_letters: int
    at_least: AtLeast
    decision_lag_s: float
    queue_lag_s: float
    outbox_lag_s: float
    workers: int
    dispatchers: int


class Watermark(Shape):
    """Every instant due before ``decided_up_to`` has a decision. ``held``: the fleet decides nothing for now."""

    decided_up_to: Told
    now: Told
    lag_ms: int
    held: bool


class Bucket(Shape):
    """What ended and what was skipped within one span of time."""

    at: Told
    executions: int
    outcomes: dict[str, int]
    retries: int
    dead_letters: int
    skipped_instants: dict[str, int]
    success_rate: float | None
    duration_ms: dict[str, int] | None
    start_delay_ms: dict[str, int] | None


class Timeseries(Shape):
    """How a platform went, span by span; spans in which nothing happened are left out."""

    bucket_ms: int
    complete: bool
    buckets: list[Bucket]
