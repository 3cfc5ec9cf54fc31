"""The ledger of decisions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from mainspring.adapters.memory.journal import Journal
from mainspring.adapters.memory.values import each_isolated, isolated
from mainspring.errors import ConflictError
from mainspring.model.decision import Decision


class MemoryDecisionTable:
    """`DecisionTable` in dictionaries, by job."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._decisions: dict[str, dict[tuple[datetime, str], Decision]] = {}
        self._ranges: dict[str, dict[tuple[datetime, str], Decision]] = {}
        self._of_execution: dict[str, Decision] = {}

    def add(self, decisions: Sequence[Decision]) -> None:
        for decision in map(isolated, decisions):
            of_job, key = self._decisions.setdefault(decision.job_id, {}), (decision.scheduled_at, decision.key)
            if key in of_job:
                raise ConflictError(f"{decision.scheduled_at} of job {decision.job_id} is decided already")
            self._journal.put(of_job, key, decision)
            if decision.until_at is not None:
                self._journal.put(self._ranges.setdefault(decision.job_id, {}), key, decision)
            if decision.execution_id is not None:
                self._journal.put(self._of_execution, decision.execution_id, decision)

    def every(self) -> Iterable[Decision]:
        """Return every decision there is."""
        return (decision for of_job in self._decisions.values() for decision in of_job.values())

    def get(self, job_id: str, scheduled_at: datetime, key: str = "") -> Decision | None:
        exact = self._decisions.get(job_id, {}).get((scheduled_at, key))
        if exact is not None:
            return isolated(exact)
        ranges = self._ranges.get(job_id, {}).values()
        covering = [
            r for r in ranges if r.key == key and r.scheduled_at <= scheduled_at <= (r.until_at or scheduled_at)
        ]
        return isolated(max(covering, key=lambda r: r.scheduled_at)) if covering else None

    def find(
        self, job_id: str, *, since: datetime | None = None, until: datetime | None = None, limit: int = 50
    ) -> list[Decision]:
        found = (
            decision
            for decision in self._decisions.get(job_id, {}).values()
            if (since is None or decision.scheduled_at >= since) and (until is None or decision.scheduled_at < until)
        )
        return each_isolated(sorted(found, key=lambda d: (d.scheduled_at, d.key), reverse=True)[:limit])

    def of_execution(self, execution_id: str) -> Decision | None:
        decision = self._of_execution.get(execution_id)
        return None if decision is None else isolated(decision)

    def page(
        self,
        platform_id: str,
        *,
        job_id: str | None = None,
        after: tuple[str, datetime, str] | None = None,
        limit: int,
    ) -> list[Decision]:
        jobs = self._decisions if job_id is None else {job_id: self._decisions.get(job_id, {})}
        found = [
            decision
            for of_job in jobs.values()
            for decision in of_job.values()
            if decision.platform_id == platform_id and (after is None or _key(decision) > after)
        ]
        return each_isolated(sorted(found, key=_key)[:limit])

    def ran_since(self, job_id: str, since: datetime, limit: int) -> tuple[int, datetime | None]:
        of_job = self._decisions.get(job_id, {}).values()
        counted = sorted((d.scheduled_at for d in of_job if d.decision.runs and d.scheduled_at > since), reverse=True)
        return len(counted[:limit]), min(counted[:limit], default=None)

    def delete_decided(self, before: datetime, limit: int) -> int:
        old = [
            (of_job, key, decision)
            for of_job in self._decisions.values()
            for key, decision in of_job.items()
            if decision.decided_at < before and decision.scheduled_at < before
        ]
        old.sort(key=lambda one: one[2].decided_at)
        for of_job, key, decision in old[:limit]:
            self._journal.drop(of_job, key)
            if decision.until_at is not None:
                self._journal.drop(self._ranges[decision.job_id], key)
            if decision.execution_id is not None:
                self._journal.drop(self._of_execution, decision.execution_id)
        return min(len(old), limit)


def _key(decision: Decision) -> tuple[str, datetime, str]:
    return decision.job_id, decision.scheduled_at, decision.key
