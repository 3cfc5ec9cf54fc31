"""What the events say that tell of executions: how an attempt ended, and what followed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from operator import attrgetter
from typing import Any

from mainspring.model.columns import Columns
from mainspring.model.events import Event, EventType
from mainspring.model.execution import Execution, Status
from mainspring.model.wire import milliseconds
from mainspring.schedule.settle import Step

#: What most events have for extensions: one and the same, so that a batch of them is stored without looking at each.
_NONE: Mapping[str, Any] = {}

#: The event of a step, by where it leads; the others are not told.
TOLD = {
    Status.SUCCESS: EventType.EXECUTION_SUCCESS,
    Status.FAILED: EventType.EXECUTION_FAILED,
    Status.CANCELLED: EventType.EXECUTION_CANCELLED,
    Status.EXPIRED: EventType.EXECUTION_EXPIRED,
    Status.RETRYING: EventType.EXECUTION_RETRY,
}


#: What the event of an execution says, but for its id and how long it waited; and what decides about its extensions.
_likeness = attrgetter(
    "handler",
    "cause",
    "attempt",
    "queue",
    "job_id",
    "job_name",
    "scheduled_at",
    "started_at",
    "failures",
    "losses",
    "chain_depth",
    "trace_id",
    "span_id",
)


def events_of(new_ids: Sequence[str], now: datetime, executions: Sequence[Execution], step: Step) -> Columns[Event]:
    """Return the events of executions that all take the same step, each as `event_of` tells it.

    Most of a batch were claimed at once and are of few handlers: what they share is made once.
    """
    alike: dict[tuple[Any, ...], Event] = {}
    data, more = list[Mapping[str, Any]](), list[Mapping[str, Any]]()
    for execution in executions:
        like = _likeness(execution)
        event = alike.get(like)
        if event is None:
            event = alike[like] = event_of("", now, execution, step)
        told = {**event.data, "execution_id": execution.id}
        if "delay_ms" in told and execution.started_at is not None:
            told["delay_ms"] = _between(execution.available_at, execution.started_at)
        data.append(told)
        more.append(event.extensions)
    subjects, platforms = [e.id for e in executions], [e.platform_id for e in executions]
    own = {"id": new_ids, "platform_id": platforms, "subject": subjects, "data": data, "extensions": more}
    return Columns.alike(event_of("", now, executions[0], step), len(executions), **own)


def event_of(new_id: str, now: datetime, execution: Execution, step: Step, *, dead: bool = False) -> Event:
    """Return the event of a step that is `TOLD`. ``dead``: what failed is a dead letter."""
    after, started_at, scheduled_at = step.set, execution.started_at, execution.scheduled_at
    # What is its own comes first: of what many events end with alike no more than one is stored anew.
    data: dict[str, Any] = {"execution_id": execution.id}
    if started_at is not None and execution.attempt == 1:
        data["delay_ms"] = _between(execution.available_at, started_at)
    data["handler"] = execution.handler
    data["cause"] = execution.cause._value_  # by the hundred thousand: .value is a function
    data["attempt"], data["queue"] = execution.attempt, execution.queue
    if execution.job_id is not None:
        data["job"], data["job_id"] = execution.job_name, execution.job_id
    if scheduled_at is not None:
        data["scheduled_at"] = _told(scheduled_at)
    if started_at is not None and (finished_at := after.get("finished_at")) is not None:
        data["duration_ms"] = _between(started_at, finished_at)
        data["started_at"] = _told(started_at)
    if step.to is not Status.SUCCESS:
        data |= _trouble(step, dead=dead)
    fields = {
        "id": new_id,
        "type": TOLD[step.to],
        "platform_id": execution.platform_id,
        "at": now,
        "source": "mainspring",
        "subject": execution.id,
        "data": data,
        "extensions": extensions(execution),
    }
    return Event.holding(fields)


def extensions(execution: Execution, *, nth: int = 1) -> Mapping[str, Any]:
    """Return the extensions of the next event of an execution, or the one after that (``nth`` 2), as CloudEvents say.

    ``sequence`` numbers its events from 1, without a gap: each retry is one, then the end, then the dead letter. The
    first number and the first link of a chain are left out: that is what the most events carry, and they go without.
    """
    found: dict[str, Any] = {}
    number = execution.failures + execution.losses + nth
    if number > 1:
        found["sequence"] = f"{number:08d}"
    if execution.chain_depth:
        found["chaindepth"] = execution.chain_depth + 1
    if execution.trace_id is not None and execution.span_id is not None:
        found["traceparent"] = f"00-{execution.trace_id}-{execution.span_id}-01"
    return found or _NONE


def _trouble(step: Step, *, dead: bool) -> dict[str, Any]:
    """What an event says of an attempt that was no success."""
    found: dict[str, Any] = {}
    failure, error = step.set.get("failure"), step.set.get("error")
    if failure is not None:
        found["failure"] = failure.value
    if error is not None:
        found["error"] = {"type": error.get("type"), "message": str(error.get("message", ""))[:500]}
    if dead:
        found["dead_letter"] = True
    if step.to is Status.RETRYING:
        found["available_at"] = step.set["available_at"].isoformat()
    return found


def _between(earlier: datetime, later: datetime) -> int:
    """Return the time between two instants in milliseconds; none where clocks have it the other way round."""
    found = milliseconds(later - earlier)
    return max(0, found)


@lru_cache(1024)  # a batch was claimed, and often planned, at one instant
def _told(at: datetime) -> str:
    return at.isoformat()
