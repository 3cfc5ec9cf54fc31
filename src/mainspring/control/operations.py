"""Long bulk actions: submitted once, done in steps, watched, paused, cancelled.

A step is one transaction: the changes it makes and how far it is. A process that dies in the middle of one has done
nothing of it; another goes on from there. What is acted on is fixed when it is submitted: the filter, and nothing that
was made later.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from mainspring.control.listing import COUNT_BOUND, ListRequest, condition
from mainspring.control.service import PlatformService
from mainspring.errors import ConflictError, MainspringError, NotFoundError, StoreError, ValidationError
from mainspring.model.admin import Operation, OperationStatus
from mainspring.model.filters import And, Compare, Node
from mainspring.model.nouns import LISTINGS, Noun
from mainspring.model.redact import redacted
from mainspring.model.wire import instant, refuse_unknown
from mainspring.moves import backfill, cancel, enqueue, jobs
from mainspring.moves.order import hold_jobs_to_change, hold_jobs_to_start
from mainspring.moves.schedules import Schedules
from mainspring.ports.search import Order, Search
from mainspring.ports.store import Store, Tx

#: Most rows one step acts on, most errors kept, most ids one request may name.
STEP, ERRORS, IDS = 100, 100, 1_000


@dataclass(frozen=True, slots=True)
class Bulk:
    """What a bulk request asks for: rows of a noun by filter or by ids, and what is to happen to each."""

    noun: Noun
    action: str
    filter: str | None = None
    ids: tuple[str, ...] = ()
    params: Mapping[str, Any] | None = None
    per_second: int | None = None
    stop_after_errors: int | None = None
    expected_count: int | None = None
    tolerance: float = 0.0


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


class OperationService(PlatformService):
    """Submits and steers the operations of one platform. `run_step` does their work."""

    async def submit(self, bulk: Bulk) -> Operation:
        """Fix what a bulk action is to act on, do its first step, and return how far it is.

        Raises `ValidationError` for an action or a filter there is not, `ConflictError` where another number of rows
        matches than was expected.
        """
        actions = sorted(action for noun, action in ACTIONS if noun is bulk.noun)
        if (bulk.noun, bulk.action) not in ACTIONS:
            raise ValidationError(f"{bulk.action[:40]!r} is not one of: {', '.join(actions)}", field="action")
        if (bulk.filter is None) == (not bulk.ids):
            raise ValidationError("give a filter or a list of ids, not both", field="filter")
        if len(bulk.ids) > IDS:
            raise ValidationError(f"at most {IDS} ids, got {len(bulk.ids)}; use a filter", field="ids")
        params = _checked(dict(bulk.params or {}), ACTIONS[bulk.noun, bulk.action][1])

        def work(tx: Tx) -> Operation:
            total, at_least = len(set(bulk.ids)), False
            if bulk.filter is not None:
                where, archived = _where(bulk.noun, bulk.filter, tx.now)
                total = tx.search.count(Search(bulk.noun, self.platform_id, where, archived=archived), COUNT_BOUND)
                total, at_least = min(total, COUNT_BOUND), total > COUNT_BOUND
            _check_expected(bulk, total)
            # Ids are done from the newest to the oldest, as a filter's rows are.
            told = {"filter": bulk.filter, "ids": sorted(set(bulk.ids), reverse=True) or None, **params}
            limits = {"per_second": bulk.per_second, "stop_after_errors": bulk.stop_after_errors}
            operation = self._new(tx, f"{bulk.noun}.{bulk.action}", {**told, **limits}, total, at_least)
            return _advance(tx, self._schedules, operation)

        return await self._change(
            f"{bulk.noun}.{bulk.action}", bulk.filter or f"{len(bulk.ids)} ids", work, after=_told
        )

    async def backfill(
        self,
        job: str,
        *,
        since: datetime,
        until: datetime,
        reprocess: str = "missing",
        payload: Mapping[str, Any] | None = None,
        per_second: int | None = None,
    ) -> tuple[Operation, tuple[backfill.Instant, ...]]:
        """Run a job's instants in ``[since, until]``; return the operation and what became of the first of them."""
        try:
            kind = backfill.Reprocess(reprocess)
        except ValueError:
            options = ", ".join(backfill.Reprocess)
            raise ValidationError(f"{reprocess[:40]!r} is not one of: {options}", field="reprocess") from None

        def work(tx: Tx) -> tuple[Operation, tuple[backfill.Instant, ...]]:
            found = jobs.existing(tx, self.platform_id, job, lock=True)
            cut = backfill.check_range(found, since, until)
            count = self._schedules.of(tx, found).count_between(
                since - timedelta(milliseconds=1), cut, limit=COUNT_BOUND
            )
            params = {
                "job_id": found.id,
                "job": found.name,
                "from": instant(since),
                "to": instant(cut),
                "reprocess": kind.value,
                "payload": payload,
                "per_second": per_second,
            }
            total = COUNT_BOUND if count is None else count
            operation = self._new(tx, BACKFILL, params, total, count is None)
            return _advance_backfill(tx, self._schedules, operation)

        return await self._change("job.backfill", job, work, after=lambda done: _told(done[0]))

    def _new(self, tx: Tx, kind: str, params: Mapping[str, Any], total: int, at_least: bool) -> Operation:
        kept = {name: value for name, value in params.items() if value is not None}
        return Operation(
            tx.new_id(),
            self.platform_id,
            kind,
            OperationStatus.RUNNING,
            self._actor,
            tx.now,
            tx.now,
            tx.now,
            params={"as_of": instant(tx.now), **kept},
            total=total,
            total_at_least=at_least,
        )

    async def get(self, operation_id: str) -> Operation:
        """Return an operation."""
        return await self._store.read(lambda tx: self._existing(tx, operation_id))

    async def pause(self, operation_id: str, *, reason: str = "") -> Operation:
        """Do no further step until it is resumed."""
        return await self._turn(operation_id, OperationStatus.PAUSED, reason)

    async def resume(self, operation_id: str) -> Operation:
        """Go on with a paused operation."""
        return await self._turn(operation_id, OperationStatus.RUNNING, "")

    async def cancel(self, operation_id: str, *, reason: str = "") -> Operation:
        """End an operation where it is; what it has done stays done."""
        return await self._turn(operation_id, OperationStatus.CANCELLED, reason)

    async def _turn(self, operation_id: str, to: OperationStatus, reason: str) -> Operation:
        def work(tx: Tx) -> Operation:
            operation = self._existing(tx, operation_id, lock=True)
            if operation.status is to:
                return operation
            if operation.status.ended:
                raise ConflictError(f"operation {operation_id} is {operation.status}")
            ended = tx.now if to.ended else None
            turned = replace(
                operation, status=to, reason=reason or None, updated_at=tx.now, next_at=tx.now, finished_at=ended
            )
            tx.admin.put_operation(turned)
            tx.wake("operations")
            return turned

        return await self._change(f"operation.{to}", operation_id, work)

    def _existing(self, tx: Tx, operation_id: str, *, lock: bool = False) -> Operation:
        operation = tx.admin.operation(operation_id, lock=lock)
        if operation is None or operation.platform_id != self.platform_id:
            raise NotFoundError("operation", operation_id)
        return operation


