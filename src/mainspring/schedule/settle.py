"""The step that follows an attempt's outcome: pure arithmetic over the execution's own policy."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from mainspring.model.execution import Attempt, Execution, Failure, Status
from mainspring.model.outcome import Cancelled, Failed, Lost, Outcome, Released, Snoozed, Succeeded, TimedOut, Waiting
from mainspring.schedule.backoff import backoff

#: Lost attempts after which an execution is poisoned (SPEC §6). They never count as failures.
POISON_LIMIT = 3


@dataclass(frozen=True, slots=True)
class Step:
    """Where the execution goes, with the values that change, and the attempt row to keep (None: it needs none)."""

    to: Status
    set: Mapping[str, Any] = field(default_factory=dict)
    attempt: Attempt | None = None


def settle(execution: Execution, outcome: Outcome, *, now: datetime, draw: float) -> Step:
    """Decide what follows ``outcome`` of the attempt an execution is in.

    Args:
        execution: As it was claimed: status running (or waiting), its ``attempt`` and ``fence`` those of this attempt.
        outcome: How the attempt ended.
        now: The store's clock.
        draw: A uniform random number in [0, 1) for the retry's jitter.
    """
    if isinstance(outcome, Succeeded):
        return _succeeded(execution, outcome, now)
    released = {"worker_id": None, "lease_until": None, "deadline_at": None}
    ended = {**released, "finished_at": now, "external_ref": None}
    match outcome:
        case Snoozed() | Released() if execution.cancel_requested_at is not None:
            # Nobody may claim it any more: given back, it would wait for ever.
            return settle(execution, Cancelled(), now=now, draw=draw)
        case Snoozed(after):
            given_back = {"attempt": execution.attempt - 1, "available_at": now + after, "started_at": None}
            return Step(Status.PENDING, {**released, **given_back}, _attempt(execution, "snoozed", now))
        case Released():
            given_back = {"attempt": execution.attempt - 1, "queued_at": now, "started_at": None}
            return Step(Status.QUEUED, {**released, **given_back}, _attempt(execution, "released", now))
        case Waiting(reference, until):
            held = {"worker_id": None, "lease_until": None, "deadline_at": until, "external_ref": reference}
            return Step(Status.WAITING, held, None)
        case Cancelled(error):
            why = error or {"type": "Cancelled", "message": execution.cancel_reason or "cancelled", "traceback": ""}
            return Step(Status.CANCELLED, {**ended, "error": why}, _attempt(execution, "cancelled", now, why))
        case Lost(worker_id, detail):
            return _lost(execution, f"worker {worker_id or 'unknown'} {detail}", now, released, ended)
        case TimedOut(error):
            return _failed(execution, Failure.TIMEOUT, error, None, True, now, draw)
        case Failed(error, retryable, retry_after, invalid_payload):
            kind = Failure.INVALID_PAYLOAD if invalid_payload else Failure.ERROR
            return _failed(execution, kind, error, retry_after, retryable and not invalid_payload, now, draw)


def _succeeded(execution: Execution, outcome: Succeeded, now: datetime) -> Step:
    changes: dict[str, Any] = {
        "worker_id": None,
        "lease_until": None,
        "deadline_at": None,
        "finished_at": now,
        "external_ref": None,
        "result": outcome.result,
    }
    if outcome.usage is not None:
        changes["usage"] = outcome.usage
    return Step(Status.SUCCESS, changes, None if execution.attempt == 1 else _attempt(execution, "success", now))


def _lost(execution: Execution, what: str, now: datetime, released: dict[str, Any], ended: dict[str, Any]) -> Step:
    losses = execution.losses + 1
    message = f"attempt {execution.attempt} was lost: {what}"
    error = {"type": "LostWorker", "message": message, "traceback": ""}
    attempt = _attempt(execution, "lost", now, error)
    # The fence rises here too, so that the lost worker's late result is refused before anyone claims again.
    bumped = {"losses": losses, "fence": execution.fence + 1, "error": error}
    if execution.cancel_requested_at is not None:
        return Step(Status.CANCELLED, {**ended, **bumped}, attempt)
    if losses >= POISON_LIMIT:
        return Step(Status.FAILED, {**ended, **bumped, "failure": Failure.POISONED}, attempt)
    return Step(Status.RETRYING, {**released, **bumped, "available_at": now}, attempt)


def _failed(
    execution: Execution,
    kind: Failure,
    error: Mapping[str, Any],
    after: timedelta | None,
    retryable: bool,
    now: datetime,
    draw: float,
) -> Step:
    failures = execution.failures + 1
    attempt = _attempt(execution, kind.value, now, error)
    released = {"worker_id": None, "lease_until": None, "deadline_at": None, "failures": failures, "error": error}
    if execution.cancel_requested_at is not None:
        return Step(Status.CANCELLED, {**released, "finished_at": now, "external_ref": None}, attempt)
    if retryable and failures <= execution.retry.max_retries:
        delay = after if after is not None else backoff(failures, execution.retry, draw=draw)
        return Step(Status.RETRYING, {**released, "available_at": now + delay, "external_ref": None}, attempt)
    return Step(Status.FAILED, {**released, "finished_at": now, "failure": kind, "external_ref": None}, attempt)


def _attempt(execution: Execution, outcome: str, now: datetime, error: Mapping[str, Any] | None = None) -> Attempt:
    return Attempt(
        execution.id,
        execution.fence,
        execution.attempt,
        outcome,
        now,
        worker_id=execution.worker_id,
        started_at=execution.started_at,
        error=error,
    )


def fingerprint(handler: str, error: Mapping[str, Any] | None) -> str:
    """Return a short name shared by failures of one cause: handler, error type, and message without its numbers.

    >>> a = fingerprint("h", {"type": "KeyError", "message": "row 17"})
    >>> a == fingerprint("h", {"type": "KeyError", "message": "row 4"})
    True
    """
    error = error or {}
    message = re.sub(r"0x[0-9a-f]+|[0-9a-f]{8}-[0-9a-f-]{27}|\d+", "#", str(error.get("message", ""))[:500])
    text = "\0".join((handler, str(error.get("type", "")), message))
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).hexdigest()
