"""Queued -> running: a worker takes executions under a lease and a fence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from mainspring.model.events import Event, EventType
from mainspring.model.execution import Execution
from mainspring.ports.store import Claimable, Tx


def claim(
    tx: Tx,
    worker_id: str,
    *,
    queues: Mapping[str, int],
    handlers: Sequence[str],
    limit: int,
    lease: timedelta,
    only: str | None = None,
    offered: Sequence[str] | None = None,
    started_events: bool = False,
    alone: bool = False,
) -> list[Execution]:
    """Lease queued executions to a worker by the store's clock; return them as they are now stored.

    However many callers there are, no execution is on lease to two of them. Each claim raises the fence. ``queues``
    says how many of each queue the worker has room for. ``offered`` narrows the claim to executions a transport named,
    which may be unknown, long ended, of another queue, or not for this worker; ``only`` to one, whatever its queue.
    With ``started_events`` each claim is an event, ``scheduler:execution.started``. ``alone``: the transaction is for
    this claim and nothing else, so that its end may go along with it.
    """
    if alone and only is None and not started_events:
        tx.end_with_next()
    if only is not None:
        mine = _claim_one(tx, worker_id, only, lease)
    else:
        mine = tx.executions.claim(worker_id, lease, Claimable(queues, handlers, limit, offered))
    if offered is not None:
        _tell_others(tx, set(offered) - {execution.id for execution in mine}, handlers)
    if started_events and mine:
        tx.outbox.add([_started(tx, execution) for execution in mine])
        tx.wake("outbox")
    return mine


def _tell_others(tx: Tx, left: set[str], handlers: Sequence[str]) -> None:
    """Wake who has the handlers of what was offered here in vain; whoever else was offered it would leave it too."""
    if left:
        others = tx.executions.queued_handlers_of(sorted(left)) - set(handlers)
        tx.wake(*(left_topic(handler) for handler in sorted(others)))


def left_topic(handler: str) -> str:
    """Return the topic that is woken when a worker without a handler was offered work for it.

    >>> left_topic("kb:reindex")
    'left:kb:reindex'
    """
    return f"left:{handler}"


def _started(tx: Tx, execution: Execution) -> Event:
    """The event of a start. It has no number of its own: those that end an attempt are numbered, with or without it."""
    data = {
        "execution_id": execution.id,
        "handler": execution.handler,
        "cause": execution.cause.value,
        "attempt": execution.attempt,
        "worker_id": execution.worker_id,
    }
    if execution.job_id is not None:
        data["job"], data["job_id"] = execution.job_name, execution.job_id
    kind = EventType.EXECUTION_STARTED
    return Event(tx.new_id(), kind, execution.platform_id, tx.now, subject=execution.id, data=data)


def _claim_one(tx: Tx, worker_id: str, execution_id: str, lease: timedelta) -> list[Execution]:
    one = tx.executions.get(execution_id, lock=True)  # waited for: a claim passes over what others have locked
    if one is None:
        return []
    return tx.executions.claim(worker_id, lease, Claimable({one.queue: 1}, [one.handler], 1, [one.id]))
