"""Limits: which executions may be queued now, and what holds the others back.

A slot of a queue, a concurrency key or a platform is reserved in the transaction that sets ``queued``: the rows
queued or running are counted while the limit's row is held, so no counter can drift and no bound be passed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from operator import attrgetter
from typing import NamedTuple

from mainspring.model.columns import Columns
from mainspring.model.dispatch import dispatch_of, dispatches_of
from mainspring.model.execution import Actor, Execution, Move, Status
from mainspring.moves.order import hold_limits
from mainspring.ports.store import Tx

#: Most distinct blockers looked at in one step, and most executions taken from one.
BLOCKERS, PER_BLOCKER = 200, 500
#: Executions stored at a time: while a database works on some of them, the next are made ready.
AT_ONCE = 250


class Admission:
    """The limits of some platforms in one transaction, held from here on, with what it has admitted so far."""

    def __init__(self, tx: Tx, platform_ids: Iterable[str]) -> None:
        self._tx = tx
        # All of them at once: of two that admit for the same platforms, none may hold what the other waits for.
        self._limits = {(limit.platform_id, limit.scope, limit.name): limit for limit in hold_limits(tx, platform_ids)}
        # What is used is kept, not what is free: executions that carry one key may bring different bounds.
        self._used: dict[tuple[str, str, str], int] = {}
        self._rated: dict[tuple[str, str], tuple[int, float]] = {}
        self._at: datetime | None = None

    def blocked_by(self, execution: Execution) -> str | None:
        """Name the limit that holds an execution back; None after reserving its slots under all of them."""
        if not self._limits and execution.concurrency_key is None:
            return None
        holder = self.holder(execution)
        if holder is None:
            for _, key, (_, seconds) in self._scopes(execution):
                self._used[key] += 1
                if seconds is not None:
                    queue = key[0], key[2]
                    self._rated[queue] = self._rated.get(queue, (0, seconds))[0] + 1, seconds
        return holder

    @property
    def unlimited(self) -> bool:
        """Whether none of these platforms has a limit."""
        return not self._limits

    def record(self) -> None:
        """Write down what the rates have let through, once all that is admitted in this transaction is known."""
        for (platform_id, queue), (count, seconds) in self._rated.items():
            at = self._held_at()
            before = at - timedelta(seconds=seconds)
            self._tx.platforms.record_admitted(platform_id, queue, count, at=at, forget_before=before)
        self._rated.clear()

    def holder(self, execution: Execution) -> str | None:
        """Name the limit that holds an execution back, reserving nothing."""
        for label, key, allowed in self._scopes(execution):
            if self._headroom(key, allowed) <= 0:
                return label
        return None

    def _scopes(self, execution: Execution) -> list[tuple[str, tuple[str, str, str], tuple[int, float | None]]]:
        """Return (label, scope, (bound, seconds if it is a rate)) of each limit that applies."""
        platform = execution.platform_id
        found: list[tuple[str, tuple[str, str, str], tuple[int, float | None]]] = []
        if (limit := self._limits.get((platform, "platform", ""))) and limit.max_running is not None:
            found.append(("platform", (platform, "platform", ""), (limit.max_running, None)))
        if limit := self._limits.get((platform, "queue", execution.queue)):
            if limit.max_running is not None:
                found.append((f"queue:{limit.name}", (platform, "queue", limit.name), (limit.max_running, None)))
            if limit.rate is not None:
                found.append((f"rate:{limit.name}", (platform, "rate", limit.name), (limit.rate, limit.rate_per)))
        if execution.concurrency_key is not None:
            name = execution.concurrency_key
            row = self._limits.get((platform, "key", name))
            bound = row.max_running if row and row.max_running is not None else execution.concurrency_limit
            if bound is not None:
                found.append((f"key:{name}", (platform, "key", name), (bound, None)))
        return found

    def _headroom(self, key: tuple[str, str, str], allowed: tuple[int, float | None]) -> int:
        bound, seconds = allowed
        if key not in self._used:
            platform_id, scope, name = key
            if seconds is not None:
                since = self._held_at() - timedelta(seconds=seconds)
                used = self._tx.platforms.admitted_since(platform_id, name, since)
            else:
                # Executions of one key may bring different bounds; the others' are the same for all.
                most = None if scope == "key" else bound
                used = self._tx.executions.occupying(platform_id, scope, [name], most=most).get(name, 0)
            self._used[key] = used
        return bound - self._used[key]

    def _held_at(self) -> datetime:
        """Return an instant since which the limits are held, by the store's clock.

        Not when the transaction began: another that let work through meanwhile, while this one waited for it, would
        come later by its time and have gone before. A span of time would then hold more than the rate.
        """
        if self._at is None:
            self._at = self._tx.clock()
        return self._at


def add_executions(tx: Tx, executions: Sequence[Execution]) -> list[Execution]:
    """Insert new executions, queued where they are due and no limit holds them; return them as stored."""
    now = tx.now
    return _add(tx, Admission(tx, {e.platform_id for e in executions if _may_be_queued(e, now)}), executions)


def add_due(tx: Tx, executions: Columns[Execution]) -> None:
    """Do it with executions that are all due and held by nothing of their jobs: together where no limit is set."""
    admission, now = Admission(tx, set(executions.fields["platform_id"])), tx.now
    if not admission.unlimited or any(key is not None for key in executions.fields["concurrency_key"]):
        _add(tx, admission, executions)
        return
    count = len(executions)
    stored = executions.changed(status=[Status.QUEUED] * count, queued_at=[now] * count)
    tx.executions.add(stored)
    tx.announce(sorted(dispatches_of(stored), key=attrgetter("priority"), reverse=True))


def _add(tx: Tx, admission: Admission, executions: Sequence[Execution]) -> list[Execution]:
    now = tx.now
    in_turn = sorted(sorted(executions, key=attrgetter("id")), key=attrgetter("priority"), reverse=True)
    stored: list[Execution] = []
    for begin in range(0, len(in_turn), AT_ONCE):
        part = [_placed(admission, e, now) for e in in_turn[begin : begin + AT_ONCE]]
        tx.executions.add(part)
        tx.announce(dispatch_of(e) for e in part if e.status is Status.QUEUED)
        stored += part
    admission.record()
    if any(e.status is Status.PENDING for e in stored):
        tx.wake("pending")
    return stored


def _may_be_queued(execution: Execution, now: datetime) -> bool:
    return execution.blocked_by is None and execution.available_at <= now


def _placed(admission: Admission, execution: Execution, now: datetime) -> Execution:
    if not _may_be_queued(execution, now):
        return execution
    blocked_by = admission.blocked_by(execution)
    if blocked_by is not None:
        return execution.changed(blocked_by=blocked_by)
    return execution.changed(status=Status.QUEUED, queued_at=now)


def promote(tx: Tx, limit: int = 500) -> int:
    """Queue what has become due or free; return how many. Exact under concurrency, priority first."""
    blockers = tx.executions.blockers(BLOCKERS)
    # Jobs before executions: whoever plans one of these holds it, and may come to wait for what is promoted here.
    free = _free_slots(tx, {job_id for _, _, job_id in blockers if job_id is not None})
    due = tx.executions.promotable(limit)
    open_ = [one for one in blockers if one[2] is None or free.get(one[2], PER_BLOCKER) > 0]
    admission = Admission(tx, {e.platform_id for e in due} | {platform_id for platform_id, _, _ in open_})
    promoted = _admit(tx, admission, due)
    for platform_id, blocked_by, job_id in open_:
        if job_id is None:
            promoted += _unblock(tx, admission, platform_id, blocked_by)
        else:
            promoted += _fill(tx, admission, platform_id, blocked_by, job_id, free)
    admission.record()
    if len(due) == limit:
        tx.wake("pending")
    return promoted


class Promoted(NamedTuple):
    """How many executions were queued, when the next becomes due, and whether some may be blocked."""

    queued: int
    next_at: datetime | None
    some_blocked: bool


def promote_next(tx: Tx, limit: int = 500) -> Promoted:
    """Do `promote` where something waits for it."""
    some_blocked, next_at = tx.executions.held_back()
    if not some_blocked and (next_at is None or next_at > tx.now):
        return Promoted(0, next_at, False)
    # What has become due may have met a limit.
    return Promoted(promote(tx, limit), tx.executions.next_available_at(), True)


def _admit(tx: Tx, admission: Admission, executions: Iterable[Execution]) -> int:
    admitted, blocked = [], {}
    for execution in executions:
        holder = admission.blocked_by(execution)
        if holder is None:
            admitted.append(execution)
        elif holder != execution.blocked_by:
            blocked[execution.id] = holder
    tx.executions.set_blocked(blocked)
    moved = tx.executions.move([queued(execution, tx) for execution in admitted])
    tx.announce(dispatch_of(execution) for execution in admitted if execution.id in moved)
    return len(moved)


def queued(execution: Execution, tx: Tx) -> Move:
    """Return the move that offers a pending or retrying execution to workers."""
    values = {"queued_at": tx.now, "blocked_by": None, "buffered": False}
    return Move(execution.id, execution.status, Status.QUEUED, Actor.DISPATCHER, set=values)


def _unblock(tx: Tx, admission: Admission, platform_id: str, blocked_by: str) -> int:
    # One row tells whether the limit still holds; a long line behind it is not read each time for nothing.
    first = tx.executions.blocked(platform_id, blocked_by, job_id=None, limit=1)
    if not first or admission.holder(first[0]) == blocked_by:
        return 0
    return _admit(tx, admission, tx.executions.blocked(platform_id, blocked_by, job_id=None, limit=PER_BLOCKER))


def _fill(tx: Tx, admission: Admission, platform_id: str, blocked_by: str, job_id: str, free: Counter[str]) -> int:
    """Let executions a job held back have its free slots; what a limit then holds back has taken one all the same."""
    room = min(free.get(job_id, PER_BLOCKER), PER_BLOCKER)
    held = tx.executions.blocked(platform_id, blocked_by, job_id=job_id, limit=room) if room > 0 else []
    if job_id in free:
        free[job_id] -= len(held)
    return _admit(tx, admission, held)


def _free_slots(tx: Tx, job_ids: Iterable[str]) -> Counter[str]:
    """Return how many more executions of each job may be active at once; jobs without a bound are left out."""
    # Locked: of two that promote at once, the second counts what the first has let through.
    jobs = tx.jobs.lock(sorted(job_ids))
    free = Counter({job.id: job.definition.slots for job in jobs if job.definition.slots is not None})
    for execution in tx.executions.active_of(list(free)):
        free[execution.job_id] -= not execution.held_by_job
    return free
