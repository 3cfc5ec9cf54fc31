"""What happens when a job is due while earlier executions of it are active. Temporal's semantics, SPEC §3 and §6."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mainspring.model.decision import Verdict
from mainspring.model.job import ActiveExecution, JobDefinition
from mainspring.model.policy import Overlap


@dataclass(frozen=True, slots=True)
class Ruling:
    """What becomes of one occurrence.

    ``blocked_by`` is what the new execution waits for (None: nothing but limits); a ``buffered`` one does not count as
    active while it waits. ``cancel`` names executions to ask to stop, ``terminate`` those to end at once.
    """

    verdict: Verdict
    buffered: bool = False
    blocked_by: str | None = None
    cancel: tuple[str, ...] = ()
    terminate: tuple[str, ...] = ()
    reason: Mapping[str, Any] = field(default_factory=dict)


_RUNS = Ruling(Verdict.DISPATCHED)


class Slots:
    """The active and buffered executions of one job, kept current while a batch of occurrences is judged.

    >>> from mainspring.model.job import JobType
    >>> slots = Slots(JobDefinition("a", JobType.CRON, "h"), [])
    >>> slots.judge("first").verdict, slots.judge("second").verdict
    (<Verdict.DISPATCHED: 'dispatched'>, <Verdict.SKIPPED_OVERLAP: 'skipped_overlap'>)
    """

    def __init__(self, definition: JobDefinition, active: Iterable[ActiveExecution]) -> None:
        self._policy, self._limit, self._buffer = definition.overlap_policy, definition.slots, definition.buffer_limit
        self.active: list[str] = []
        self.buffered: list[str] = []
        for execution in active:
            (self.buffered if execution.buffered else self.active).append(execution.id)

    def judge(self, new_id: str) -> Ruling:
        """Judge one occurrence whose execution, if it gets one, is ``new_id``; remember the outcome for the next."""
        ruling = self._rule()
        if ruling.cancel or ruling.terminate:
            gone = {*ruling.terminate} | ({*ruling.cancel} & {*self.buffered})
            self.active = [e for e in self.active if e not in gone]
            self.buffered = [e for e in self.buffered if e not in gone]
        if ruling.verdict.runs:
            (self.buffered if ruling.buffered else self.active).append(new_id)
        return ruling

    def _rule(self) -> Ruling:
        free = self._limit is None or len(self.active) < self._limit
        if self._policy is Overlap.ALLOW_ALL:
            return Ruling(Verdict.DISPATCHED, blocked_by=None if free else "job")
        if free and not self.buffered:
            return _RUNS
        holder = self.active[0] if self.active else self.buffered[0]
        reason = {"policy": self._policy.value, "blocking": holder, "active": len(self.active)}
        waits = Ruling(Verdict.BUFFERED, buffered=True, blocked_by="overlap", reason=reason)
        match self._policy:
            case Overlap.SKIP:
                return Ruling(Verdict.SKIPPED_OVERLAP, reason=reason)
            case Overlap.BUFFER_ONE if self.buffered:
                return Ruling(Verdict.SKIPPED_OVERLAP, reason={**reason, "buffered": self.buffered[0]})
            case Overlap.BUFFER_ALL if len(self.buffered) >= self._buffer:
                return Ruling(Verdict.DROPPED_BUFFER_FULL, reason={**reason, "buffered": len(self.buffered)})
            case Overlap.CANCEL_OTHER:
                # A buffered one has not started: the newer instant takes its place, so at most one ever waits.
                cancel = (*self.active, *self.buffered)
                return Ruling(Verdict.BUFFERED, buffered=True, blocked_by="overlap", cancel=cancel, reason=reason)
            case Overlap.TERMINATE_OTHER:
                return Ruling(Verdict.DISPATCHED, terminate=(*self.active, *self.buffered), reason=reason)
        return waits
