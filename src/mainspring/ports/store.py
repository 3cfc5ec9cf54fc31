"""The record: what the engine asks of a database.

A store runs *work*: a plain function of a `Tx`, executed as one atomic transaction. Each operation of the engine is
such a function, written once in ``moves`` and ``control``; adapters implement the small, batch-wide table methods
below and nothing of the state machine. ``work`` may run more than once (a deadlock, a lost connection), so it must
have no effect but on the ``Tx``; it runs outside the event loop and must not await.

Every method that takes a sequence is one statement whatever its length, and does nothing for an empty one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Protocol, TypeVar

from mainspring.model.chain import Chained
from mainspring.model.decision import Decision
from mainspring.model.dispatch import Announcement, Dispatch
from mainspring.model.events import Event, PendingEvent
from mainspring.model.execution import Attempt, DeadLetter, Execution, Failure, LogLine, Move, Status, Transition
from mainspring.model.job import ActiveExecution, Job, JobCursor, JobStats, JobStatus, JobType
from mainspring.model.node import DispatcherNode, HandlerRow, Limit, WorkerNode
from mainspring.model.webhook import DeliveryState, Webhook, WebhookDelivery
from mainspring.ports.admin import AdminTable
from mainspring.ports.search import SearchTable

T = TypeVar("T")


class JobTable(Protocol):
    """Jobs, their revisions and their rollups."""

    def add(self, new: Sequence[Job], *, actor: str) -> None:
        """Insert new jobs and their first revisions. Raises `ConflictError` if a name is taken."""

    def taken(self, platform_id: str, names: Sequence[str]) -> set[str]:
        """Return those of the names that jobs not archived have."""

    def save(self, job: Job, *, expected_revision: int, actor: str) -> bool:
        """Write ``job`` whole if the row still has ``expected_revision``; a higher revision is kept in the history."""

    def get(self, platform_id: str, name_or_id: str, *, lock: bool = False) -> Job | None:
        """Return the job with that id, else the one not archived with that name, else the newest archived one."""

    def by_id(self, job_ids: Sequence[str]) -> dict[str, Job]:
        """Return the jobs with these ids, of any platform; unknown ids are left out."""

    def find(
        self,
        platform_id: str,
        *,
        status: JobStatus | None = None,
        type: JobType | None = None,
        handler: str | None = None,
        name_contains: str | None = None,
        after: str | None = None,
        limit: int = 50,
    ) -> list[Job]:
        """Return jobs in order of name, strictly after the name ``after``; archived ones only if asked for."""

    def due(self, limit: int) -> list[Job]:
        """Lock and return active jobs whose ``next_run_at`` has come, oldest first; others' locks are skipped."""

    def next_due_at(self) -> datetime | None:
        """Return the earliest ``next_run_at`` of the active jobs."""

    def advance(self, cursors: Sequence[JobCursor]) -> None:
        """Write what planning made of jobs this transaction has locked; a cursor never moves back."""

    def event_jobs(self, platform_id: str) -> list[Job]:
        """Return the jobs of type event that are active or paused, by name."""

    def lock(self, job_ids: Sequence[str]) -> list[Job]:
        """Lock and return jobs in order of id, as they are once no other transaction holds them."""

    def paused_until_passed(self, limit: int) -> list[Job]:
        """Lock and return paused jobs whose ``paused_until`` has come."""

    def outdated(self, tzdb_version: str, limit: int, *, after: str | None = None) -> list[Job]:
        """Lock and return active timed jobs whose next instant was computed with other zone data, by id after one."""

    def count(self, platform_id: str) -> int:
        """Return how many jobs are not archived."""

    def revisions(self, job_id: str) -> list[tuple[int, datetime, str, Mapping[str, Any]]]:
        """Return (revision, when, actor, definition in its wire shape), newest first."""

    def stats(self, job_ids: Sequence[str], *, lock: bool = False) -> dict[str, JobStats]:
        """Return rollups by job id; jobs that never ran are left out.

        With ``lock`` nobody else reads these to write them until this transaction ends, and none is left out.
        """

    def put_stats(self, stats: Sequence[JobStats]) -> None:
        """Write rollups whole."""


