"""Work without a due instant: a direct enqueue of a handler, a trigger of a job, a retry or redrive of what ended."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from mainspring.errors import (
    ConflictError,
    IdempotencyConflictError,
    LimitExceededError,
    NotFoundError,
    OverlapConflictError,
    ValidationError,
)
from mainspring.model.decision import Decision, Verdict
from mainspring.model.execution import Cause, Execution, Status
from mainspring.model.job import JobStatus
from mainspring.model.policy import Overlap, RetryPolicy
from mainspring.model.trace import TraceIds
from mainspring.model.wire import PAYLOAD_LIMIT, check_policies
from mainspring.moves.admit import AT_ONCE, add_executions
from mainspring.moves.plan import stop_others
from mainspring.ports.store import Tx
from mainspring.schedule.decide import Plan, blank, dispatch, new_execution
from mainspring.schedule.overlap import Slots

#: In place of an instant that the store will fill in.
_UNSET = datetime.min.replace(tzinfo=UTC)
_as_json = json.JSONEncoder(allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class EnqueueRequest:
    """One direct enqueue: no job, so overlap, misfire and ``max_concurrency`` do not apply; limits do."""

    handler: str
    payload: Mapping[str, Any] = field(default_factory=dict)
    platform_id: str = "default"
    handler_type: str = "function"
    run_at: datetime | None = None
    priority: int = 5
    queue: str = "default"
    concurrency_key: str | None = None
    concurrency_limit: int | None = None
    timeout: timedelta = timedelta(minutes=5)
    retry: RetryPolicy = RetryPolicy()
    isolation: str | None = None
    start_deadline: timedelta | None = None
    idempotency_key: str | None = None
    trace_id: str | None = None
    span_id: str | None = None

    def __post_init__(self) -> None:
        """Raise `ValidationError` for what no execution may be made with."""
        _check(self.handler, self.queue, self.priority, self.concurrency_key, self.concurrency_limit)
        if self.run_at is not None and (not isinstance(self.run_at, datetime) or self.run_at.tzinfo is None):
            fix = "Give an aware datetime, such as datetime.now(UTC) + timedelta(hours=1)"
            raise ValidationError("needs to be an instant with a zone", field="run_at", fix=fix)

    def fingerprint(self) -> str:
        """Return a hash of what is asked for, to tell a repeated call from another one with the same key."""
        body = [self.handler, self.payload, self.queue, self.priority, str(self.run_at), self.concurrency_key]
        return hashlib.blake2b(json.dumps(body, sort_keys=True, default=str).encode(), digest_size=16).hexdigest()


@lru_cache(maxsize=1024, typed=True)
def _check(handler: str, queue: str, priority: int, key: str | None, limit: int | None) -> None:
    """Raise `ValidationError` for what SPEC §3 does not allow. The same few combinations are asked for all the time."""
    check_policies({"handler": handler, "queue": queue, "priority": priority})
    check_policies({"concurrency_key": key, "concurrency_limit": limit})
    if limit is not None and key is None:
        raise ValidationError("needs a concurrency_key to count by", field="concurrency_limit")


def encoded_size(payload: Mapping[str, Any], field_name: str = "payload") -> int:
    """Return a payload's size as JSON in bytes; raises `ValidationError` for what is no plain JSON, or too large."""
    try:
        size = len(_as_json(payload).encode())
    except (TypeError, ValueError, RecursionError, UnicodeEncodeError) as error:
        raise ValidationError(f"is not plain JSON data: {error}", field=field_name) from error
    if size > PAYLOAD_LIMIT:
        raise LimitExceededError(f"{field_name} in bytes", found=size, allowed=PAYLOAD_LIMIT)
    return size


def enqueue(tx: Tx, requests: Sequence[EnqueueRequest]) -> list[Execution]:
    """Make executions of handlers; return them in the order asked for.

    A request whose idempotency key was used before gives the execution made then; with another body it raises
    `IdempotencyConflictError`. Raises `LimitExceededError` over the platform's ``max_pending``.
    """
    for platform_id in {request.platform_id for request in requests}:
        tx.platforms.limits(platform_id)  # asked first, they come with the store's clock: the ids are made of that
    new_ids = tx.new_ids(len(requests))
    known = _known_ids(tx, requests, new_ids)
    ids = [known.get(new_id, new_id) for new_id in new_ids]
    fresh = {new_id: request for new_id, request in zip(new_ids, requests, strict=True) if new_id not in known}
    for platform_id in {request.platform_id for request in fresh.values()}:
        check_pending(tx, platform_id, sum(r.platform_id == platform_id for r in fresh.values()))
    alike = blank(tx.now)
    stored = {e.id: e for e in add_executions(tx, [_execution(alike, r, new_id) for new_id, r in fresh.items()])}
    return [stored.get(found) or _kept(tx, found) for found in ids]


