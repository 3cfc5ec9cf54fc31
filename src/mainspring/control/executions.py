"""Executions and their dead letters, as API, CLI, dashboard and code ask for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mainspring.control.payloads import announced, check_payload, payload_check
from mainspring.control.service import PlatformService, Told
from mainspring.control.traced import producing, traced
from mainspring.errors import NotFoundError
from mainspring.model.decision import Decision
from mainspring.model.execution import Attempt, DeadLetter, Execution, LogLine
from mainspring.model.policy import Overlap
from mainspring.moves import cancel as cancelling
from mainspring.moves import enqueue as enqueuing
from mainspring.moves import jobs
from mainspring.moves.enqueue import EnqueueRequest
from mainspring.ports.store import ExecutionQuery, Tx
from mainspring.ports.tracing import Tracing


@dataclass(frozen=True, slots=True)
class ExecutionView:
    """An execution with its kept attempts and the decision that made it, if one did."""

    execution: Execution
    attempts: tuple[Attempt, ...]
    decision: Decision | None


class ExecutionService(PlatformService):
    """What people ask of the executions of one platform."""

    #: What makes spans of work that is made here, None for nothing.
    tracing: Tracing | None = None

    async def trigger_job(
        self,
        name: str,
        *,
        payload: Mapping[str, Any] | None = None,
        overlap: Overlap | None = None,
        idempotency_key: str | None = None,
    ) -> Execution:
        """Run a job now under its policies. `OverlapConflictError` names the execution that holds its slot."""

        def work(tx: Tx) -> Execution:
            if payload is not None:
                job = jobs.existing(tx, self.platform_id, name)
                check_payload(announced(tx, self.platform_id, job.definition.handler), payload)
            return enqueuing.trigger(
                tx,
                self.platform_id,
                name,
                payload=payload,
                overlap=overlap,
                idempotency_key=idempotency_key,
                trace=span.ids,
            )

        with producing(self.tracing, name, self.platform_id) as span:
            return span.made(await self._change("job.trigger", name, work, after=_made))

    async def enqueue(self, requests: Sequence[EnqueueRequest]) -> list[Execution]:
        """Make executions of handlers, without a job; all of them or none."""

        def work(tx: Tx) -> list[Execution]:
            checks = {
                name: payload_check(announced(tx, self.platform_id, name)) for name in {r.handler for r in requests}
            }
            # A payload that many requests share is checked once.
            for (handler, _), payload in {(r.handler, id(r.payload)): r.payload for r in requests}.items():
                checks[handler](payload)
            mine = [traced(self._own(request), span.ids) for request in requests]
            return enqueuing.enqueue(tx, mine)

        handlers = ", ".join(sorted({request.handler for request in requests}))
        with producing(self.tracing, handlers[:200], self.platform_id) as span:
            made = await self._change(
                "execution.enqueue", handlers, work, after=lambda made: {"executions": [e.id for e in made[:100]]}
            )
            if len(made) == 1:
                span.made(made[0])
            return made

    def _own(self, request: EnqueueRequest) -> EnqueueRequest:
        """The request as one of this platform, whatever it says; most say so."""
        return request if request.platform_id == self.platform_id else replace(request, platform_id=self.platform_id)

    async def get_execution(self, execution_id: str) -> ExecutionView:
        """Return an execution with its attempts and decision."""

        def work(tx: Tx) -> ExecutionView:
            execution = self._execution(tx, execution_id)
            attempts = tuple(tx.executions.attempts(execution_id))
            return ExecutionView(execution, attempts, tx.decisions.of_execution(execution_id))

        return await self._store.read(work)

    async def list_executions(self, query: ExecutionQuery, *, job: str | None = None) -> list[Execution]:
        """Return executions of this platform, newest first; ``job`` narrows by a job's name or id."""

        def work(tx: Tx) -> list[Execution]:
            found = replace(query, platform_id=self.platform_id)
            if job is not None:
                found = replace(found, job_id=jobs.existing(tx, self.platform_id, job).id)
            return tx.executions.find(found)

        return await self._store.read(work)

    async def logs(self, execution_id: str, *, after: int = 0, limit: int = 1000) -> list[LogLine]:
        """Return an execution's log lines with a number above ``after``."""

        def work(tx: Tx) -> list[LogLine]:
            self._execution(tx, execution_id)
            return tx.logs.read(execution_id, after=after, limit=limit)

        return await self._store.read(work)

    async def cancel_execution(self, execution_id: str, *, reason: str = "cancelled", force: bool = False) -> Execution:
        """Cancel an execution: at once where it has not started; a running one is told, or by ``force`` fenced off."""
        platform_id = self.platform_id
        return await self._change(
            "execution.cancel",
            execution_id,
            lambda tx: cancelling.cancel(tx, execution_id, reason=reason, force=force, platform_id=platform_id),
            after=lambda _: {"reason": reason, "force": force},
        )

    async def retry_execution(self, execution_id: str, *, payload: Mapping[str, Any] | None = None) -> Execution:
        """Run an ended execution again, as a new one that names it."""
        return await self._change(
            "execution.retry",
            execution_id,
            lambda tx: enqueuing.again(tx, execution_id, platform_id=self.platform_id, payload=payload),
            after=_made,
        )

    def _execution(self, tx: Tx, execution_id: str) -> Execution:
        execution = tx.executions.get(execution_id)
        if execution is None or execution.platform_id != self.platform_id:
            raise NotFoundError("execution", execution_id)
        return execution

    async def list_dead_letters(
        self,
        *,
        status: str | None = "open",
        job: str | None = None,
        handler: str | None = None,
        fingerprint: str | None = None,
        before_id: str | None = None,
        limit: int = 50,
    ) -> list[DeadLetter]:
        """Return dead letters, newest first."""

        def work(tx: Tx) -> list[DeadLetter]:
            job_id = jobs.existing(tx, self.platform_id, job).id if job is not None else None
            return tx.dead_letters.find(
                self.platform_id,
                status=status,
                job_id=job_id,
                handler=handler,
                fingerprint=fingerprint,
                before_id=before_id,
                limit=limit,
            )

        return await self._store.read(work)

    async def redrive(self, execution_id: str, *, payload: Mapping[str, Any] | None = None) -> Execution:
        """Run a dead letter's execution again, as a new one, and close the letter."""
        return await self._change(
            "dead_letter.redrive",
            execution_id,
            lambda tx: enqueuing.redrive(tx, execution_id, platform_id=self.platform_id, payload=payload),
            after=_made,
        )

    async def discard(self, execution_id: str, *, reason: str) -> None:
        """Close a dead letter without running it."""
        await self._change(
            "dead_letter.discard",
            execution_id,
            lambda tx: enqueuing.discard(tx, execution_id, platform_id=self.platform_id, reason=reason),
            after=lambda _: {"reason": reason},
        )


def _made(execution: Execution) -> Told:
    return {"execution": execution.id}
