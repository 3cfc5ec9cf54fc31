"""Run one job here and now, through the same record as everything else: limits, lease, fence and ledger hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mainspring.engine.context import Context
from mainspring.engine.worker import Worker
from mainspring.errors import NotFoundError
from mainspring.model.execution import Execution, LogLine, Status
from mainspring.model.wire import milliseconds
from mainspring.moves.claim import claim
from mainspring.moves.enqueue import again, trigger
from mainspring.ports.clock import Wakeups
from mainspring.ports.store import Store, Tx

#: What a handler is given.
JobExecutionContext = Context


@dataclass(frozen=True, slots=True)
class JobExecutionRequest:
    """What to run: a job by name or id, for an instant, traced under an id, by this worker or a named one."""

    job_id: str
    scheduled_at: datetime | None = None
    trace_id: str | None = None
    worker_id: str | None = None
    payload: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class ExecutionResult:
    """How it ended. ``status`` is the execution's; ``duration_ms`` counts the last attempt, None if none started."""

    execution_id: str
    status: str
    result: Any = None
    error: Mapping[str, Any] | None = None
    duration_ms: int | None = None


class JobExecutorService:
    """Executes jobs through a worker of this process, which must be started."""

    def __init__(
        self, store: Store, worker: Worker, wakeups: Wakeups, *, platform_id: str = "default", log_lines: int = 10_000
    ) -> None:
        self._store, self._worker, self._wakeups = store, worker, wakeups
        self._platform_id, self._log_lines = platform_id, log_lines

    async def execute_job(
        self,
        job_id: str,
        scheduled_at: datetime | None = None,
        trace_id: str | None = None,
        worker_id: str | None = None,
        *,
        payload: Mapping[str, Any] | None = None,
    ) -> ExecutionResult:
        """Trigger a job, run it in this process, and return how it ended, after its retries.

        While a limit or the overlap policy holds it back it waits; another worker that claims it first runs it. The
        caller may stop waiting: the execution goes on. Raises `NotFoundError`, and `OverlapConflictError` where the
        policy refuses it. ``worker_id`` is kept in the log; the lease is always this worker's.
        """
        request = JobExecutionRequest(job_id, scheduled_at, trace_id, worker_id, payload)
        listener = self._wakeups.listen("queued", "ended")
        try:
            execution = await self._store.write(lambda tx: self._begin(tx, request))
            while not execution.status.terminal:
                if execution.status is Status.QUEUED:
                    await self._run_here(execution)
                await listener.wait(1.0)
                execution = await self._get(execution.id)
        finally:
            listener.close()
        return _result(execution)

    async def retry_execution(self, execution_id: str) -> Execution:
        """Run an ended execution again, as a new one that names it; a worker picks it up."""
        return await self._store.write(lambda tx: again(tx, execution_id, platform_id=self._platform_id))

    async def add_execution_log(self, execution_id: str, level: str, message: str, **fields: Any) -> int | None:
        """Add a line from outside an attempt; it is marked external. Returns its number, None past the cap."""

        def work(tx: Tx) -> int | None:
            self._existing(tx, execution_id)
            line = LogLine(execution_id, 0, tx.now, level, message, fields, external=True)
            return tx.logs.append(execution_id, [line], fence=None, cap=self._log_lines)

        return await self._store.write(work)

    async def get_execution_logs(self, execution_id: str, *, after: int = 0, limit: int = 1000) -> list[LogLine]:
        """Return log lines with a number above ``after``."""

        def work(tx: Tx) -> list[LogLine]:
            self._existing(tx, execution_id)
            return tx.logs.read(execution_id, after=after, limit=limit)

        return await self._store.read(work)

    def _begin(self, tx: Tx, request: JobExecutionRequest) -> Execution:
        tx.keep()
        execution = trigger(
            tx,
            self._platform_id,
            request.job_id,
            payload=request.payload,
            scheduled_at=request.scheduled_at,
            trace_id=request.trace_id,
        )
        if request.worker_id is not None:
            asked = {"worker_id": request.worker_id}
            line = LogLine(execution.id, 0, tx.now, "info", "asked for", asked, external=True)
            tx.logs.append(execution.id, [line], fence=None, cap=self._log_lines)
        return execution

    async def _run_here(self, execution: Execution) -> None:
        def work(tx: Tx) -> list[Execution]:
            lease = self._worker.settings.lease
            announced = self._worker.settings.started_events
            return claim(
                tx,
                self._worker.id,
                queues={},
                handlers=[],
                limit=1,
                lease=lease,
                only=execution.id,
                started_events=announced,
            )

        await self._worker.take(work)

    async def _get(self, execution_id: str) -> Execution:
        return await self._store.read(lambda tx: self._existing(tx, execution_id))

    def _existing(self, tx: Tx, execution_id: str) -> Execution:
        execution = tx.executions.get(execution_id)
        if execution is None or execution.platform_id != self._platform_id:
            raise NotFoundError("execution", execution_id)
        return execution


def _result(execution: Execution) -> ExecutionResult:
    started, finished = execution.started_at, execution.finished_at
    duration = milliseconds(finished - started) if started is not None and finished is not None else None
    return ExecutionResult(
        execution.id,
        execution.status.value,
        execution.result,
        execution.error if execution.status is not Status.SUCCESS else None,
        duration,
    )