class DecisionTable(Protocol):
    """The ledger."""

    def add(self, decisions: Sequence[Decision]) -> None:
        """Insert decisions. A second one for the same (job, scheduled_at, key) is an error: `ConflictError`."""

    def get(self, job_id: str, scheduled_at: datetime, key: str = "") -> Decision | None:
        """Return the decision of that very instant, or the range that covers it."""

    def find(
        self, job_id: str, *, since: datetime | None = None, until: datetime | None = None, limit: int = 50
    ) -> list[Decision]:
        """Return decisions, newest first; ``since`` inclusive, ``until`` exclusive."""

    def of_execution(self, execution_id: str) -> Decision | None:
        """Return the decision that made an execution."""

    def page(
        self,
        platform_id: str,
        *,
        job_id: str | None = None,
        after: tuple[str, datetime, str] | None = None,
        limit: int,
    ) -> list[Decision]:
        """Return decisions in the order of their key (job, ``scheduled_at``, key).

        ``after`` is the key the page before ended with.
        """

    def ran_since(self, job_id: str, since: datetime, limit: int) -> tuple[int, datetime | None]:
        """Count decisions that ran whose ``scheduled_at`` is after ``since``; with the oldest of those counted.

        Counted from the newest on, and at most ``limit``.
        """

    def delete_decided(self, before: datetime, limit: int) -> int:
        """Delete decisions made before an instant on instants before it; return how many.

        Nothing is decided again for it: a job's cursor, which never moves back, has passed these instants.
        """


@dataclass(frozen=True, slots=True)
class ExecutionQuery:
    """Which executions to list; every field given must match. ``before_id`` is where the page before ended."""

    platform_id: str | None = None
    job_id: str | None = None
    statuses: tuple[Status, ...] = ()
    handler: str | None = None
    queue: str | None = None
    since: datetime | None = None
    retry_of: str | None = None
    before_id: str | None = None
    limit: int = 50


