"""The moves of an execution whose moves were not recorded, derived from its row and its kept attempts.

What nothing kept is not made up: a stay in ``waiting`` that is over has left no trace, and a retry's way back to
``queued`` is dated by the claim that followed it where no other instant is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from mainspring.model.execution import BY_DISPATCHER, Actor, Attempt, Execution, Status, Transition

#: What an attempt's end leads to unless it was the last; whatever is not named here leads to another try.
_AFTER = {"released": Status.QUEUED, "snoozed": Status.PENDING}


def derive_history(execution: Execution, attempts: Sequence[Attempt]) -> list[Transition]:
    """Return the moves of an execution, in order, as far as its row and its kept attempts tell them.

    Args:
        execution: Its row.
        attempts: Its kept attempts, by fence.

    >>> from datetime import UTC, timedelta
    >>> from mainspring.model.execution import Cause
    >>> at = datetime(2026, 3, 1, tzinfo=UTC)
    >>> done = Execution("i", "default", "h", Status.SUCCESS, Cause.ENQUEUE, at, at, queued_at=at, attempt=1, fence=1,
    ...     started_at=at + timedelta(seconds=1), finished_at=at + timedelta(seconds=2))
    >>> [f"{move.source} -> {move.to}" for move in derive_history(done, [])]
    ['None -> queued', 'queued -> running', 'running -> success']
    """
    path = _Path(execution, waited=not attempts)
    for index, attempt in enumerate(attempts):
        path.claim(attempt.started_at or attempt.ended_at, attempt.fence)
        following = attempts[index + 1].fence - 1 if index + 1 < len(attempts) else path.fence_at_rest(attempt)
        # Whoever takes an attempt away from its worker raises the fence at once, and not only at the next claim.
        taken = following > attempt.fence
        path.to(path.after(attempt), Actor.REAPER if taken else Actor.WORKER, following, attempt.ended_at)
    path.rest()
    return path.moves


class _Path:
    """The moves so far; the last one says where they have led."""

    def __init__(self, execution: Execution, *, waited: bool) -> None:
        self._execution = execution
        self.moves: list[Transition] = []
        queued_at = execution.queued_at
        # Queued anew after an attempt, the row no longer says when it was first.
        at_once = queued_at is not None and (queued_at <= execution.created_at or not waited)
        by = Actor.DISPATCHER if execution.cause in BY_DISPATCHER else Actor.API
        self.to(Status.QUEUED if at_once else Status.PENDING, by, 0, execution.created_at)

    @property
    def _last(self) -> Transition:
        return self.moves[-1]

    def to(self, status: Status, actor: Actor, fence: int, at: datetime) -> None:
        source = self.moves[-1].to if self.moves else None
        self.moves.append(Transition(self._execution.id, source, status, actor, fence, at))

    def after(self, attempt: Attempt) -> Status:
        """Where the end of an attempt led."""
        e = self._execution
        if e.status.terminal and e.finished_at is not None and attempt.ended_at >= e.finished_at:
            return e.status
        return _AFTER.get(attempt.outcome, Status.RETRYING)

    def fence_at_rest(self, attempt: Attempt) -> int:
        """The fence the last kept attempt left behind: the row's own, unless it was claimed once more since."""
        e = self._execution
        claimed_since = e.started_at is not None and e.started_at >= attempt.ended_at
        return e.fence - 1 if claimed_since else e.fence

    def claim(self, at: datetime, fence: int) -> None:
        self._queue(at)
        self.to(Status.RUNNING, Actor.WORKER, fence, at)

    def rest(self) -> None:
        """Lead from where the kept attempts end to where the row stands."""
        e = self._execution
        if e.started_at is not None and e.fence > self._last.fence and e.started_at >= self._last.at:
            self.claim(e.started_at, e.fence)
        elif e.queued_at is not None and e.queued_at > self._last.at:
            self._queue(e.queued_at)
        if self._last.to is e.status:
            return
        by_worker = self._last.to is Status.RUNNING
        ender = Actor.DISPATCHER if e.status is Status.EXPIRED else Actor.API
        self.to(e.status, Actor.WORKER if by_worker else ender, self._last.fence, e.finished_at or self._last.at)

    def _queue(self, at: datetime) -> None:
        if self._last.to is not Status.QUEUED:
            known = self._execution.queued_at
            exact = known is not None and self._last.at <= known <= at
            self.to(Status.QUEUED, Actor.DISPATCHER, self._last.fence, known if exact and known else at)
