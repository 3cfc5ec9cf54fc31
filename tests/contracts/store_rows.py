"""Rows for the store's contract: valid ones with as few words as the test needs."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime, timedelta
from random import Random
from typing import Any

from mainspring.model.decision import Decision, Verdict
from mainspring.model.events import Event, EventType
from mainspring.model.execution import Cause, DeadLetter, Execution, Failure, LogLine, Move, Status
from mainspring.model.ids import Ids
from mainspring.model.job import Job, JobDefinition, JobStatus, JobType
from mainspring.ports.store import ExecutionQuery, Store

PLATFORM = "acme"
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)

_IDS = Ids(Random(7))
_DEFINITION = frozenset(field.name for field in fields(JobDefinition))


def new_id(at: datetime) -> str:
    """Return an id that sorts after every one made before."""
    return _IDS.new(at)


def a_job(now: datetime, name: str = "tidy", **values: Any) -> Job:
    """Return an active cron job; ``values`` go to it or to its definition, as named."""
    of_definition = {key: value for key, value in values.items() if key in _DEFINITION}
    of_job = {key: value for key, value in values.items() if key not in _DEFINITION}
    kind = of_definition.setdefault("type", JobType.CRON)
    if kind is not JobType.MANUAL:
        of_definition.setdefault("schedule", {"cron": "0 9 * * *"})
    of_definition.setdefault("handler", "kb:tidy")
    return Job(
        **{
            "id": new_id(now),
            "platform_id": PLATFORM,
            "definition": JobDefinition(name=name, **of_definition),
            "status": JobStatus.ACTIVE,
            "revision": 1,
            "created_at": now,
            "updated_at": now,
            "cursor_at": now,
            **of_job,
        }
    )


def an_execution(now: datetime, status: Status = Status.PENDING, **values: Any) -> Execution:
    """Return an execution with what its status implies: when it was queued, its lease, when it ended."""
    implied: dict[str, Any] = {}
    if status is Status.QUEUED:
        implied = {"queued_at": now}
    elif status in (Status.RUNNING, Status.WAITING):
        implied = {"queued_at": now, "started_at": now, "deadline_at": now + HOUR, "attempt": 1, "fence": 1}
    elif status.terminal:
        implied = {"finished_at": now}
    if status is Status.RUNNING:
        implied |= {"worker_id": "w-1", "lease_until": now + MINUTE}
    given = {
        "id": new_id(now),
        "platform_id": PLATFORM,
        "handler": "kb:tidy",
        "status": status,
        "cause": Cause.ENQUEUE,
        "created_at": now,
        "available_at": now,
    }
    return Execution(**{**given, **implied, **values})


def of_job(job: Job) -> dict[str, Any]:
    """Return the fields that tie an execution to a job."""
    return {"job_id": job.id, "job_name": job.name, "job_revision": job.revision, "cause": Cause.SCHEDULE}


def a_decision(job: Job, at: datetime, verdict: Verdict = Verdict.SKIPPED_OVERLAP, **values: Any) -> Decision:
    """Return a decision on one instant of a job."""
    return Decision(job.id, job.platform_id, at, verdict, decided_at=job.created_at, revision=job.revision, **values)


def an_event(now: datetime, **values: Any) -> Event:
    """Return an event on its way out."""
    given = {"id": new_id(now), "type": EventType.EXECUTION_SUCCESS.value, "platform_id": PLATFORM, "at": now}
    return Event(**{**given, **values})


def a_letter(execution: Execution, **values: Any) -> DeadLetter:
    """Return the open dead letter of an execution."""
    given = {
        "execution_id": execution.id,
        "platform_id": execution.platform_id,
        "handler": execution.handler,
        "failure": Failure.ERROR,
        "created_at": execution.created_at,
        "fingerprint": "f1",
    }
    return DeadLetter(**{**given, **values})


def lines(execution: Execution, *messages: str) -> list[LogLine]:
    """Return log lines to append; their numbers are not the ones they will get."""
    return [LogLine(execution.id, 0, execution.created_at, "info", message, attempt=1) for message in messages]


async def add_job(store: Store, job: Job) -> Job:
    """Store a job and return it."""
    await store.write(lambda tx: tx.jobs.add([job], actor="ada"))
    return job


async def add(store: Store, *executions: Execution) -> None:
    """Store executions in one batch."""
    await store.write(lambda tx: tx.executions.add(executions))


async def move(store: Store, *moves: Move) -> set[str]:
    """Make moves in one batch; return the ids of the executions moved."""
    return await store.write(lambda tx: tx.executions.move(moves))


async def find(store: Store, query: ExecutionQuery) -> list[Execution]:
    """List executions."""
    return await store.read(lambda tx: tx.executions.find(query))


async def fetch(store: Store, execution: Execution) -> Execution:
    """Return an execution as it is stored now."""
    found = await store.read(lambda tx: tx.executions.get(execution.id))
    assert found is not None
    return found
