"""The steps of long bulk actions.

A step is one transaction: the changes it makes and how far it is. A process that dies in the middle of one has done
nothing of it; another goes on from there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from mainspring.control.listing import ListRequest, condition
from mainspring.errors import MainspringError, StoreError
from mainspring.model.admin import Operation, OperationStatus
from mainspring.model.filters import And, Compare, Node
from mainspring.model.nouns import LISTINGS, Noun
from mainspring.model.wire import instant
from mainspring.moves import backfill, cancel, enqueue, jobs
from mainspring.moves.order import hold_jobs_to_change, hold_jobs_to_start
from mainspring.moves.schedules import Schedules
from mainspring.ports.search import Order, Search
from mainspring.ports.store import Store, Tx

#: Most rows one step acts on, most errors kept.
STEP, ERRORS = 100, 100


@dataclass(frozen=True, slots=True)
class _Step:
    """What an action needs besides the id of its row."""

    tx: Tx
    schedules: Schedules
    operation: Operation

    @property
    def reason(self) -> str:
        return str(self.operation.params.get("reason") or f"bulk operation {self.operation.id}")


def _redrive(step: _Step, id: str) -> object:
    return enqueue.redrive(step.tx, id, platform_id=step.operation.platform_id)


def _discard(step: _Step, id: str) -> None:
    enqueue.discard(step.tx, id, platform_id=step.operation.platform_id, reason=step.reason)


def _cancel(step: _Step, id: str) -> object:
    force = bool(step.operation.params.get("force"))
    return cancel.cancel(step.tx, id, reason=step.reason, force=force, platform_id=step.operation.platform_id)


def _retry(step: _Step, id: str) -> object:
    return enqueue.again(step.tx, id, platform_id=step.operation.platform_id)


def _pause(step: _Step, id: str) -> object:
    o = step.operation
    return jobs.pause_job(step.tx, step.schedules, o.platform_id, id, reason=step.reason, actor=o.actor)


def _resume(step: _Step, id: str) -> object:
    o = step.operation
    return jobs.resume_job(
        step.tx, step.schedules, o.platform_id, id, catch_up=bool(o.params.get("catch_up")), actor=o.actor
    )


def _archive(step: _Step, id: str) -> object:
    return jobs.archive_job(step.tx, step.schedules, step.operation.platform_id, id, actor=step.operation.actor)


def _trigger(step: _Step, id: str) -> object:
    return enqueue.trigger(step.tx, step.operation.platform_id, id)


#: (noun, action) -> (what happens to each row, the parameters it knows).
ACTIONS: Mapping[tuple[Noun, str], tuple[Callable[[_Step, str], object], tuple[str, ...]]] = {
    (Noun.DEAD_LETTERS, "redrive"): (_redrive, ()),
    (Noun.DEAD_LETTERS, "discard"): (_discard, ("reason",)),
    (Noun.EXECUTIONS, "cancel"): (_cancel, ("reason", "force")),
    (Noun.EXECUTIONS, "retry"): (_retry, ()),
    (Noun.JOBS, "pause"): (_pause, ("reason",)),
    (Noun.JOBS, "resume"): (_resume, ("catch_up",)),
    (Noun.JOBS, "archive"): (_archive, ()),
    (Noun.JOBS, "trigger"): (_trigger, ()),
}
BACKFILL = "jobs.backfill"


async def run_step(store: Store, schedules: Schedules) -> bool:
    """Do one step of the operation that has waited longest; False when none is due. Any number may do so at once."""

    def work(tx: Tx) -> bool:
        operation = tx.admin.due_operation()
        if operation is None:
            return False
        if operation.kind == BACKFILL:
            advance_backfill(tx, schedules, operation)
        else:
            advance(tx, schedules, operation)
        return True

    return await store.write(work)


def advance(tx: Tx, schedules: Schedules, operation: Operation) -> Operation:
    """Act on the next rows of a bulk action; return how far it is then."""
    noun_word, _, action = operation.kind.rpartition(".")
    act, _ = ACTIONS[Noun(noun_word), action]
    per_second = operation.params.get("per_second")
    ids, last = _next_ids(tx, Noun(noun_word), operation, min(STEP, per_second or STEP))
    _hold(tx, operation, action, ids)
    step = _Step(tx, schedules, operation)
    errors: list[Mapping[str, Any]] = []
    for row_id in ids:
        try:
            act(step, row_id)
        except StoreError:
            raise
        except MainspringError as error:
            errors.append({"id": row_id, "code": error.code, "message": str(error)[:300]})
    stop_after = operation.params.get("stop_after_errors")
    failed = operation.failed + len(errors)
    stopped = stop_after is not None and failed >= stop_after
    return _written(
        tx,
        replace(
            operation,
            done=operation.done + len(ids) - len(errors),
            failed=failed,
            errors=(*operation.errors, *errors)[:ERRORS],
            cursor=ids[-1] if ids else operation.cursor,
            reason=f"stopped after {failed} errors" if stopped else operation.reason,
        ),
        ended=OperationStatus.FAILED if stopped else OperationStatus.FINISHED if last else None,
        count=len(ids),
    )


def _hold(tx: Tx, operation: Operation, action: str, ids: Sequence[str]) -> None:
    """Hold what a step will wait for, in the order of `moves.order`: it acts on one row after the other."""
    noun = operation.kind.rpartition(".")[0]
    if noun == Noun.EXECUTIONS:
        tx.executions.hold(ids)
    elif noun == Noun.DEAD_LETTERS:
        tx.dead_letters.hold(ids)
    else:
        found = (tx.jobs.get(operation.platform_id, one) for one in ids)
        hold = hold_jobs_to_start if action == "trigger" else hold_jobs_to_change
        hold(tx, [job.id for job in found if job is not None])


def advance_backfill(
    tx: Tx, schedules: Schedules, operation: Operation
) -> tuple[Operation, tuple[backfill.Instant, ...]]:
    """Run the next instants of a backfill; return how far it is then, and what became of these."""
    params = operation.params
    per_second = params.get("per_second")
    since = datetime.fromisoformat(operation.cursor or str(params["from"]))
    if operation.cursor:
        since += timedelta(milliseconds=1)
    try:
        done = backfill.backfill_step(
            tx,
            schedules,
            jobs.existing(tx, operation.platform_id, str(params["job_id"]), lock=True),
            since,
            datetime.fromisoformat(str(params["to"])),
            backfill.Reprocess(str(params["reprocess"])),
            payload=params.get("payload"),
            limit=min(STEP, per_second or STEP),
        )
    except MainspringError as error:
        if operation.cursor is None:
            raise
        failed = replace(operation, reason=str(error)[:500])
        return _written(tx, failed, ended=OperationStatus.FAILED, count=0), ()
    made = sum(one.execution_id is not None for one in done.instants)
    after = replace(
        operation, done=operation.done + len(done.instants), cursor=instant(done.reached) or operation.cursor
    )
    written = _written(tx, after, ended=None if done.reached else OperationStatus.FINISHED, count=made)
    return written, done.instants


def _written(tx: Tx, operation: Operation, *, ended: OperationStatus | None, count: int) -> Operation:
    per_second = operation.params.get("per_second")
    pause = timedelta(seconds=count / per_second) if per_second else timedelta(0)
    after = replace(operation, updated_at=tx.now, next_at=tx.now + pause)
    if ended is not None:
        after = replace(after, status=ended, finished_at=tx.now)
    tx.admin.put_operation(after)
    tx.wake("operations")
    return after


def _next_ids(tx: Tx, noun: Noun, operation: Operation, limit: int) -> tuple[list[str], bool]:
    """Return the next ids to act on, and whether these are the last."""
    named = operation.params.get("ids")
    if named is not None:
        rest = [one for one in named if operation.cursor is None or one < operation.cursor]
        return rest[:limit], len(rest) <= limit
    as_of = datetime.fromisoformat(str(operation.params["as_of"]))
    where, archived = matching(noun, str(operation.params["filter"]), as_of)
    key = LISTINGS[noun].key[0]
    after = (operation.cursor,) if operation.cursor is not None else None
    search = Search(noun, operation.platform_id, where, (Order(key, descending=True),), after, limit, archived)
    ids = [getattr(row, key) for row in tx.search.find(search)]
    return ids, len(ids) < limit


def matching(noun: Noun, text: str, as_of: datetime) -> tuple[Node, bool]:
    """Return the condition of a filter among what there was at an instant, and whether archived jobs are meant too."""
    where, _, archived = condition(as_of, noun, ListRequest(filter=text))
    made: Node = Compare("created_at", "<=", as_of)
    return (made if where is None else And((made, where))), archived
