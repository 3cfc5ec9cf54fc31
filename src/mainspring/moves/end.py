"""How an execution ends: the move, its attempt row, its dead letter and its event, together or not at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from mainspring.model.dispatch import GivenUp, RetryPlanned, dispatch_of
from mainspring.model.events import Event, EventType
from mainspring.model.execution import Actor, Attempt, DeadLetter, Execution, Failure, Move, Moves, Status
from mainspring.model.outcome import Cancelled, Outcome, Released, Succeeded, Waiting
from mainspring.moves.telling import TOLD, event_of, events_of, extensions
from mainspring.ports.store import Tx
from mainspring.schedule.settle import Step, fingerprint, settle

#: Outcomes after which nothing runs again, so that a cancel in the meantime makes no difference.
_FINAL = (Succeeded, Cancelled, Waiting)


class Ended(NamedTuple):
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
    plain, others = _parted(ended)
    if others and len(ended) > 1:
        # More than one statement will lock them, and other batches may hold some: in order, all at once.
        tx.executions.hold([one.execution.id for one in ended])
    accepted = _succeed(tx, plain, actor) if plain else set()
    steps, now = [], tx.now
    for one in others:
        execution = _with_cancel(tx, one)
        steps.append((execution, settle(execution, one.outcome, now=now, draw=one.draw)))
    return accepted | apply_steps(tx, steps, actor)


def _parted(ended: Sequence[Ended]) -> tuple[Sequence[tuple[Execution, Succeeded]], Sequence[Ended]]:
    """Return the first attempts that simply succeeded, after which all but the result is the same, and the others."""
    if len({one.execution.id for one in ended}) < len(ended):
        return [], ended  # some of one execution: see `_one_each`
    plain, others = [], []
    for one in ended:
        execution, outcome, _ = one
        at_first = execution.attempt == 1 and execution.status is Status.RUNNING
        if at_first and isinstance(outcome, Succeeded) and outcome.usage is None:
            plain.append((execution, outcome))
        else:
            others.append(one)
    return plain, others


def _succeed(tx: Tx, plain: Sequence[tuple[Execution, Succeeded]], actor: Actor) -> set[str]:
    """Do what `apply_steps` would with plain successes, whose step is decided once."""
    now, (execution, outcome) = tx.now, plain[0]
    step = settle(execution, outcome, now=now, draw=0.0)
    shared = {name: value for name, value in step.set.items() if name != "result"}
    # In order of id, in which one statement then locks its rows: see `order`.
    ids, fences, results = zip(*sorted((e.id, e.fence, outcome.result) for e, outcome in plain), strict=True)
    accepted = tx.executions.move_alike(Moves(Status.RUNNING, step.to, actor, ids, fences, shared, {"result": results}))
    made = [execution for execution, _ in plain if execution.id in accepted]
    if made:
        tx.outbox.add(events_of(tx.new_ids(len(made)), now, made, step))
        _wake(tx, {step.to})
    return accepted


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
    told = [(e, step) for e, step in made if step.to in TOLD]
    ids, now = tx.new_ids(len(told)), tx.now
    events = [event_of(new, now, e, step, dead=e.id in buried) for new, (e, step) in zip(ids, told, strict=True)]
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


def _wake(tx: Tx, to: set[Status]) -> None:
    if any(status.terminal for status in to):
        tx.wake("ended", "outbox")
    if Status.WAITING in to or Status.RETRYING in to or Status.PENDING in to:
        tx.wake("pending", "outbox")
