"""How an execution ends: the move, its attempt row, its dead letter and its event, together or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mainspring.model.events import Event, EventType
from mainspring.model.execution import Actor, Attempt, DeadLetter, Execution, Failure, Move, Status
from mainspring.model.outcome import Outcome
from mainspring.model.wire import milliseconds
from mainspring.ports.store import Tx
from mainspring.schedule.settle import Step, fingerprint, settle

_EVENT = {
    Status.SUCCESS: EventType.EXECUTION_SUCCESS,
    Status.FAILED: EventType.EXECUTION_FAILED,
    Status.CANCELLED: EventType.EXECUTION_CANCELLED,
    Status.EXPIRED: EventType.EXECUTION_EXPIRED,
    Status.RETRYING: EventType.EXECUTION_RETRY,
}


@dataclass(frozen=True, slots=True)
class Ended:
    """An attempt that ended: the execution as it was claimed, how, and the draw for a retry's jitter in [0, 1)."""

    execution: Execution
    outcome: Outcome
    draw: float = 0.0


def settle_attempts(tx: Tx, ended: Sequence[Ended], actor: Actor) -> set[str]:
    """Record how attempts ended and the step that follows each; return the ids of those whose fence still held.

    What a superseded attempt reports changes nothing: not the state, the result, the attempts, nor the events.
    """
    steps = [(e.execution, settle(e.execution, e.outcome, now=tx.now, draw=e.draw)) for e in ended]
    return apply_steps(tx, steps, actor)


def apply_steps(tx: Tx, steps: Sequence[tuple[Execution, Step]], actor: Actor) -> set[str]:
    """Make the moves of ``steps`` where the fence still holds, and write all that goes with those made."""
    moves = [Move(e.id, e.status, step.to, actor, fence=e.fence, set=step.set) for e, step in steps]
    accepted = tx.executions.move(moves)
    made = [(e, step) for e, step in steps if e.id in accepted]
    tx.executions.add_attempts([step.attempt for _, step in made if step.attempt is not None])
    _bury(tx, [(e, step) for e, step in made if step.to is Status.FAILED])
    events = [_event(tx, e, step) for e, step in made if step.to in _EVENT]
    tx.outbox.add(events)
    _wake(tx, {step.to for _, step in made})
    return accepted


def end(
    tx: Tx, execution: Execution, to: Status, actor: Actor, *, reason: str, error: Mapping[str, Any] | None = None
) -> bool:
    """End what no worker may end for itself any more; a running one is fenced off. False if it has moved on."""
    values: dict[str, Any] = {
        "finished_at": tx.now,
        "error": error or {"type": to.value.capitalize(), "message": reason, "traceback": ""},
        "blocked_by": None,
        "buffered": False,
        "worker_id": None,
        "lease_until": None,
        "deadline_at": None,
        "cancel_reason": reason if to is Status.CANCELLED else execution.cancel_reason,
    }
    attempt = None
    if execution.status in (Status.RUNNING, Status.WAITING):
        values["fence"] = execution.fence + 1
        attempt = Attempt(
            execution.id,
            execution.fence,
            execution.attempt,
            to.value,
            tx.now,
            worker_id=execution.worker_id,
            started_at=execution.started_at,
            error=values["error"],
        )
    return bool(apply_steps(tx, [(execution, Step(to, values, attempt))], actor))


def _bury(tx: Tx, failed: Sequence[tuple[Execution, Step]]) -> None:
    if not failed:
        return
    jobs = tx.jobs.by_id([e.job_id for e, _ in failed if e.job_id is not None])
    letters = []
    for execution, step in failed:
        job = jobs.get(execution.job_id or "")
        if job is not None and not job.definition.dead_letter:
            continue
        error = step.set.get("error")
        letters.append(
            DeadLetter(
                execution.id,
                execution.platform_id,
                execution.handler,
                step.set.get("failure", Failure.ERROR),
                tx.now,
                fingerprint(execution.handler, error),
                job_id=execution.job_id,
                job_name=execution.job_name,
                error=error,
            )
        )
    tx.dead_letters.add(letters)
    tx.outbox.add(
        [
            Event(
                tx.new_id(),
                EventType.EXECUTION_DEAD,
                letter.platform_id,
                tx.now,
                subject=letter.execution_id,
                data={"execution_id": letter.execution_id, "job": letter.job_name, "fingerprint": letter.fingerprint},
            )
            for letter in letters
        ]
    )


def _event(tx: Tx, execution: Execution, step: Step) -> Event:
    after = replace(execution, status=step.to, **step.set)
    data: dict[str, Any] = {
        "execution_id": execution.id,
        "handler": execution.handler,
        "cause": execution.cause.value,
        "attempt": execution.attempt,
    }
    if execution.job_id is not None:
        data["job"], data["job_id"] = execution.job_name, execution.job_id
    if execution.started_at is not None and after.finished_at is not None:
        data["duration_ms"] = max(0, milliseconds(after.finished_at - execution.started_at))
        data["started_at"] = execution.started_at.isoformat()
    if after.failure is not None:
        data["failure"] = after.failure.value
    if step.to is not Status.SUCCESS and after.error is not None:
        data["error"] = {"type": after.error.get("type"), "message": str(after.error.get("message", ""))[:500]}
    if step.to is Status.RETRYING:
        data["available_at"] = after.available_at.isoformat()
    return Event(tx.new_id(), _EVENT[step.to], execution.platform_id, tx.now, subject=execution.id, data=data)


def _wake(tx: Tx, to: set[Status]) -> None:
    if any(status.terminal for status in to):
        tx.wake("ended", "outbox", "pending")
    if Status.WAITING in to or Status.RETRYING in to or Status.PENDING in to:
        tx.wake("pending", "outbox")
    if Status.QUEUED in to:
        tx.wake("queued")
