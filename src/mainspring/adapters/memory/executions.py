"""Executions: adding, moving, finding, and what workers and the reaper ask for; attempts and transitions beside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from mainspring.adapters.memory.events import MemoryOutboxTable
from mainspring.adapters.memory.execution_rows import ExecutionRows
from mainspring.adapters.memory.journal import Journal
from mainspring.adapters.memory.records import MemoryDeadLetterTable, MemoryLogTable
from mainspring.adapters.memory.values import each_isolated, isolated
from mainspring.errors import ConflictError
from mainspring.model.dispatch import Dispatch, dispatch_of
from mainspring.model.execution import BY_DISPATCHER, LIVE, Actor, Attempt, Execution, Move, Moves, Status, Transition
from mainspring.model.job import ActiveExecution, as_active
from mainspring.ports.store import Claimable, ExecutionQuery

#: What a limit, the job or the time may still hold back from being queued.
_UNQUEUED = (Status.PENDING, Status.RETRYING)
_HELD_BY_JOB = ("overlap", "job")


class MemoryExecutionTable:
    """`ExecutionTable` in dictionaries: only what has not ended is ever walked, but for listing and retention."""

    def __init__(
        self,
        journal: Journal,
        rows: ExecutionRows,
        logs: MemoryLogTable,
        outbox: MemoryOutboxTable,
        letters: MemoryDeadLetterTable,
        *,
        record_transitions: bool,
    ) -> None:
        self._journal = journal
        self._rows = rows
        self._logs = logs
        self._outbox = outbox
        self._letters = letters
        self._attempts: dict[str, dict[int, Attempt]] = {}
        self._transitions: list[Transition] = []
        self._record_transitions = record_transitions

    # -- writing and listing ---------------------------------------------------------------------------------------

    def add(self, executions: Sequence[Execution]) -> None:
        for execution in executions:
            if execution.id in self._rows.all:
                raise ConflictError(f"execution {execution.id} exists already")
            self._rows.put(isolated(execution))
            actor = Actor.DISPATCHER if execution.cause in BY_DISPATCHER else Actor.API
            self._record(execution, None, actor)

    def move(self, moves: Sequence[Move]) -> set[str]:
        return {move.execution_id for move in moves if self._moved(move)}

    def move_alike(self, moves: Moves) -> set[str]:
        return self.move(list(moves.each()))

    def _moved(self, move: Move) -> bool:
        before = self._rows.all.get(move.execution_id)
        if before is None or before.status is not move.source or move.fence not in (None, before.fence):
            return False
        after = self._rows.change(before, {**move.set, "status": move.to})
        self._record(after, move.source, move.actor)
        return True

    def _record(self, execution: Execution, source: Status | None, actor: Actor) -> None:
        if self._record_transitions:
            at = self._journal.now
            made = Transition(execution.id, source, execution.status, actor, execution.fence, at)
            self._journal.extend(self._transitions, [made])

    def get(self, execution_id: str, *, lock: bool = False) -> Execution | None:
        execution = self._rows.all.get(execution_id)
        return None if execution is None else isolated(execution)

    def hold(self, execution_ids: Sequence[str]) -> None:
        """Nothing to do: one transaction runs at a time."""

    def find(self, query: ExecutionQuery) -> list[Execution]:
        live_only = query.statuses and LIVE.issuperset(query.statuses)
        rows = self._rows.live(*query.statuses) if live_only else self._rows.all.values()
        found = (execution for execution in rows if _matches(execution, query))
        return each_isolated(sorted(found, key=_id, reverse=True)[: query.limit])

    def active_of(self, job_ids: Sequence[str]) -> list[ActiveExecution]:
        found = [e for job_id in dict.fromkeys(job_ids) for e in self._rows.live_of_job(job_id)]
        return [as_active(execution) for execution in sorted(found, key=_id)]

    # -- waiting ---------------------------------------------------------------------------------------------------

    def promotable(self, limit: int) -> list[Execution]:
        due = [e for e in self._unqueued() if e.blocked_by is None and e.available_at <= self._journal.now]
        return each_isolated(sorted(due, key=lambda e: (-e.priority, e.available_at, e.id))[:limit])

    def next_available_at(self) -> datetime | None:
        return min((e.available_at for e in self._unqueued() if e.blocked_by is None), default=None)

    def held_back(self) -> tuple[bool, datetime | None]:
        return any(e.blocked_by is not None for e in self._unqueued()), self.next_available_at()

    def blockers(self, limit: int) -> list[tuple[str, str, str | None]]:
        found = {
            (e.platform_id, e.blocked_by, e.job_id if e.blocked_by in _HELD_BY_JOB else None)
            for e in self._unqueued()
            if e.blocked_by is not None
        }
        return sorted(found, key=lambda row: (row[0], row[1], row[2] or ""))[:limit]

    def blocked(self, platform_id: str, blocked_by: str, *, job_id: str | None, limit: int) -> list[Execution]:
        found = [
            e
            for e in (self._unqueued() if job_id is None else self._rows.live_of_job(job_id))
            if e.blocked_by == blocked_by and e.platform_id == platform_id and e.status in _UNQUEUED
        ]
        return each_isolated(sorted(found, key=_turn)[:limit])

    def set_blocked(self, blocked: Mapping[str, str | None]) -> None:
        for execution_id, blocked_by in blocked.items():
            execution = self._rows.all.get(execution_id)
            if execution is not None and execution.status in _UNQUEUED:
                self._rows.change(execution, {"blocked_by": blocked_by, "buffered": blocked_by == "overlap"})

    def pending_count(self, platform_id: str, most: int) -> int:
        return min(sum(e.platform_id == platform_id for e in self._rows.live(Status.PENDING)), most)

    def start_expired(self, limit: int) -> list[Execution]:
        rows = self._rows.live(Status.PENDING, Status.QUEUED, Status.RETRYING)
        return self._oldest((e for e in rows if self._start_over(e)), limit)

    def next_start_expired(self) -> datetime | None:
        rows = self._rows.live(Status.PENDING, Status.QUEUED, Status.RETRYING)
        return min((e.start_deadline_at for e in rows if e.start_deadline_at is not None), default=None)

    def _unqueued(self) -> Iterable[Execution]:
        return self._rows.live(*_UNQUEUED)

    def _start_over(self, execution: Execution) -> bool:
        return execution.start_deadline_at is not None and execution.start_deadline_at <= self._journal.now

    # -- queued and running ----------------------------------------------------------------------------------------

    def occupying(
        self, platform_id: str, scope: str, names: Sequence[str], *, most: int | None = None
    ) -> dict[str, int]:
        found = Counter(_limit_name(e, scope) for e in self._occupants(platform_id))
        return {name: found[name] if most is None else min(found[name], most) for name in names if found[name]}

    def holders(self, platform_id: str, scope: str, name: str, limit: int) -> list[str]:
        return sorted(e.id for e in self._occupants(platform_id) if _limit_name(e, scope) == name)[:limit]

    def _occupants(self, platform_id: str) -> Iterable[Execution]:
        return (e for e in self._rows.live(Status.QUEUED, Status.RUNNING) if e.platform_id == platform_id)

    def claim(self, worker_id: str, lease: timedelta, wanted: Claimable) -> list[Execution]:
        room, found = dict(wanted.queues), list[Execution]()
        for execution in sorted(filter(self._may_start(wanted), self._rows.live(Status.QUEUED)), key=_turn):
            if len(found) < wanted.limit and room.get(execution.queue, 0) > 0:
                room[execution.queue] -= 1
                found.append(execution)
        now = self._journal.now
        for e in found:
            values = {"worker_id": worker_id, "attempt": e.attempt + 1, "fence": e.fence + 1, "started_at": now}
            values |= {"lease_until": now + lease, "deadline_at": now + e.timeout}
            self._moved(Move(e.id, Status.QUEUED, Status.RUNNING, Actor.WORKER, fence=e.fence, set=values))
        return each_isolated([self._rows.all[execution.id] for execution in found])

    def _may_start(self, wanted: Claimable) -> Callable[[Execution], bool]:
        handlers, offered = frozenset(wanted.handlers), None if wanted.offered is None else frozenset(wanted.offered)

        def may_start(execution: Execution) -> bool:
            asked_for = execution.handler in handlers and (offered is None or execution.id in offered)
            return asked_for and execution.cancel_requested_at is None and not self._start_over(execution)

        return may_start

    def queued_handlers_of(self, ids: Sequence[str]) -> set[str]:
        found = (self._rows.all.get(execution_id) for execution_id in ids)
        return {e.handler for e in found if e is not None and e.status is Status.QUEUED}

    def queues_waiting(self, limit: int) -> list[str]:
        return sorted({e.queue for e in self._rows.live(Status.QUEUED)})[:limit]

    def unclaimed(self, queue: str, queued_before: datetime, limit: int) -> list[Dispatch]:
        found = [
            e
            for e in self._rows.live(Status.QUEUED)
            if e.queue == queue and e.queued_at is not None and e.queued_at <= queued_before
        ]
        return [dispatch_of(execution) for execution in sorted(found, key=_turn)[:limit]]

    def queued_handlers(self, limit: int, *, platform_id: str | None = None) -> list[tuple[str, str, datetime]]:
        oldest: dict[tuple[str, str], datetime] = {}
        for execution in self._rows.live(Status.QUEUED):
            if platform_id not in (None, execution.platform_id):
                continue
            key, at = (execution.queue, execution.handler), execution.queued_at or execution.created_at
            oldest[key] = min(at, oldest.get(key, at))
        rows = [(queue, handler, at) for (queue, handler), at in oldest.items()]
        return sorted(rows, key=lambda row: (row[2], row[0], row[1]))[:limit]

    def renew(self, worker_id: str, lease_until: datetime) -> list[tuple[str, int, bool]]:
        held = sorted((e for e in self._rows.live(Status.RUNNING) if e.worker_id == worker_id), key=_id)
        for execution in held:
            self._rows.change(execution, {"lease_until": lease_until})
        return [(e.id, e.fence, e.cancel_requested_at is not None) for e in held]

    def lease_over(self, limit: int, *, older_than: datetime | None = None) -> list[Execution]:
        def over(execution: Execution) -> bool:
            if older_than is not None and execution.started_at is not None and execution.started_at < older_than:
                return True
            return execution.lease_until is not None and execution.lease_until <= self._journal.now

        return self._oldest(filter(over, self._rows.live(Status.RUNNING)), limit)

    def make_up_for(self, step: timedelta, lease: timedelta, seen: datetime) -> None:
        now = self._journal.now
        for e in list(self._rows.live(Status.RUNNING)):
            if step > timedelta(0):
                over = e.deadline_at is not None and e.deadline_at <= now
                values = {"deadline_at": now + e.timeout if over else e.deadline_at}
            else:
                latest = {"lease_until": now + lease, "deadline_at": now + e.timeout}
                values = {name: min(getattr(e, name) or at, at) for name, at in latest.items()}
            self._rows.change(e, values)
        for e in list(self._rows.live(Status.RETRYING)) if step < timedelta(0) else ():
            if e.available_at > max(seen, now):
                self._rows.change(e, {"available_at": e.available_at + step})

    def overdue(self, grace: timedelta, limit: int) -> list[Execution]:
        before = self._journal.now - grace

        def late(execution: Execution) -> bool:
            instants = (execution.deadline_at, execution.cancel_requested_at)
            return any(at is not None and at <= before for at in instants)

        return self._oldest(filter(late, self._rows.live(Status.RUNNING, Status.WAITING)), limit)

    def next_over(self, grace: timedelta) -> datetime | None:
        def ends(e: Execution) -> tuple[datetime | None, ...]:
            return (
                e.lease_until,
                e.deadline_at and e.deadline_at + grace,
                e.cancel_requested_at and e.cancel_requested_at + grace,
            )

        found = (at for e in self._rows.live(Status.RUNNING, Status.WAITING) for at in ends(e))
        return min((at for at in found if at is not None), default=None)

    def request_cancel(self, execution_id: str, reason: str) -> bool:
        execution = self._rows.all.get(execution_id)
        if execution is None or execution.status not in (Status.RUNNING, Status.WAITING):
            return False
        if execution.cancel_requested_at is not None:
            return False
        self._rows.change(execution, {"cancel_requested_at": self._journal.now, "cancel_reason": reason})
        return True

    def put_progress(self, progress: Sequence[tuple[str, int, Mapping[str, Any]]]) -> None:
        for execution_id, fence, value in progress:
            execution = self._rows.all.get(execution_id)
            if execution is not None and execution.status is Status.RUNNING and execution.fence == fence:
                self._rows.change(execution, {"progress": value})

    def depths(self, limit: int = 100_000) -> dict[str, int]:
        return dict(Counter([execution.queue for execution in self._rows.live(Status.QUEUED)][:limit]))

    def counts(self, platform_id: str, most: int) -> dict[str, int]:
        found = Counter(e.status.value for e in self._rows.live() if e.platform_id == platform_id)
        return {status: min(count, most) for status, count in found.items()}

    def _oldest(self, found: Iterable[Execution], limit: int) -> list[Execution]:
        return each_isolated(sorted(found, key=_id)[:limit])

    # -- attempts and history --------------------------------------------------------------------------------------

    def add_attempts(self, attempts: Sequence[Attempt]) -> None:
        for attempt in attempts:
            of_execution = self._attempts.get(attempt.execution_id)
            if of_execution is None:
                of_execution = {}
                self._journal.put(self._attempts, attempt.execution_id, of_execution)
            if attempt.fence not in of_execution:
                self._journal.put(of_execution, attempt.fence, isolated(attempt))

    def attempts(self, execution_id: str) -> list[Attempt]:
        return each_isolated(sorted(self._attempts.get(execution_id, {}).values(), key=lambda a: a.fence))

    def attempts_of(self, execution_ids: Sequence[str]) -> list[Attempt]:
        return [attempt for execution_id in sorted(set(execution_ids)) for attempt in self.attempts(execution_id)]

    def transitions(self, execution_id: str | None = None) -> list[Transition]:
        return [t for t in self._transitions if execution_id in (None, t.execution_id)]

    def transitions_of(self, execution_ids: Sequence[str]) -> list[Transition]:
        wanted = frozenset(execution_ids)
        found = [transition for transition in self._transitions if transition.execution_id in wanted]
        return sorted(found, key=lambda t: t.execution_id)

    def delete_ended(self, before: datetime, limit: int) -> int:
        kept = self._outbox.undelivered_subjects() | self._letters.open_ids()
        # Attempts and logs go with their execution; recorded transitions stay, they are evidence.
        old = sorted(
            e.id
            for e in self._rows.all.values()
            if e.status.terminal and e.finished_at is not None and e.finished_at < before and e.id not in kept
        )[:limit]
        for execution_id in old:
            self._rows.drop(execution_id)
            self._journal.drop(self._attempts, execution_id)
            self._logs.forget(execution_id)
        return len(old)


def _id(execution: Execution) -> str:
    return execution.id


def _turn(execution: Execution) -> tuple[int, datetime, str]:
    return -execution.priority, execution.scheduled_at or execution.created_at, execution.id


def _limit_name(execution: Execution, scope: str) -> str | None:
    if scope == "queue":
        return execution.queue
    return execution.concurrency_key if scope == "key" else ""


def _matches(execution: Execution, query: ExecutionQuery) -> bool:
    wanted = (
        (query.platform_id, execution.platform_id),
        (query.job_id, execution.job_id),
        (query.handler, execution.handler),
        (query.queue, execution.queue),
        (query.retry_of, execution.retry_of),
    )
    return (
        all(want is None or want == found for want, found in wanted)
        and (not query.statuses or execution.status in query.statuses)
        and (query.since is None or execution.created_at >= query.since)
        and (query.before_id is None or execution.id < query.before_id)
    )
