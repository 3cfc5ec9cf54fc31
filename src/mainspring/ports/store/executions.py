"""Executions, and what is kept of their attempts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from mainspring.model.dispatch import Dispatch
from mainspring.model.execution import Attempt, Execution, LogLine, Move, Moves, Status, Transition
from mainspring.model.job import ActiveExecution


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


@dataclass(frozen=True, slots=True)
class Claimable:
    """What a worker could run: of each queue as many as it has room for, and ``limit`` in all, of handlers it has.

    Left out is what is to be cancelled, or too late to start. ``offered``: only executions with these ids, which may be
    unknown, or of another queue; None for whatever is queued.
    """

    queues: Mapping[str, int]
    handlers: Sequence[str]
    limit: int
    offered: Sequence[str] | None = None


class ExecutionTable(Protocol):
    """Executions and the ended attempts that are kept."""

    def add(self, executions: Sequence[Execution]) -> None:
        """Insert new executions."""

    def get(self, execution_id: str, *, lock: bool = False) -> Execution | None:
        """Return one execution; with ``lock`` nobody else moves it until this transaction ends."""

    def hold(self, execution_ids: Sequence[str]) -> None:
        """Lock those of these executions that have not ended, in order of id, until the transaction ends."""

    def find(self, query: ExecutionQuery) -> list[Execution]:
        """Return executions, newest id first."""

    def active_of(self, job_ids: Sequence[str]) -> list[ActiveExecution]:
        """Return what has not ended of these jobs, oldest first."""

    def move(self, moves: Sequence[Move]) -> set[str]:
        """Make the moves whose condition still holds; return the ids of those executions."""

    def move_alike(self, moves: Moves) -> set[str]:
        """Do the same as `move` with moves that are alike, in one statement."""

    def promotable(self, limit: int) -> list[Execution]:
        """Lock and return pending and retrying executions whose ``available_at`` has come and that nothing blocks.

        Ordered by priority (9 first), then by ``available_at``, then by id.
        """

    def next_available_at(self) -> datetime | None:
        """Return the earliest ``available_at`` of pending and retrying executions that nothing blocks."""

    def held_back(self) -> tuple[bool, datetime | None]:
        """Return whether anything is blocked, and `next_available_at`, in one question."""

    def blockers(self, limit: int) -> list[tuple[str, str, str | None]]:
        """Return the distinct (platform_id, blocked_by, job_id if it is the job that blocks) of blocked executions."""

    def blocked(self, platform_id: str, blocked_by: str, *, job_id: str | None, limit: int) -> list[Execution]:
        """Lock and return executions held by one blocker: priority first, then older ``scheduled_at``, then id."""

    def set_blocked(self, blocked: Mapping[str, str | None]) -> None:
        """Write ``blocked_by`` of pending and retrying executions, by id; ``overlap`` alone makes them ``buffered``."""

    def occupying(
        self, platform_id: str, scope: str, names: Sequence[str], *, most: int | None = None
    ) -> dict[str, int]:
        """Count executions queued or running, by name of ``scope``: ``queue``, ``key`` or ``platform`` (name "").

        Each up to ``most``; None counts all there are.
        """

    def holders(self, platform_id: str, scope: str, name: str, limit: int) -> list[str]:
        """Return ids of executions queued or running under one limit, oldest first."""

    def pending_count(self, platform_id: str, most: int) -> int:
        """Count executions pending, up to ``most``."""

    def claim(self, worker_id: str, lease: timedelta, wanted: Claimable) -> list[Execution]:
        """Let a worker have queued executions it could run: move them to running; return them as they are then.

        Attempt and fence are one higher, the lease and the timeout count from ``now``. Rows that others have locked are
        passed over. Taken, and ordered, by priority (9 first), then ``scheduled_at`` (or creation), then id.
        """

    def queued_handlers_of(self, ids: Sequence[str]) -> set[str]:
        """Return the handlers of those executions with these ids that are queued."""

    def queues_waiting(self, limit: int) -> list[str]:
        """Return the queues in which anything is queued, by name."""

    def unclaimed(self, queue: str, queued_before: datetime, limit: int) -> list[Dispatch]:
        """Return what was queued in a queue at or before an instant; first what is claimed first."""

    def queued_handlers(self, limit: int, *, platform_id: str | None = None) -> list[tuple[str, str, datetime]]:
        """Return (queue, handler, oldest ``queued_at``) of what is queued, of all platforms unless one is named."""

    def renew(self, worker_id: str, lease_until: datetime) -> list[tuple[str, int, bool]]:
        """Extend every lease of a worker; return (id, fence, cancel requested) of what it still holds."""

    def lease_over(self, limit: int, *, older_than: datetime | None = None) -> list[Execution]:
        """Lock and return running executions whose lease is over, or, if given, that started before ``older_than``."""

    def make_up_for(self, step: timedelta, lease: timedelta, seen: datetime) -> None:
        """Put right what was meant as so many seconds and is stored as an instant, after the clock has stepped.

        Forward: attempts past their ``deadline_at`` have their timeout once more, from now. Back (``step`` is
        negative): no lease lasts longer than ``lease`` from now and no attempt longer than its timeout, and retries
        that were to come after ``seen``, the clock as it was looked at last, come earlier by the step. Said twice it
        is done once, except for retries planned further ahead than the step is long.
        """

    def overdue(self, grace: timedelta, limit: int) -> list[Execution]:
        """Lock and return running and waiting ones past ``deadline_at`` + grace, or cancel requested before grace."""

    def next_over(self, grace: timedelta) -> datetime | None:
        """Return when the next lease is over, or a deadline or a cancel that was asked for with its grace.

        None where nothing is under way. It may lie in the past: that is what `lease_over` and `overdue` return.
        """

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

    def depths(self, limit: int = 100_000) -> dict[str, int]:
        """Count what is queued by queue, of all platforms, up to ``limit`` in all."""

    def counts(self, platform_id: str, most: int) -> dict[str, int]:
        """Count live executions by status, each up to ``most``; a status that none has is left out."""


class LogTable(Protocol):
    """Logs of executions."""

    def append(self, execution_id: str, lines: Sequence[LogLine], *, fence: int | None, cap: int) -> int | None:
        """Number and store lines, up to ``cap`` per execution in all; return the last number.

        Where ``fence`` is given and no longer current, nothing is stored and None returned. ``line`` of the given
        lines is ignored: numbers follow the last stored one.
        """

    def read(self, execution_id: str, *, after: int = 0, limit: int = 1000) -> list[LogLine]:
        """Return lines with a number above ``after``, in order."""
