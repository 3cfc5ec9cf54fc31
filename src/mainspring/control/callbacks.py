"""Signed callbacks: how work handed to something outside comes back to the execution that waits for it.

Each waiting execution has a secret of its own, made of the installation's secret, its id and its fence: a callback for
another execution or an older attempt does not verify. Signatures are those of Standard Webhooks.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from mainspring.errors import ConflictError, NotFoundError, UnauthorizedError, ValidationError
from mainspring.model.execution import Actor, Execution, Status
from mainspring.model.outcome import Failed, Outcome, Succeeded
from mainspring.model.wire import RESULT_LIMIT
from mainspring.moves.end import Ended, settle_attempts
from mainspring.moves.enqueue import encoded_size
from mainspring.ports.sealing import Sealer, Unsealed
from mainspring.ports.store import Tx

#: Where the installation's secret is kept, and what it is sealed for.
NOTE, PURPOSE = "callback_secret", "callback"
#: How far a callback's timestamp may be from the store's now.
TOLERANCE = timedelta(minutes=5)


_UNSEALED = Unsealed()


@dataclass(frozen=True, slots=True)
class Signed:
    """A callback as it came: the three headers of Standard Webhooks, and the body's bytes."""

    id: str
    timestamp: str
    signature: str
    body: bytes


def make_secret(tx: Tx, sealer: Sealer = _UNSEALED) -> None:
    """Give the installation its secret, once; to be called before callbacks are offered."""
    if tx.platforms.note(NOTE) is None:
        tx.platforms.put_note(NOTE, sealer.seal(secrets.token_urlsafe(32), PURPOSE))


def callback_secret(tx: Tx, platform_id: str, execution_id: str, sealer: Sealer = _UNSEALED) -> tuple[Execution, str]:
    """Return a waiting execution and the secret its callback is signed with: ``whsec_`` and base64."""
    execution = tx.executions.get(execution_id)
    if execution is None or execution.platform_id != platform_id:
        raise NotFoundError("execution", execution_id)
    if execution.status is not Status.WAITING:
        raise ConflictError(f"execution {execution_id} is {execution.status}: only a waiting one takes a callback")
    return execution, "whsec_" + base64.b64encode(_key(tx, execution_id, execution.fence, sealer)).decode()


def settle_callback(
    tx: Tx, execution_id: str, signed: Signed, body: Mapping[str, Any], draw: float, sealer: Sealer = _UNSEALED
) -> tuple[Execution, bool]:
    """Record what a callback says; return the execution as it is then, and whether this changed it.

    The same callback again changes nothing. Raises `UnauthorizedError` for a signature that does not hold, whatever
    the reason: unknown execution, old fence, altered body, or a timestamp beyond 5 minutes.
    """
    execution = _signed_for(tx, execution_id, signed, sealer, lock=True)
    if execution.status is not Status.WAITING:
        return execution, False
    outcome = read_outcome(body)
    settle_attempts(tx, [Ended(execution, outcome, draw)], Actor.CALLBACK)
    after = tx.executions.get(execution_id)
    assert after is not None
    return after, True


def check_callback(tx: Tx, execution_id: str, signed: Signed, sealer: Sealer = _UNSEALED) -> None:
    """Raise what `settle_callback` would for a signature that does not hold; change nothing, and hold nothing."""
    _signed_for(tx, execution_id, signed, sealer)


def _signed_for(tx: Tx, execution_id: str, signed: Signed, sealer: Sealer, *, lock: bool = False) -> Execution:
    execution = tx.executions.get(execution_id, lock=lock)
    fence = execution.fence if execution is not None else 0
    if not _verified(tx, execution_id, fence, signed, sealer) or execution is None:
        raise UnauthorizedError("the callback's signature does not hold for this execution")
    return execution


def read_outcome(body: Mapping[str, Any]) -> Outcome:
    """Read ``{"status": "success", "result": …}`` or ``{"status": "failed", "error": {…}, "retryable": true}``."""
    if body.get("status") == "success":
        if body.get("result") is not None and encoded_size({"result": body["result"]}, "result") > RESULT_LIMIT:
            raise ValidationError(f"is over {RESULT_LIMIT} bytes", field="result")
        return Succeeded(body.get("result"))
    if body.get("status") == "failed":
        error = body.get("error") or {}
        if not isinstance(error, Mapping):
            raise ValidationError("must be an object with type and message", field="error")
        kind, message = str(error.get("type") or "CallbackError")[:200], str(error.get("message") or "")[:8_000]
        told = {"type": kind, "message": message, "traceback": ""}
        return Failed(told, retryable=body.get("retryable", True) is True)
    raise ValidationError("must be success or failed", field="status")


def _key(tx: Tx, execution_id: str, fence: int, sealer: Sealer) -> bytes:
    stored = tx.platforms.note(NOTE)
    if stored is None:
        raise ConflictError("this installation takes no callbacks: it has no secret yet; start a server first")
    secret = sealer.open(stored, PURPOSE)
    return hmac.new(secret.encode(), f"{execution_id}.{fence}".encode(), hashlib.sha256).digest()


def _verified(tx: Tx, execution_id: str, fence: int, signed: Signed, sealer: Sealer) -> bool:
    if not signed.timestamp.isascii() or not signed.timestamp.isdecimal() or len(signed.timestamp) > 12:
        return False
    fresh = abs(tx.now.timestamp() - int(signed.timestamp)) <= TOLERANCE.total_seconds()
    content = f"{signed.id}.{signed.timestamp}.".encode() + signed.body
    right = base64.b64encode(hmac.new(_key(tx, execution_id, fence, sealer), content, hashlib.sha256).digest()).decode()
    # Ended, an execution keeps the fence of its last attempt: a repeated callback still verifies, and changes nothing.
    given = [part.removeprefix("v1,") for part in signed.signature.split(" ")[:8] if part.startswith("v1,")]
    matches = [hmac.compare_digest(right.encode(), one.encode("utf-8", "replace")) for one in given]
    return fresh and any(matches)
