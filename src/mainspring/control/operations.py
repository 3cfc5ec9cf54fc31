"""Long bulk actions: submitted once, watched, paused, cancelled. `operation_steps` does their work.

What is acted on is fixed when an operation is submitted: the filter, and nothing that was made later.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from mainspring.control.listing import COUNT_BOUND
from mainspring.control.operation_steps import ACTIONS, BACKFILL, advance, advance_backfill, matching
from mainspring.control.service import PlatformService
from mainspring.errors import ConflictError, NotFoundError, ValidationError
from mainspring.model.admin import Operation, OperationStatus
from mainspring.model.nouns import Noun
from mainspring.model.redact import redacted
from mainspring.model.wire import instant, refuse_unknown
from mainspring.moves import backfill, jobs
from mainspring.ports.search import Search
from mainspring.ports.store import Tx

#: Most ids one request may name.
IDS = 1_000

#: Most that an operation may be told to do a second.
PER_SECOND = 1_000


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


class OperationService(PlatformService):
    """Submits and steers the operations of one platform."""

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
                where, archived = matching(bulk.noun, bulk.filter, tx.now)
                total = tx.search.count(Search(bulk.noun, self.platform_id, where, archived=archived), COUNT_BOUND)
                total, at_least = min(total, COUNT_BOUND), total > COUNT_BOUND
            _check_expected(bulk, total)
            # Ids are done from the newest to the oldest, as a filter's rows are.
            told = {"filter": bulk.filter, "ids": sorted(set(bulk.ids), reverse=True) or None, **params}
            limits = {"per_second": bulk.per_second, "stop_after_errors": bulk.stop_after_errors}
            operation = self._new(tx, f"{bulk.noun}.{bulk.action}", {**told, **limits}, total, at_least)
            return advance(tx, self._schedules, operation)

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
            return advance_backfill(tx, self._schedules, operation)

        return await self._change("job.backfill", job, work, after=lambda done: _told(done[0]))

    def _new(self, tx: Tx, kind: str, params: Mapping[str, Any], total: int, at_least: bool) -> Operation:
        kept = {name: value for name, value in params.items() if value is not None}
        per_second = kept.get("per_second")
        if per_second is not None and not 1 <= per_second <= PER_SECOND:
            raise ValidationError(f"must be from 1 to {PER_SECOND}, got {per_second}", field="per_second")
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


def operation_to_wire(operation: Operation, *, content: bool = True) -> dict[str, Any]:
    """Return an operation as plain data; ``content``: with the payload that a backfill was given."""
    params = redacted(operation.params)
    return {
        "id": operation.id,
        "platform_id": operation.platform_id,
        "kind": operation.kind,
        "status": operation.status.value,
        "actor": operation.actor,
        "total": {"value": operation.total, "relation": "gte" if operation.total_at_least else "eq"},
        "done": operation.done,
        "failed": operation.failed,
        "params": params if content or "payload" not in params else {**params, "payload": None},
        "errors": [dict(error) for error in operation.errors],
        "reason": operation.reason,
        "created_at": instant(operation.created_at),
        "updated_at": instant(operation.updated_at),
        "finished_at": instant(operation.finished_at),
    }