class ExecutionTable(Protocol):
    """Executions and the ended attempts that are kept."""

    def add(self, executions: Sequence[Execution]) -> None:
        """Insert new executions."""

    def get(self, execution_id: str, *, lock: bool = False) -> Execution | None:
        """Return one execution."""

    def find(self, query: ExecutionQuery) -> list[Execution]:
        """Return executions, newest id first."""

    def active_of(self, job_ids: Sequence[str]) -> list[ActiveExecution]:
        """Return what has not ended of these jobs, oldest first."""

    def move(self, moves: Sequence[Move]) -> set[str]:
        """Make the moves whose condition still holds; return the ids of those executions."""

    def promotable(self, limit: int) -> list[Execution]:
        """Lock and return pending and retrying executions whose ``available_at`` has come and that nothing blocks.

        Ordered by priority (9 first), then by ``available_at``, then by id.
        """

    def next_available_at(self) -> datetime | None:
        """Return the earliest ``available_at`` of pending and retrying executions that nothing blocks."""

    def blockers(self, limit: int) -> list[tuple[str, str, str | None]]:
        """Return the distinct (platform_id, blocked_by, job_id if it is the job that blocks) of blocked executions."""

    def blocked(self, platform_id: str, blocked_by: str, *, job_id: str | None, limit: int) -> list[Execution]:
        """Lock and return executions held by one blocker: priority first, then older ``scheduled_at``, then id."""

    def set_blocked(self, blocked: Mapping[str, str | None]) -> None:
        """Write ``blocked_by`` of pending and retrying executions, by id; ``overlap`` alone makes them ``buffered``."""

    def occupying(self, platform_id: str, scope: str, names: Sequence[str]) -> dict[str, int]:
        """Count executions queued or running, by name of ``scope``: ``queue``, ``key`` or ``platform`` (name "")."""

    def holders(self, platform_id: str, scope: str, name: str, limit: int) -> list[str]:
        """Return ids of executions queued or running under one limit, oldest first."""

    def pending_count(self, platform_id: str) -> int:
        """Count executions pending."""

    def claimable(self, queues: Mapping[str, int], handlers: Sequence[str], limit: int) -> list[Execution]:
        """Lock and return queued executions a worker could run: at most the given number per queue, and ``limit``.

        ``handlers`` are the names the worker has. Left out: cancel requested, start deadline over. Ordered by
        priority (9 first), then by ``scheduled_at`` (or creation), then by id.
        """

    def claimable_of(self, ids: Sequence[str], queues: Sequence[str], handlers: Sequence[str]) -> list[Execution]:
        """Do the same among the executions with these ids, in whatever number; unknown ids are left out."""

    def queues_waiting(self, limit: int) -> list[str]:
        """Return the queues in which anything is queued, by name."""

    def unclaimed(self, queue: str, queued_before: datetime, limit: int) -> list[Dispatch]:
        """Return what was queued in a queue at or before an instant; first what is claimed first."""

    def queued_handlers(self, limit: int) -> list[tuple[str, str, datetime]]:
        """Return (queue, handler, oldest ``queued_at``) of what is queued."""

    def renew(self, worker_id: str, lease_until: datetime) -> list[tuple[str, int, bool]]:
        """Extend every lease of a worker; return (id, fence, cancel requested) of what it still holds."""

    def lease_over(self, limit: int, *, older_than: datetime | None = None) -> list[Execution]:
        """Lock and return running executions whose lease is over, or, if given, that started before ``older_than``."""

    def shorten_leases(self, latest: datetime) -> int:
        """Let leases that end after ``latest`` end then; return how many."""

    def overdue(self, grace: timedelta, limit: int) -> list[Execution]:
        """Lock and return running and waiting ones past ``deadline_at`` + grace, or cancel requested before grace."""

    def start_expired(self, limit: int) -> list[Execution]:
        """Lock and return pending, queued and retrying executions whose start deadline is over."""

    def request_cancel(self, execution_id: str, reason: str) -> bool:
        """Mark a running or waiting execution for cancelling; False when it is neither, or already marked."""

    def put_progress(self, progress: Sequence[tuple[str, int, Mapping[str, Any]]]) -> None:
        """Write (id, fence, progress) where the fence is current and the execution runs."""

    def add_attempts(self, attempts: Sequence[Attempt]) -> None:
        """Insert ended attempts; one that exists already is left alone."""

    def attempts(self, execution_id: str) -> list[Attempt]:
        """Return the kept attempts of an execution, by fence."""

    def attempts_of(self, execution_ids: Sequence[str]) -> list[Attempt]:
        """Return the kept attempts of several executions, by execution id, then by fence."""

    def transitions(self, execution_id: str | None = None) -> list[Transition]:
        """Return recorded moves in order; empty unless ``record_transitions`` is on."""

    def transitions_of(self, execution_ids: Sequence[str]) -> list[Transition]:
        """Return the recorded moves of several executions, by execution id, then in order."""

    def delete_ended(self, before: datetime, limit: int) -> int:
        """Delete executions that ended before an instant, with their attempts and logs; return how many.

        Kept are those with an event still to deliver, and those that are open dead letters: a person may redrive them.
        """

    def counts(self, platform_id: str) -> dict[str, int]:
        """Count live executions by status."""


class LogTable(Protocol):
    """Logs of executions."""

    def append(self, execution_id: str, lines: Sequence[LogLine], *, fence: int | None, cap: int) -> int | None:
        """Number and store lines, up to ``cap`` per execution in all; return the last number.

        Where ``fence`` is given and no longer current, nothing is stored and None returned. ``line`` of the given
        lines is ignored: numbers follow the last stored one.
        """

    def read(self, execution_id: str, *, after: int = 0, limit: int = 1000) -> list[LogLine]:
        """Return lines with a number above ``after``, in order."""


@dataclass(frozen=True, slots=True)
class LetterQuery:
    """Which dead letters; every field given must match. ``since`` inclusive and ``until`` exclusive: when they died."""

    job_id: str | None = None
    handler: str | None = None
    failure: Failure | None = None
    fingerprint: str | None = None
    since: datetime | None = None
    until: datetime | None = None