def enqueue_at_once(tx: Tx, requests: Sequence[EnqueueRequest]) -> list[Execution]:
    """Do `enqueue` as all there is to a transaction, in one round trip; none, and nothing done, where that cannot be.

    It can where nothing has to be known before: for a few requests without keys, for now, of a platform without limits.
    """
    platform_ids = {request.platform_id for request in requests}
    if len(platform_ids) != 1 or len(requests) > AT_ONCE or not all(map(_is_plain, requests)):
        return []
    unset = blank(_UNSET).changed(status=Status.QUEUED)
    return tx.queue_at_once(_execution(unset, request, "") for request in requests)


def _is_plain(request: EnqueueRequest) -> bool:
    keys, times = (request.idempotency_key, request.concurrency_key), (request.run_at, request.start_deadline)
    return keys == (None, None) and times == (None, None)


def _known_ids(tx: Tx, requests: Sequence[EnqueueRequest], new_ids: Sequence[str]) -> dict[str, str]:
    """Return, by the id made for it, the execution that a request's key stands for already, where it does."""
    keyed = [(r.platform_id, r.idempotency_key, n) for n, r in enumerate(requests) if r.idempotency_key is not None]
    found = {}
    # A key that another transaction is using is waited for: in one order by all, see `order`.
    for _, _, number in sorted(keyed):
        known = _known_id(tx, requests[number], new_ids[number])
        if known is not None:
            found[new_ids[number]] = known
    return found


def _known_id(tx: Tx, request: EnqueueRequest, new_id: str) -> str | None:
    """Return the execution this request's key stands for already; None after giving the key to ``new_id``."""
    if request.idempotency_key is None:
        return None
    wanted = request.fingerprint()
    found = tx.platforms.idempotent(request.platform_id, request.idempotency_key)
    if found is None:
        if tx.platforms.put_idempotent(request.platform_id, request.idempotency_key, wanted, new_id):
            return None
        # Another transaction gave the key away since we looked; it has committed, or we would have waited for it.
        found = tx.platforms.idempotent(request.platform_id, request.idempotency_key)
        assert found is not None
    if found[0] != wanted:
        raise IdempotencyConflictError(request.idempotency_key, execution_id=found[1])
    return found[1]


def _kept(tx: Tx, execution_id: str) -> Execution:
    execution = tx.executions.get(execution_id)
    if execution is None:
        raise ConflictError(f"execution {execution_id}, made under this idempotency key, is past its retention")
    return execution


def check_pending(tx: Tx, platform_id: str, more: int = 1) -> None:
    """Raise `LimitExceededError` if ``more`` executions would pass the platform's ``max_pending``."""
    for limit in tx.platforms.limits(platform_id):
        if limit.scope == "platform" and limit.max_pending is not None:
            waiting = tx.executions.pending_count(platform_id, limit.max_pending + 1)
            if waiting + more > limit.max_pending:
                raise LimitExceededError("pending executions", found=waiting + more, allowed=limit.max_pending)


def _execution(alike: Execution, request: EnqueueRequest, new_id: str) -> Execution:
    now = alike.created_at
    available_at = max(request.run_at, now) if request.run_at is not None else now
    return alike.changed(
        id=new_id,
        platform_id=request.platform_id,
        handler=request.handler,
        handler_type=request.handler_type,
        cause=Cause.ENQUEUE,
        available_at=available_at,
        payload=request.payload,
        scheduled_at=request.run_at,
        start_deadline_at=available_at + request.start_deadline if request.start_deadline is not None else None,
        priority=request.priority,
        queue=request.queue,
        concurrency_key=request.concurrency_key,
        concurrency_limit=request.concurrency_limit,
        timeout=request.timeout,
        retry=request.retry,
        isolation=request.isolation,
        idempotency_key=request.idempotency_key or new_id,
        trace_id=request.trace_id,
        span_id=request.span_id,
    )


