"""What must hold after every single transaction, looked at from outside the product.

The auditor reads rows and recorded transitions, keeps its own idea of every execution, and never asks the engine what
it thinks. Invariant numbers are those of reliability.md §3.3. What can only be judged at the end is in ``ledger``.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from mainspring.model.events import Event
from mainspring.model.execution import Actor, Cause, Execution, Status, Transition, legal
from mainspring.model.job import Job, JobCursor, JobDefinition, JobStatus
from mainspring.schedule.settle import POISON_LIMIT

if TYPE_CHECKING:
    from tests.simulation.world import World

FINAL = {
    Status.SUCCESS: "scheduler:execution.success",
    Status.FAILED: "scheduler:execution.failed",
    Status.CANCELLED: "scheduler:execution.cancelled",
    Status.EXPIRED: "scheduler:execution.expired",
}
_OCCUPIES = (Status.QUEUED, Status.RUNNING)


@dataclass(slots=True)
class Seen:
    """What the auditor knows of one execution from its transitions alone."""

    status: Status
    fence: int
    claims: list[int] = field(default_factory=list)
    cancel_asked: bool = False
    ended_by: tuple[Status, int] | None = None


@dataclass(frozen=True, slots=True)
class JobChange:
    """A job as it stood from ``at`` on, by what the transaction that changed it wrote."""

    at: datetime
    status: JobStatus
    definition: JobDefinition
    revision: int
    created_at: datetime
    why: str


class Auditor:
    """Looks at every transaction of one run."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._tx: Any = world.tables
        self.rows: Mapping[str, Execution] = self._tx.executions._rows.all
        self._live = self._tx.executions._rows.live
        self._transitions: list[Transition] = self._tx.executions._transitions
        self._looked = 0
        self.seen: dict[str, Seen] = {}
        self.outbox: dict[str, Event] = {}
        self.order: list[Event] = []
        self.final_events: defaultdict[str, list[str]] = defaultdict(list)
        self.changes: defaultdict[str, list[JobChange]] = defaultdict(list)
        self.jobs: dict[str, Job] = {}
        self.active_at_event: dict[tuple[str, str], list[str]] = {}
        self._events: list[Event] = []
        self._changed_jobs: list[tuple[str, Job | JobCursor]] = []
        self._accepted: list[Event] = []
        self._asked: list[str] = []
        self.holders: dict[str, str] = {}
        self._active: dict[str, int] = {}
        self._occupied: dict[tuple[str, str], int] = {}
        self._admitted: defaultdict[str, list[tuple[datetime, str]]] = defaultdict(list)
        self._cursors: dict[str, datetime] = {}
        self._last = world.now
        self.transactions = 0
        self._watch(self._tx.outbox, "add", self._take_events)
        self._watch(self._tx.jobs, "add", lambda new, **_: self._changed_jobs.extend(("created", j) for j in new))
        self._watch(self._tx.jobs, "save", lambda job, **_: self._changed_jobs.append(("saved", job)), if_true=True)
        self._watch(self._tx.jobs, "advance", lambda cursors: self._changed_jobs.extend(("moved", c) for c in cursors))
        self._watch(self._tx.executions, "put_progress", self._look_at_progress)
        self._watch(self._tx.inbox, "accept", self._take_accepted, if_true=True)
        self._watch(self._tx.executions, "request_cancel", self._take_asked, if_true=True)

    def _take_events(self, events: Sequence[Event]) -> None:
        self._events.extend(events)

    def _take_accepted(self, event: Event) -> None:
        self._accepted.append(event)

    def _take_asked(self, execution_id: str, reason: str) -> None:
        self._asked.append(execution_id)

    def _watch(self, table: Any, name: str, note: Callable[..., Any], *, if_true: bool = False) -> None:
        inner = getattr(table, name)

        def watched(*args: Any, **kwargs: Any) -> Any:
            result = inner(*args, **kwargs)
            if result or not if_true:
                note(*args, **kwargs)
            return result

        setattr(table, name, watched)

    @property
    def moves(self) -> int:
        """How many transitions there have been."""
        return self._looked

    # -- each transaction ----------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """A transaction begins."""
        self._events, self._changed_jobs, self._accepted, self._asked = [], [], [], []

    def rolled_back(self) -> None:
        """It changed nothing; that it did not is checked by the next look at the history."""

    def committed(self, who: str, name: str) -> None:
        """Look at what a transaction has done."""
        self.transactions += 1
        now: datetime = self._tx._journal.now
        if now < self._last:
            self._bad("clock", f"the store's clock went back from {self._last} to {now}")
        self._last = now
        fresh = self._transitions[self._looked :]
        self._looked = len(self._transitions)
        finals = self._note_events()
        # Before the jobs: an event may complete the very job it starts.
        for event in self._accepted:
            key = (event.source, event.id)
            if key in self.active_at_event:
                self._bad("G8", f"event {key} was accepted twice")
            self.active_at_event[key] = [job_id for job_id, job in self.jobs.items() if _hears(job, event)]
        self._note_jobs(now)
        for execution_id in self._asked:
            self.seen[execution_id].cancel_asked = True
        for transition in fresh:
            self._look_at(transition, who, now)
        self._match_finals(fresh, finals)
        if fresh or self._changed_jobs:
            self._look_at_rows({t.execution_id for t in fresh})
            self._look_at_slots()
            self._look_at_limits(fresh, now)
        if fresh and self._world.keep is not None:
            told = ", ".join(f"{t.execution_id[-4:]} {_word(t.source)}->{_word(t.to)} f{t.fence}" for t in fresh)
            self._world.say("%s %s: %s", who, name, told)

    def _look_at(self, t: Transition, who: str, now: datetime) -> None:
        known = self.seen.get(t.execution_id)
        short = t.execution_id
        if not legal(t.source, t.to, t.actor):
            self._bad("I15", f"{t.actor} moved {short} from {t.source} to {t.to}")
        if known is None:
            if t.source is not None:
                self._bad("I15", f"{short} moved from {t.source} before it was made")
            self.seen[short] = Seen(t.to, t.fence)
            return
        if t.source is not known.status:
            self._bad("I15", f"the history of {short} has a gap: {known.status}, then {t.source} -> {t.to}")
        if known.status.terminal:
            self._bad("I17", f"{short} had ended as {known.status} and became {t.to}")
        if t.fence < known.fence:
            self._bad("I19", f"the fence of {short} fell from {known.fence} to {t.fence}")
        if t.to is Status.RUNNING:
            if t.fence != known.fence + 1:
                self._bad("I19", f"{short} was claimed with fence {t.fence} after {known.fence}")
            if known.cancel_asked:
                self._bad("G16", f"{short} was claimed after its cancel had committed")
            known.claims.append(t.fence)
        elif t.source is Status.RUNNING and t.actor is Actor.WORKER:
            if not known.claims or t.fence != known.claims[-1] or known.fence != t.fence:
                self._bad("I18", f"{who} ended {short} with fence {t.fence}, held {known.claims[-1:]}")
            holder = self.holders.get(short, who)
            if holder.split(":")[0] != who:
                self._bad("I18", f"{who} ended {short}, which {holder} had claimed")
        if t.to.terminal:
            known.ended_by = (t.to, t.fence)
        known.status, known.fence = t.to, t.fence

    def _look_at_rows(self, changed: set[str]) -> None:
        for execution_id in changed:
            row, known = self.rows[execution_id], self.seen[execution_id]
            running = row.status is Status.RUNNING
            if row.status is not known.status:
                self._bad("I16", f"row {execution_id} is {row.status}, its history says {known.status}")
            if running != (row.worker_id is not None and row.lease_until is not None):
                self._bad("I8", f"{execution_id} is {row.status} with lease {row.worker_id} until {row.lease_until}")
            if row.status.terminal != (row.finished_at is not None):
                self._bad("I13", f"{execution_id} is {row.status}, finished at {row.finished_at}")
            if row.failures > row.retry.max_retries + 1 or row.losses > POISON_LIMIT:
                self._bad("I12", f"{execution_id} failed {row.failures} times and was lost {row.losses} times")
            if row.attempt > len(known.claims):
                self._bad("I12", f"{execution_id} counts {row.attempt} attempts of {len(known.claims)} claims")
            if row.fence != known.fence:
                self._bad("I10", f"row {execution_id} has fence {row.fence}, its history {known.fence}")
            if running and row.worker_id is not None:
                self.holders[execution_id] = row.worker_id
            if row.cancel_requested_at is not None:
                known.cancel_asked = True

    def _look_at_slots(self) -> None:
        """I20: no more active executions of a job than its policy allows; an edit may leave more, never make more."""
        active: Counter[str] = Counter()
        for row in self._live():
            if row.job_id and row.cause is not Cause.RETRY and not row.buffered and row.blocked_by != "job":
                active[row.job_id] += 1
        for job_id, count in active.items():
            slots = self.jobs[job_id].definition.slots
            if slots is not None and count > slots and count > self._active.get(job_id, 0):
                self._bad("I20", f"{count} active executions of {self.jobs[job_id].name}, {slots} allowed")
        self._active = dict(active)

    def _look_at_limits(self, fresh: Sequence[Transition], now: datetime) -> None:
        """I21: limits hold at every moment; lowering one may leave more, never make more."""
        used: Counter[tuple[str, str]] = Counter()
        bounds: dict[tuple[str, str], int] = {}
        for row in self._live(*_OCCUPIES):
            used["platform", ""] += 1
            used["queue", row.queue] += 1
            if row.concurrency_key is not None:
                used["key", row.concurrency_key] += 1
        # Executions that carry one key may bring different bounds, or none: each is held to its own when admitted.
        brought: defaultdict[tuple[str, str], list[int | None]] = defaultdict(list)
        for t in fresh:
            row = self.rows[t.execution_id]
            if t.to is Status.QUEUED and row.concurrency_key is not None:
                brought["key", row.concurrency_key].append(row.concurrency_limit)
        bounds |= {key: max(b for b in own if b) for key, own in brought.items() if all(own)}
        rates = {}
        for limit in self._tx.platforms.limits("default"):
            if limit.max_running is not None:
                bounds[limit.scope, limit.name] = limit.max_running
            if limit.rate is not None:
                rates[limit.name] = (limit.rate, timedelta(seconds=limit.rate_per))
        for key, bound in bounds.items():
            if used[key] > bound and used[key] > self._occupied.get(key, 0):
                self._bad("I21", f"{used[key]} executions under limit {key}, {bound} allowed")
        self._occupied = dict(used)
        for t in fresh:
            if t.to is Status.QUEUED and t.actor is not Actor.WORKER:
                self._admitted[self.rows[t.execution_id].queue].append((now, t.execution_id))
        for queue, (rate, per) in rates.items():
            recent = {e for at, e in self._admitted[queue][-4 * rate - 50 :] if at > now - per}
            if len(recent) > rate and self._admitted[queue][-1][0] == now:
                self._bad("I21", f"{len(recent)} executions admitted to {queue} within {per}, {rate} allowed")

    def _look_at_progress(self, progress: Sequence[tuple[str, int, Mapping[str, Any]]]) -> None:
        """G5: what is stored as progress comes from the attempt that holds the lease. Handlers report their fence."""
        for execution_id, _, value in progress:
            row = self.rows[execution_id]
            if row.progress == dict(value) and value.get("current") != row.fence:
                self._bad("G5", f"{execution_id} has fence {row.fence} and progress of {value.get('current')}")

    # -- events and jobs -----------------------------------------------------------------------------------------------

    def _note_events(self) -> dict[str, list[str]]:
        finals: defaultdict[str, list[str]] = defaultdict(list)
        for event in self._events:
            self.outbox[event.id] = event
            self.order.append(event)
            if event.type in FINAL.values():
                finals[str(event.subject)].append(event.type)
        return finals

    def _match_finals(self, fresh: Sequence[Transition], finals: Mapping[str, list[str]]) -> None:
        ended = {t.execution_id: FINAL[t.to] for t in fresh if t.to.terminal}
        for execution_id, kind in ended.items():
            if finals.get(execution_id) != [kind]:
                self._bad("G10", f"{execution_id} ended with events {finals.get(execution_id)}, expected {kind}")
        for execution_id in finals:
            if execution_id not in ended:
                self._bad("G10", f"{finals[execution_id]} announced for {execution_id}, which did not end")

    def _note_jobs(self, now: datetime) -> None:
        for why, change in self._changed_jobs:
            if isinstance(change, JobCursor):
                self._cursor(change.job_id, change.cursor_at)
                if change.status is not JobStatus.ACTIVE:
                    job = self.jobs[change.job_id]
                    self._change(now, job, change.status, "completed")
                    self.jobs[change.job_id] = replace(job, status=change.status)
                continue
            self._cursor(change.id, change.cursor_at)
            self._change(now, change, change.status, why)
            self.jobs[change.id] = change

    def _change(self, now: datetime, job: Job, status: JobStatus, why: str) -> None:
        change = JobChange(now, status, job.definition, job.revision, job.created_at, why)
        self.changes[job.id].append(change)

    def _cursor(self, job_id: str, cursor: datetime) -> None:
        if cursor < self._cursors.get(job_id, cursor):
            self._bad("G19", f"the cursor of {job_id} went back from {self._cursors[job_id]} to {cursor}")
        self._cursors[job_id] = cursor

    def _bad(self, law: str, what: str) -> None:
        self._world.problem(f"{law}: {what}")


def _hears(job: Job, event: Event) -> bool:
    from mainspring.schedule import event_matches

    d = job.definition
    if job.status not in (JobStatus.ACTIVE, JobStatus.PAUSED) or d.type != "event" or d.schedule is None:
        return False
    wanted = d.schedule.get("filter", {"data": {"n": [1, 2, 3]}})["data"]["n"]
    return event.data["n"] in wanted and any(event_matches(pattern, event.type) for pattern in d.schedule["events"])


def _word(status: Status | None) -> str:
    return "new" if status is None else status.value