class DeadLetterTable(Protocol):
    """Executions given up on."""

    def add(self, letters: Sequence[DeadLetter]) -> None:
        """Insert dead letters."""

    def get(self, execution_id: str, *, lock: bool = False) -> DeadLetter | None:
        """Return one."""

    def find(
        self,
        platform_id: str,
        *,
        status: str | None = "open",
        job_id: str | None = None,
        handler: str | None = None,
        fingerprint: str | None = None,
        before_id: str | None = None,
        limit: int = 50,
    ) -> list[DeadLetter]:
        """Return dead letters, newest execution id first."""

    def open(
        self, platform_id: str, query: LetterQuery, *, after_id: str | None = None, limit: int, lock: bool = False
    ) -> list[DeadLetter]:
        """Return open dead letters, oldest execution id first, after one; with ``lock`` others' locks are skipped."""

    def resolve(
        self, execution_id: str, *, status: str, reason: str | None = None, redriven_as: str | None = None
    ) -> bool:
        """Close an open one; False when it is not open."""

    def count(self, platform_id: str) -> int:
        """Count the open ones."""


class OutboxTable(Protocol):
    """Events on their way out."""

    def add(self, events: Sequence[Event]) -> None:
        """Insert events, in order."""

    def unpublished(self, limit: int) -> list[Event]:
        """Return the oldest unpublished events, oldest first, without a gap: an earlier one is never left out.

        Events of one execution are therefore first published in the order in which they happened, whoever publishes.
        """

    def mark_published(self, event_ids: Sequence[str]) -> set[str]:
        """Mark events published; return those this call marked and that were not marked applied before."""

    def unapplied(self, limit: int) -> list[Event]:
        """Return the oldest unpublished events that are not marked applied, oldest first."""

    def mark_applied(self, event_ids: Sequence[str]) -> set[str]:
        """Mark unpublished events applied: what follows from them is done; return those this call marked."""

    def oldest_unpublished_at(self) -> datetime | None:
        """Return when the oldest unpublished event was made."""

    def delete_published(self, before: datetime, limit: int) -> int:
        """Delete events published before an instant; return how many."""


class ChainTable(Protocol):
    """What ended executions have started."""

    def add(self, links: Sequence[Chained]) -> None:
        """Insert links. A second one of the same execution and job is an error: `ConflictError`."""

    def of(self, execution_id: str) -> list[Chained]:
        """Return what the end of an execution started, by name of job."""

    def delete(self, before: datetime, limit: int) -> int:
        """Delete links older than an instant; return how many."""


class WebhookTable(Protocol):
    """Webhooks and what they are owed."""

    def add(self, webhook: Webhook) -> None:
        """Insert a webhook."""

    def save(self, webhook: Webhook) -> None:
        """Write a webhook whole; one that was deleted meanwhile stays so."""

    def get(self, platform_id: str, webhook_id: str, *, lock: bool = False) -> Webhook | None:
        """Return one."""

    def find(self, platform_id: str) -> list[Webhook]:
        """Return a platform's webhooks, oldest first."""

    def delete(self, webhook_id: str) -> None:
        """Delete a webhook with all it is owed."""

    def lock_enabled(self, platform_ids: Sequence[str]) -> list[Webhook]:
        """Lock and return the enabled webhooks of these platforms, by id."""

    def due(self, limit: int) -> list[Webhook]:
        """Return enabled webhooks that have a delivery to be tried now, those that waited longest first."""

    def next_due_at(self) -> datetime | None:
        """Return when the next delivery of an enabled webhook may be tried."""

    def owe(self, deliveries: Sequence[WebhookDelivery]) -> None:
        """Insert deliveries, in order."""

    def open_subjects(self, webhook_id: str, subjects: Sequence[str]) -> set[str]:
        """Return those of ``subjects`` about which a delivery to the webhook is still held or ready."""

    def take(self, webhook_id: str, limit: int, until: datetime) -> list[WebhookDelivery]:
        """Count a try of the oldest ready deliveries whose time has come, and return them so.

        They become available again at ``until``, should nobody report. Others' locks are skipped.
        """

    def end_try(self, delivery: WebhookDelivery) -> bool:
        """Write state, times and detail of a delivery if it is ready and its ``attempts`` is still the present one."""

    def release_next(self, webhook_id: str, subject: str) -> None:
        """Make ready the oldest delivery held back by an earlier one about the same subject."""

    def hasten(self, webhook_id: str, later_than: datetime, failing_since: datetime) -> None:
        """Make available now what is ready, not so before ``later_than``, and first failed at ``failing_since`` on."""

    def deliveries(
        self, webhook_id: str, *, state: DeliveryState | None = None, before_id: str | None = None, limit: int = 50
    ) -> list[WebhookDelivery]:
        """Return deliveries, newest id first."""

    def owed(self, webhook_id: str, limit: int) -> int:
        """Count deliveries held or ready, up to ``limit``."""

    def delete_ended(self, before: datetime, limit: int) -> int:
        """Delete deliveries that ended before an instant; return how many."""