def trigger(
    tx: Tx,
    platform_id: str,
    name: str,
    *,
    payload: Mapping[str, Any] | None = None,
    cause: Cause = Cause.MANUAL,
    overlap: Overlap | None = None,
    scheduled_at: datetime | None = None,
    event: Mapping[str, Any] | None = None,
    chain_depth: int = 0,
    idempotency_key: str | None = None,
    trace_id: str | None = None,
    trace: TraceIds | None = None,
) -> Execution:
    """Run a job now under its policies; return the execution made. A paused job may be triggered, an archived not.

    Raises `OverlapConflictError` naming the execution that holds the slot where the overlap policy refuses it, and
    `IdempotencyConflictError` for a key used with another body.
    """
    job = tx.jobs.get(platform_id, name, lock=True)
    if job is None:
        raise NotFoundError("job", name)
    if job.status is JobStatus.ARCHIVED:
        raise ConflictError(f"job {job.name!r} is archived")
    new_id = tx.new_id()
    if idempotency_key is not None:
        asked = EnqueueRequest(f"trigger:{job.id}", payload or {}, platform_id, idempotency_key=idempotency_key)
        if (known := _known_id(tx, asked, new_id)) is not None:
            return _kept(tx, known)
    check_pending(tx, platform_id)
    definition = replace(job.definition, overlap=overlap) if overlap is not None else job.definition
    slots = Slots(definition, tx.executions.active_of([job.id]))
    execution = new_execution(job, new_id, cause, now=tx.now, scheduled_at=scheduled_at, payload=payload)
    execution = execution.changed(event=event, chain_depth=chain_depth, trace_id=trace_id)
    if trace is not None:
        execution = execution.changed(trace_id=trace.trace_id, span_id=trace.span_id)
    plan = Plan()
    dispatch(
        plan, job, slots, Decision(job.id, platform_id, tx.now, Verdict.DISPATCHED, tx.now, job.revision), execution
    )
    if not plan.executions:
        blocking = str(plan.decisions[0].reason.get("blocking", ""))
        raise OverlapConflictError(job.name, running=blocking, policy=definition.overlap_policy.value)
    stop_others(tx, [plan])
    return add_executions(tx, plan.executions)[0]


def again(
    tx: Tx, execution_id: str, *, platform_id: str | None = None, payload: Mapping[str, Any] | None = None
) -> Execution:
    """Run an ended execution again, as a new one with ``retry_of``. Raises `NotFoundError`, `ConflictError` if live.

    It keeps the policies it was made under. It is not judged by its job's overlap policy: a person asked for it.
    """
    old = tx.executions.get(execution_id)  # once it has ended it changes no more
    if old is None or (platform_id is not None and old.platform_id != platform_id):
        raise NotFoundError("execution", execution_id)
    if not old.status.terminal:
        raise ConflictError(f"execution {execution_id} is {old.status}: only an ended one can be run again")
    return add_executions(tx, [repeated(old, tx.new_id(), tx.now, payload=payload)])[0]


def repeated(
    old: Execution,
    new_id: str,
    now: datetime,
    *,
    payload: Mapping[str, Any] | None = None,
    available_at: datetime | None = None,
) -> Execution:
    """Return a new execution that repeats an ended one, under the policies that was made under."""
    return Execution(
        id=new_id,
        platform_id=old.platform_id,
        handler=old.handler,
        handler_type=old.handler_type,
        status=Status.PENDING,
        cause=Cause.RETRY,
        created_at=now,
        available_at=available_at or now,
        job_id=old.job_id,
        job_name=old.job_name,
        job_revision=old.job_revision,
        payload=old.payload if payload is None else payload,
        event=old.event,
        retry_of=old.id,
        chain_depth=old.chain_depth,
        scheduled_at=old.scheduled_at,
        priority=old.priority,
        queue=old.queue,
        concurrency_key=old.concurrency_key,
        concurrency_limit=old.concurrency_limit,
        timeout=old.timeout,
        retry=old.retry,
        isolation=old.isolation,
        # The same key as the first try: whoever deduplicates outside must see that it is the same work.
        idempotency_key=old.idempotency_key,
    )


def redrive(tx: Tx, execution_id: str, *, platform_id: str, payload: Mapping[str, Any] | None = None) -> Execution:
    """Run a dead letter's execution again and close the letter. Raises `NotFoundError`, `ConflictError` if not open."""
    letter = tx.dead_letters.get(execution_id, lock=True)
    if letter is None or letter.platform_id != platform_id:
        raise NotFoundError("dead letter", execution_id)
    if letter.status != "open":
        raise ConflictError(f"dead letter {execution_id} is already {letter.status}")
    execution = again(tx, execution_id, platform_id=platform_id, payload=payload)
    tx.dead_letters.resolve(execution_id, status="redriven", redriven_as=execution.id)
    return execution


def discard(tx: Tx, execution_id: str, *, platform_id: str, reason: str) -> None:
    """Close a dead letter without running it. Raises `NotFoundError`, `ConflictError` if it is not open."""
    letter = tx.dead_letters.get(execution_id, lock=True)
    if letter is None or letter.platform_id != platform_id:
        raise NotFoundError("dead letter", execution_id)
    if not tx.dead_letters.resolve(execution_id, status="discarded", reason=reason):
        raise ConflictError(f"dead letter {execution_id} is already {letter.status}")
