"""The rows of executions and their indexes: by status and by job for what has not ended, nothing for what has."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from mainspring.adapters.memory.journal import Journal
from mainspring.adapters.memory.values import EXECUTION_DATA, plain
from mainspring.errors import StoreError
from mainspring.model.execution import LIVE, Execution, Status


class ExecutionRows:
    """Executions as they are stored. What is handed out here is shared: tables copy it before it leaves the store."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.all: dict[str, Execution] = {}
        self._live: dict[Status, dict[str, Execution]] = {status: {} for status in LIVE}
        self._live_of_job: defaultdict[str | None, dict[str, Execution]] = defaultdict(dict)

    def live(self, *statuses: Status) -> Iterator[Execution]:
        """Yield what has one of these statuses, none of them an ended one, in no order."""
        for status in statuses or LIVE:
            yield from self._live[status].values()

    def live_of_job(self, job_id: str) -> Iterator[Execution]:
        """Yield what has not ended of a job, in no order."""
        yield from self._live_of_job.get(job_id, {}).values()

    def put(self, execution: Execution) -> None:
        """Insert or replace a row."""
        before, put = self.all.get(execution.id), self._journal.put
        if before is not None and before.status is not execution.status:
            self._unindex(before, ended=execution.status.terminal)
        put(self.all, execution.id, execution)
        if not execution.status.terminal:
            put(self._live[execution.status], execution.id, execution)
            if execution.job_id is not None:
                put(self._live_of_job[execution.job_id], execution.id, execution)

    def change(self, execution: Execution, values: Mapping[str, Any]) -> Execution:
        """Replace a row by a copy with other values, and return that."""
        copied = {name: plain(value) if name in EXECUTION_DATA else value for name, value in values.items()}
        changed = execution.changed(**copied)
        if changed.id != execution.id:
            raise StoreError(f"execution {execution.id} cannot change its id")
        self.put(changed)
        return changed

    def drop(self, execution_id: str) -> None:
        """Delete a row of an ended execution."""
        self._journal.drop(self.all, execution_id)

    def _unindex(self, before: Execution, *, ended: bool) -> None:
        if not before.status.terminal:
            self._journal.drop(self._live[before.status], before.id)
            if ended:
                self._journal.drop(self._live_of_job[before.job_id], before.id)