class InboxTable(Protocol):
    """Events that came in: each (platform, source, id) is accepted once, for ever."""

    def accept(self, event: Event) -> bool:
        """Store an event; False when this platform has one of this source and id already."""

    def get(self, platform_id: str, source: str, event_id: str) -> Event | None:
        """Return an accepted event."""

    def pending(self, job_ids: Sequence[str]) -> dict[str, PendingEvent]:
        """Return the events jobs wait out, by job id; jobs that wait for none are left out."""

    def put_pending(self, pending: Sequence[PendingEvent]) -> None:
        """Insert or replace the event each of these jobs waits out."""

    def settle_pending(self, job_ids: Sequence[str]) -> None:
        """Forget what these jobs wait out: it has been decided."""


class NodeTable(Protocol):
    """Workers, dispatchers and announced handlers."""

    def put_worker(self, worker: WorkerNode) -> None:
        """Insert or replace a worker's row."""

    def workers(self, *, seen_since: datetime | None = None) -> list[WorkerNode]:
        """Return workers, newest first; only those alive if ``seen_since`` is given."""

    def put_dispatcher(self, dispatcher: DispatcherNode) -> None:
        """Insert or replace a dispatcher's row."""

    def dispatchers(self, *, seen_since: datetime | None = None) -> list[DispatcherNode]:
        """Return dispatchers, newest first."""

    def forget(self, before: datetime) -> None:
        """Delete nodes not seen since ``before``."""

    def announce(self, handlers: Sequence[HandlerRow]) -> None:
        """Insert or replace announced handlers."""

    def handlers(self, platform_id: str | None = None) -> list[HandlerRow]:
        """Return announced handlers a platform may use (None: all), by name."""


class PlatformTable(Protocol):
    """Platforms, their limits, calendars, idempotency keys, and the database's own notes."""

    def timezone(self, platform_id: str) -> str | None:
        """Return a platform's zone, None when it has none."""

    def put_timezone(self, platform_id: str, timezone: str | None) -> None:
        """Set a platform's zone."""

    def limits(self, platform_id: str | None = None) -> list[Limit]:
        """Return limits, of one platform or all."""

    def put_limit(self, limit: Limit) -> None:
        """Insert or replace a limit; all bounds None removes it."""

    def lock_limits(self, limits: Sequence[Limit]) -> None:
        """Hold these limits' rows until the transaction ends, so that counting and admitting are one."""

    def admitted_since(self, platform_id: str, queue: str, since: datetime) -> int:
        """Return how many executions of a queue its rate has let through at or after an instant."""

    def record_admitted(self, platform_id: str, queue: str, count: int, *, forget_before: datetime) -> None:
        """Record that a queue's rate lets ``count`` executions through now; forget what it did before an instant."""

    def calendars(self, platform_id: str) -> dict[str, frozenset[date]]:
        """Return the named calendars of a platform."""

    def put_calendar(self, platform_id: str, name: str, dates: Mapping[date, str], *, source: str) -> None:
        """Replace a calendar's dates (each with its own name, may be empty)."""

    def idempotent(self, platform_id: str, key: str) -> tuple[str, str] | None:
        """Return (request hash, execution id) stored under a key."""

    def put_idempotent(self, platform_id: str, key: str, request_hash: str, execution_id: str) -> bool:
        """Store a key; False when it exists."""

    def delete_idempotent(self, before: datetime, limit: int) -> int:
        """Delete keys older than an instant; return how many."""

    def note(self, name: str) -> str | None:
        """Return one of the database's own notes, such as the zone data's version."""

    def put_note(self, name: str, value: str) -> None:
        """Set a note."""

    def lease(self, name: str, holder: str, until: datetime) -> bool:
        """Take, or keep, the lease of that name until an instant; False while another holder's runs.

        An ``until`` that is not after the store's now lets go of it.
        """


