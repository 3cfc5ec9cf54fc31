"""How an execution ends: the move, its attempt row, its dead letter and its event, together or not at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from mainspring.model.dispatch import GivenUp, RetryPlanned, dispatch_of
from mainspring.model.events import Event, EventType
from mainspring.model.execution import Actor, Attempt, DeadLetter, Execution, Failure, Move, Status
from mainspring.model.outcome import Cancelled, Outcome, Released, Succeeded, Waiting
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


#: Outcomes after which nothing runs again, so that a cancel in the meantime makes no difference.
_FINAL = (Succeeded, Cancelled, Waiting)


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
    if not ended:
        return set()
    if len(ended) > 1 and not all(_plain(one.outcome) for one in ended):
        # More than one statement will lock them, and other batches may hold some: in order, all at once.
        tx.executions.hold([one.execution.id for one in ended])
    steps, now = [], tx.now
    for one in ended:
        execution = _with_cancel(tx, one)
        steps.append((execution, settle(execution, one.outcome, now=now, draw=one.draw)))
    return apply_steps(tx, steps, actor)


def _plain(outcome: Outcome) -> bool:
    return isinstance(outcome, Succeeded) and outcome.usage is None


def give_back(tx: Tx, worker_id: str, held: Iterable[tuple[str, int]]) -> None:
    """Release what is on lease to a worker under these ids and fences, without using an attempt."""
    ended = []
    for execution_id, fence in sorted(held):
        execution = tx.executions.get(execution_id, lock=True)
        if execution is not None and (execution.worker_id, execution.fence) == (worker_id, fence):
            ended.append(Ended(execution, Released()))
    settle_attempts(tx, ended, Actor.WORKER)


def _with_cancel(tx: Tx, ended: Ended) -> Execution:
    """The execution with a cancel asked for since its claim, of which its worker may not have heard.

    Only what might run again is read: success and the happy path's budget of statements stay as they are.
    """
    execution = ended.execution
    if execution.cancel_requested_at is not None or isinstance(ended.outcome, _FINAL):
        return execution
    stored = tx.executions.get(execution.id, lock=True)
    if stored is None or stored.cancel_requested_at is None or stored.fence != execution.fence:
        return execution
    return execution.changed(cancel_requested_at=stored.cancel_requested_at, cancel_reason=stored.cancel_reason)


def apply_steps(tx: Tx, steps: Sequence[tuple[Execution, Step]], actor: Actor) -> set[str]:
    """Make the moves of ``steps`` where the fence still holds, and write all that goes with those made."""
    if not steps:
        return set()
    accepted: set[str] = set()
    made: list[tuple[Execution, Step]] = []
    for batch in _one_each(steps):
        # In order of id, in which one statement then locks its rows: see `order`.
        moves = [
            Move(e.id, e.status, step.to, actor, fence=e.fence, set=step.set) for e, step in sorted(batch, key=_id)
        ]
        moved = tx.executions.move(moves)
        made += [(e, step) for e, step in batch if e.id in moved]
        accepted |= moved
    tx.executions.add_attempts([step.attempt for _, step in made if step.attempt is not None])
    buried = _bury(tx, [(e, step) for e, step in made if step.to is Status.FAILED])
    told = [(e, step) for e, step in made if step.to in _EVENT]
    ids, now = tx.new_ids(len(told)), tx.now
    events = [_event(new, now, e, step, dead=e.id in buried) for new, (e, step) in zip(ids, told, strict=True)]
    tx.outbox.add([*events, *buried.values()])
    _wake(tx, {step.to for _, step in made})
    tx.announce(dispatch_of(e) for e, step in made if step.to is Status.QUEUED)
    tx.announce(
        RetryPlanned(e.id, e.platform_id, step.set["available_at"]) for e, step in made if step.to is Status.RETRYING
    )
    return accepted


def _id(step: tuple[Execution, Step]) -> str:
    return step[0].id


def _one_each(steps: Sequence[tuple[Execution, Step]]) -> Sequence[Sequence[tuple[Execution, Step]]]:
    """Part steps so that none of the parts names an execution twice.

    A worker may report a superseded attempt and the present one of the same execution at once; which of the two moves
    was made must not be in doubt.
    """
    if len({execution.id for execution, _ in steps}) == len(steps):
        return [steps]
    batches: list[list[tuple[Execution, Step]]] = []
    times: Counter[str] = Counter()
    for execution, step in steps:
        if times[execution.id] == len(batches):
            batches.append([])
        batches[times[execution.id]].append((execution, step))
        times[execution.id] += 1
    return batches


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


def _bury(tx: Tx, failed: Sequence[tuple[Execution, Step]]) -> dict[str, Event]:
    """Keep what failed as dead letters, unless its job says otherwise; return their events, by execution."""
    if not failed:
        return {}
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
    by_id = {execution.id: execution for execution, _ in failed}
    tx.dead_letters.add(letters)
    tx.announce(GivenUp(letter.execution_id, letter.platform_id) for letter in letters)
    return {
        letter.execution_id: Event(
            tx.new_id(),
            EventType.EXECUTION_DEAD,
            letter.platform_id,
            tx.now,
            subject=letter.execution_id,
            data={"execution_id": letter.execution_id, "job": letter.job_name, "fingerprint": letter.fingerprint},
            extensions=extensions(by_id[letter.execution_id], nth=2),
        )
        for letter in letters
    }


def extensions(execution: Execution, *, nth: int = 1) -> dict[str, Any]:
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
    return found


def _event(new_id: str, now: datetime, execution: Execution, step: Step, *, dead: bool) -> Event:
    after = step.set
    data: dict[str, Any] = {
        "execution_id": execution.id,
        "handler": execution.handler,
        "cause": execution.cause.value,
        "attempt": execution.attempt,
        "queue": execution.queue,
    }
    if execution.job_id is not None:
        data["job"], data["job_id"] = execution.job_name, execution.job_id
    if execution.scheduled_at is not None:
        data["scheduled_at"] = _told(execution.scheduled_at)
    started_at = execution.started_at
    if started_at is not None:
        if execution.attempt == 1:
            data["delay_ms"] = max(0, milliseconds(started_at - execution.available_at))
        if (finished_at := after.get("finished_at")) is not None:
            data["duration_ms"] = max(0, milliseconds(finished_at - started_at))
            data["started_at"] = _told(started_at)
    if step.to is not Status.SUCCESS:
        data |= _trouble(step, dead=dead)
    fields = {
        "id": new_id,
        "type": _EVENT[step.to],
        "platform_id": execution.platform_id,
        "at": now,
        "source": "mainspring",
        "subject": execution.id,
        "data": data,
        "extensions": extensions(execution),
    }
    return Event.holding(fields)


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


@lru_cache(1024)  # a batch was claimed, and often planned, at one instant
def _told(at: datetime) -> str:
    return at.isoformat()


def _wake(tx: Tx, to: set[Status]) -> None:
    if any(status.terminal for status in to):
        tx.wake("ended", "outbox", "pending")
    if Status.WAITING in to or Status.RETRYING in to or Status.PENDING in to:
        tx.wake("pending", "outbox")
