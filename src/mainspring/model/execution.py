"""An execution, its states, and the table of legal moves between them.

The table is data: stores check each move against it and tests walk it. Terminal states have no way out; retry and
redrive make a new execution with ``retry_of``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from mainspring.model.policy import RetryPolicy
from mainspring.model.value import Value

#: Most executions one chain of jobs and events may make one after the other (SPEC §3).
CHAIN_DEPTH = 16


class Status(StrEnum):
    """Where an execution stands."""

    PENDING = "pending"
    QUEUED = "queued"
    RUNNING = "running"
    RETRYING = "retrying"
    WAITING = "waiting"
    SUCCESS = "success"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"

    @property
    def terminal(self) -> bool:
        """Whether the execution has ended for good."""
        return self in TERMINAL


TERMINAL = frozenset({Status.SUCCESS, Status.FAILED, Status.CANCELLED, Status.EXPIRED})
LIVE = frozenset(Status) - TERMINAL


class Cause(StrEnum):
    """Why an execution exists."""

    SCHEDULE = "schedule"
    MANUAL = "manual"
    EVENT = "event"
    BACKFILL = "backfill"
    RETRY = "retry"
    CHAIN = "chain"
    ENQUEUE = "enqueue"


#: Causes of executions the dispatcher makes; the others are made through the API.
BY_DISPATCHER = frozenset({Cause.SCHEDULE, Cause.EVENT, Cause.BACKFILL, Cause.CHAIN})


class Failure(StrEnum):
    """Why an execution failed for good."""

    ERROR = "error"
    TIMEOUT = "timeout"
    LOST = "lost"
    POISONED = "poisoned"
    INVALID_PAYLOAD = "invalid_payload"


class Actor(StrEnum):
    """Who makes a move."""

    API = "api"
    DISPATCHER = "dispatcher"
    WORKER = "worker"
    REAPER = "reaper"
    CALLBACK = "callback"


_P, _Q, _R, _T, _W = Status.PENDING, Status.QUEUED, Status.RUNNING, Status.RETRYING, Status.WAITING
_S, _F, _C, _X = Status.SUCCESS, Status.FAILED, Status.CANCELLED, Status.EXPIRED

#: (from, to) -> who may make the move. ``None`` is "does not exist yet". Everything else is illegal (SPEC §6).
MOVES: Mapping[tuple[Status | None, Status], frozenset[Actor]] = {
    (None, _P): frozenset({Actor.DISPATCHER, Actor.API}),
    (None, _Q): frozenset({Actor.DISPATCHER, Actor.API}),
    (_P, _Q): frozenset({Actor.DISPATCHER}),
    (_T, _Q): frozenset({Actor.DISPATCHER}),
    (_Q, _R): frozenset({Actor.WORKER}),
    (_R, _S): frozenset({Actor.WORKER}),
    (_R, _F): frozenset({Actor.WORKER, Actor.REAPER}),
    (_R, _T): frozenset({Actor.WORKER, Actor.REAPER}),
    (_R, _C): frozenset({Actor.WORKER, Actor.REAPER, Actor.DISPATCHER, Actor.API}),
    (_R, _W): frozenset({Actor.WORKER}),
    (_R, _P): frozenset({Actor.WORKER}),
    (_R, _Q): frozenset({Actor.WORKER}),
    (_W, _S): frozenset({Actor.CALLBACK}),
    (_W, _F): frozenset({Actor.CALLBACK, Actor.REAPER}),
    (_W, _T): frozenset({Actor.CALLBACK, Actor.REAPER}),
    (_W, _C): frozenset({Actor.CALLBACK, Actor.REAPER, Actor.DISPATCHER, Actor.API}),
    (_W, _X): frozenset({Actor.API, Actor.DISPATCHER}),
    (_P, _C): frozenset({Actor.API, Actor.DISPATCHER}),
    (_P, _X): frozenset({Actor.API, Actor.DISPATCHER}),
    (_Q, _C): frozenset({Actor.API, Actor.DISPATCHER}),
    (_Q, _X): frozenset({Actor.API, Actor.DISPATCHER}),
    (_T, _C): frozenset({Actor.API, Actor.DISPATCHER}),
    (_T, _X): frozenset({Actor.API, Actor.DISPATCHER}),
}


def legal(source: Status | None, to: Status, actor: Actor) -> bool:
    """Tell whether ``actor`` may move an execution from ``source`` to ``to``.

    >>> legal(Status.QUEUED, Status.RUNNING, Actor.WORKER), legal(Status.SUCCESS, Status.QUEUED, Actor.API)
    (True, False)
    """
    return actor in MOVES.get((source, to), frozenset())


@dataclass(frozen=True)
class Execution(Value):
    """The unit of work an occurrence, a trigger or an enqueue creates. One row; instants are UTC.

    ``attempt`` numbers the tries so far (0: never claimed), ``failures`` and ``losses`` what became of the ended ones,
    and ``fence`` rises with each claim. ``blocked_by`` names what holds a pending one back: ``overlap``, ``job``,
    ``queue:NAME``, ``key:NAME``, ``platform``, or ``rate:NAME``; None when only its time has not come.
    """

    id: str
    platform_id: str
    handler: str
    status: Status
    cause: Cause
    created_at: datetime
    available_at: datetime
    handler_type: str = "function"
    job_id: str | None = None
    job_name: str | None = None
    job_revision: int | None = None
    payload: Mapping[str, Any] = field(default_factory=dict)
    event: Mapping[str, Any] | None = None
    retry_of: str | None = None
    chain_depth: int = 0
    scheduled_at: datetime | None = None
    start_deadline_at: datetime | None = None
    priority: int = 5
    queue: str = "default"
    concurrency_key: str | None = None
    concurrency_limit: int | None = None
    timeout: timedelta = timedelta(minutes=5)
    retry: RetryPolicy = RetryPolicy()
    isolation: str | None = None
    idempotency_key: str | None = None
    trace_id: str | None = None
    span_id: str | None = None
    buffered: bool = False
    blocked_by: str | None = None
    queued_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    deadline_at: datetime | None = None
    lease_until: datetime | None = None
    worker_id: str | None = None
    attempt: int = 0
    failures: int = 0
    losses: int = 0
    fence: int = 0
    cancel_requested_at: datetime | None = None
    cancel_reason: str | None = None
    external_ref: str | None = None
    failure: Failure | None = None
    result: Any = None
    error: Mapping[str, Any] | None = None
    progress: Mapping[str, Any] | None = None
    usage: Mapping[str, Any] | None = None

    @property
    def holds_slot(self) -> bool:
        """Whether it is active in the sense of SPEC §6: it holds its job's slot until it is terminal."""
        return not self.status.terminal and not self.buffered