@dataclass(frozen=True, slots=True)
class KeptSince:
    """From which instant on the past is kept: what ended, was published or was decided earlier may go."""

    ended: datetime
    published: datetime
    decided: datetime


@dataclass(frozen=True, slots=True)
class Dropped:
    """Partitions dropped, by name; and those that could not be, with how many of their rows must stay."""

    partitions: tuple[str, ...] = ()
    crowded: Mapping[str, int] = field(default_factory=dict)


class HistoryTable(Protocol):
    """How the past is laid out: where the database can, in partitions by time that are dropped as a whole.

    Where it cannot, both methods do nothing. Either way the ``delete_…`` methods of the other tables delete row by row
    what lies in no partition.
    """

    def prepare(self, days: int) -> Sequence[str]:
        """Make the partitions for the present and the time to come, ``days`` each; return the names of those made."""

    def drop(self, since: KeptSince) -> Dropped:
        """Drop partitions all of whose time is past, one of each table at most; rows that must stay are moved out.

        What must stay is what `ExecutionTable.delete_ended` keeps, and what is younger than its partition.
        """


class Tx(Protocol):
    """One open transaction. Not to be kept after ``work`` returns."""

    jobs: JobTable
    decisions: DecisionTable
    executions: ExecutionTable
    logs: LogTable
    dead_letters: DeadLetterTable
    outbox: OutboxTable
    inbox: InboxTable
    chains: ChainTable
    webhooks: WebhookTable
    nodes: NodeTable
    platforms: PlatformTable
    admin: AdminTable
    search: SearchTable
    history: HistoryTable

    def scope(self, platform_id: str | None) -> None:
        """Confine what follows in this transaction to one platform; None lifts that again.

        A second wall behind the conditions of the queries: on PostgreSQL row-level security, elsewhere none.
        """

    @property
    def now(self) -> datetime:
        """The store's clock, read once per transaction; the only clock that decides."""

    def new_id(self) -> str:
        """Return a new UUIDv7 of ``now``; later ones of this process sort after earlier ones."""

    def new_ids(self, count: int) -> list[str]:
        """Return ``count`` new ids in ascending order."""

    def wake(self, *topics: str) -> None:
        """Ask that ``topics`` (see `Wakeups`) are notified once this transaction has committed."""

    def announce(self, announcements: Iterable[Announcement]) -> None:
        """Ask that these are passed on (see `Announcer`) once this transaction has committed, and only then."""


Work = Callable[[Tx], T]


class Store(Protocol):
    """A database that keeps the record."""

    async def open(self) -> None:
        """Connect; make or migrate an embedded database. Raises `SchemaError`, `StoreUnavailableError`."""

    async def close(self) -> None:
        """Finish what was submitted and let go of every connection."""

    async def write(self, work: Work[T]) -> T:
        """Run ``work`` in a transaction of its own; return what it returns once that has committed durably.

        What ``work`` raises rolls everything back and reaches the caller. Raises `StoreUnavailableError`.
        """

    async def read(self, work: Work[T]) -> T:
        """Run ``work``, which must not write, on one consistent snapshot."""

    def write_blocking(self, work: Work[T]) -> T:
        """Do `write` from a thread that has no event loop to wait in: heartbeats and sync callers."""

    def read_blocking(self, work: Work[T]) -> T:
        """Do `read` from such a thread."""
