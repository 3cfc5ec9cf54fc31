"""Cancelling: what has not started ends at once; what runs is told, or with ``force`` fenced off."""

from __future__ import annotations

from mainspring.errors import ConflictError, NotFoundError
from mainspring.model.execution import Actor, Execution, Status
from mainspring.moves.end import end
from mainspring.ports.store import Tx


def cancel(
    tx: Tx, execution_id: str, *, reason: str = "cancelled", force: bool = False, platform_id: str | None = None
) -> Execution:
    """Cancel an execution; return it as stored afterwards. Once this has committed no attempt of it starts.

    A running one is asked to stop and ends within the grace, or is fenced off by the reaper; ``force`` ends it now.
    Cancelling what is already cancelled changes nothing. Raises `NotFoundError`, and `ConflictError` for one that
    ended otherwise.
    """
    execution = tx.executions.get(execution_id, lock=True)
    if execution is None or (platform_id is not None and execution.platform_id != platform_id):
        raise NotFoundError("execution", execution_id)
    if execution.status is Status.CANCELLED:
        return execution
    if execution.status.terminal:
        raise ConflictError(f"execution {execution_id} has already ended as {execution.status}")
    if execution.status in (Status.RUNNING, Status.WAITING) and not force:
        tx.executions.request_cancel(execution_id, reason)
        tx.wake("cancel")
    else:
        end(tx, execution, Status.CANCELLED, Actor.API, reason=reason)
    after = tx.executions.get(execution_id)
    assert after is not None
    return after