async def run_step(store: Store, schedules: Schedules) -> bool:
    """Do one step of the operation that has waited longest; False when none is due. Any number may do so at once."""

    def work(tx: Tx) -> bool:
        operation = tx.admin.due_operation()
        if operation is None:
            return False
        if operation.kind == BACKFILL:
            _advance_backfill(tx, schedules, operation)
        else:
            _advance(tx, schedules, operation)
        return True

    return await store.write(work)


def _advance(tx: Tx, schedules: Schedules, operation: Operation) -> Operation:
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


def _advance_backfill(
    tx: Tx, schedules: Schedules, operation: Operation
) -> tuple[Operation, tuple[backfill.Instant, ...]]:
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
    where, archived = _where(noun, str(operation.params["filter"]), as_of)
    key = LISTINGS[noun].key[0]
    after = (operation.cursor,) if operation.cursor is not None else None
    search = Search(noun, operation.platform_id, where, (Order(key, descending=True),), after, limit, archived)
    ids = [getattr(row, key) for row in tx.search.find(search)]
    return ids, len(ids) < limit


def _where(noun: Noun, text: str, as_of: datetime) -> tuple[Node, bool]:
    where, _, archived = condition(as_of, noun, ListRequest(filter=text))
    made: Node = Compare("created_at", "<=", as_of)
    return (made if where is None else And((made, where))), archived


def _checked(params: dict[str, Any], known: tuple[str, ...]) -> dict[str, Any]:
    refuse_unknown(params, known, "params.")
    for name, value in params.items():
        right = isinstance(value, bool) if name in ("force", "catch_up") else isinstance(value, str)
        if not right or (isinstance(value, str) and len(value) > 500):
            raise ValidationError("has the wrong type or is too long", field=f"params.{name}")
    if "reason" in known and not str(params.get("reason") or "").strip():
        raise ValidationError("say why", field="params.reason")
    return params


def _check_expected(bulk: Bulk, total: int) -> None:
    expected = bulk.expected_count
    if expected is not None and abs(total - expected) > expected * bulk.tolerance:
        raise ConflictError(f"{total} rows match, not the {expected} expected: look again, then repeat")


def _told(operation: Operation) -> Mapping[str, Any]:
    return {"operation": operation.id, "total": operation.total}


def operation_to_wire(operation: Operation) -> dict[str, Any]:
    """Return an operation as plain data."""
    return {
        "id": operation.id,
        "platform_id": operation.platform_id,
        "kind": operation.kind,
        "status": operation.status.value,
        "actor": operation.actor,
        "total": {"value": operation.total, "relation": "gte" if operation.total_at_least else "eq"},
        "done": operation.done,
        "failed": operation.failed,
        "params": redacted(operation.params),
        "errors": [dict(error) for error in operation.errors],
        "reason": operation.reason,
        "created_at": instant(operation.created_at),
        "updated_at": instant(operation.updated_at),
        "finished_at": instant(operation.finished_at),
    }