@dataclass(frozen=True, slots=True)
class Move:
    """One conditional write: ``execution_id`` goes from ``source`` to ``to`` and takes the values of ``set``.

    It happens only if the row still has ``source`` and, where ``fence`` is given, that fence. ``set`` holds field
    names of `Execution`; ``to`` becomes the status.
    """

    execution_id: str
    source: Status
    to: Status
    actor: Actor
    fence: int | None = None
    set: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not legal(self.source, self.to, self.actor):
            raise ValueError(f"{self.actor} may not move an execution from {self.source} to {self.to}")


@dataclass(frozen=True, slots=True)
class Moves:
    """Many moves that are alike: of different executions, each with its fence, between the same two statuses.

    All take the values of ``shared``; ``own`` holds the fields of which each takes one of its own, in the order of
    ``ids``. What `Move` says of one is true of each.

    >>> both = Moves(Status.RUNNING, Status.SUCCESS, Actor.WORKER, ["a", "b"], [1, 4], {}, {"result": [10, 20]})
    >>> [(move.execution_id, move.fence, move.set) for move in both.each()]
    [('a', 1, {'result': 10}), ('b', 4, {'result': 20})]
    """

    source: Status
    to: Status
    actor: Actor
    ids: Sequence[str]
    fences: Sequence[int]
    shared: Mapping[str, Any] = field(default_factory=dict)
    own: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not legal(self.source, self.to, self.actor):
            raise ValueError(f"{self.actor} may not move an execution from {self.source} to {self.to}")

    def each(self) -> Iterator[Move]:
        """Return them one by one."""
        for number, (execution_id, fence) in enumerate(zip(self.ids, self.fences, strict=True)):
            values = {**self.shared, **{name: column[number] for name, column in self.own.items()}}
            yield Move(execution_id, self.source, self.to, self.actor, fence=fence, set=values)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One ended try of an execution that was not a successful first one."""

    execution_id: str
    fence: int
    attempt: int
    outcome: str
    ended_at: datetime
    worker_id: str | None = None
    started_at: datetime | None = None
    error: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Transition:
    """One recorded move; only written while ``record_transitions`` is on. ``source`` None: created."""

    execution_id: str
    source: Status | None
    to: Status
    actor: Actor
    fence: int
    at: datetime


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of an execution's log. ``line`` counts from 1 without gaps, across attempts."""

    execution_id: str
    line: int
    at: datetime
    level: str
    message: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    attempt: int | None = None
    external: bool = False


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An execution given up on, kept for a person. ``status``: open, redriven or discarded."""

    execution_id: str
    platform_id: str
    handler: str
    failure: Failure
    created_at: datetime
    fingerprint: str
    job_id: str | None = None
    job_name: str | None = None
    error: Mapping[str, Any] | None = None
    status: str = "open"
    resolved_at: datetime | None = None
    reason: str | None = None
    redriven_as: str | None = None
