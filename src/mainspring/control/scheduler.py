"""Jobs, executions and dead letters, as API, CLI, dashboard and code ask for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from mainspring.control.health import Health, HealthLimits, check_health, collect_metrics
from mainspring.control.match import Match, match_event
from mainspring.control.payloads import announced, check_payload, payload_check, with_defaults
from mainspring.control.service import PlatformService, Told
from mainspring.control.traced import producing, traced
from mainspring.control.watermark import Watermark, read_watermark
from mainspring.errors import NotFoundError, ValidationError
from mainspring.model import wire
from mainspring.model.decision import Decision
from mainspring.model.events import Event
from mainspring.model.execution import Attempt, DeadLetter, Execution, LogLine
from mainspring.model.job import Job, JobStats, JobStatus, JobType
from mainspring.model.node import Limit
from mainspring.model.policy import Overlap
from mainspring.model.trace import headers
from mainspring.model.wire import definition_from_wire, milliseconds
from mainspring.moves import cancel as cancelling
from mainspring.moves import enqueue as enqueuing
from mainspring.moves import events, jobs
from mainspring.moves import hold as holding
from mainspring.moves.enqueue import EnqueueRequest
from mainspring.moves.events import Published
from mainspring.moves.hold import Hold
from mainspring.moves.jobs import Changed
from mainspring.moves.skip import skip_next
from mainspring.ports.store import ExecutionQuery, Tx
from mainspring.ports.tracing import Tracing


@dataclass(frozen=True, slots=True)
class JobView:
    """A job with its rollups."""

    job: Job
    stats: JobStats


@dataclass(frozen=True, slots=True)
class ExecutionView:
    """An execution with its kept attempts and the decision that made it, if one did."""

    execution: Execution
    attempts: tuple[Attempt, ...]
    decision: Decision | None


class SchedulerService(PlatformService):
    """Everything people ask of one platform. Each method is one transaction; writes are durable when they return.

    Raises the errors of `mainspring.errors`: `NotFoundError` for what this platform does not have, `ValidationError`
    for input that cannot work, `ConflictError` for what the present state does not allow.
    """

    #: Lags beyond which `health_check` warns and fails.
    health_limits: HealthLimits | None = None
    #: What makes spans of work that is made here, None for nothing.
    tracing: Tracing | None = None

    # -- jobs ----------------------------------------------------------------------------------------------------

    async def create_job(self, fields: Mapping[str, Any]) -> Changed:
        """Create a job from its wire shape (SPEC §3). What it does not name comes from its handler's defaults."""

        def work(tx: Tx) -> Changed:
            row = announced(tx, self.platform_id, str(fields.get("handler", "")))
            definition = definition_from_wire(with_defaults(row, fields))
            check_payload(row, definition.payload)
            return jobs.create_job(tx, self.platform_id, definition, actor=self._actor)

        return await self._change("job.create", str(fields.get("name", "")), work, after=_defined)

    async def create_jobs(self, several: Sequence[Mapping[str, Any]]) -> list[Changed]:
        """Create jobs from their wire shapes, all of them or none; far cheaper than one call for each."""

        def work(tx: Tx) -> list[Changed]:
            rows = {name: announced(tx, self.platform_id, name) for name in {_handler_of(one) for one in several}}
            checks = {name: payload_check(row) for name, row in rows.items()}
            definitions = []
            for one in several:
                handler = _handler_of(one)
                definitions.append(definition_from_wire(with_defaults(rows[handler], one)))
                checks[handler](definitions[-1].payload)
            return jobs.create_jobs(tx, self.platform_id, definitions, actor=self._actor)

        return await self._change("job.create", f"{len(several)} jobs", work, after=_all_defined)

    async def get_job(self, name: str) -> JobView:
        """Return a job by name or id, with its rollups."""

        def work(tx: Tx) -> JobView:
            job = jobs.existing(tx, self.platform_id, name)
            return JobView(job, tx.jobs.stats([job.id]).get(job.id, JobStats(job.id)))

        return await self._store.read(work)

    async def list_jobs(
        self,
        *,
        status: JobStatus | None = None,
        type: JobType | None = None,
        handler: str | None = None,
        name_contains: str | None = None,
        after: str | None = None,
        limit: int = 50,
    ) -> list[JobView]:
        """Return jobs by name, strictly after the name ``after``; archived ones only if asked for."""

        def work(tx: Tx) -> list[JobView]:
            found = tx.jobs.find(
                self.platform_id,
                status=status,
                type=type,
                handler=handler,
                name_contains=name_contains,
                after=after,
                limit=limit,
            )
            stats = tx.jobs.stats([job.id for job in found])
            return [JobView(job, stats.get(job.id, JobStats(job.id))) for job in found]

        return await self._store.read(work)

    async def update_job(
        self, name: str, changes: Mapping[str, Any], *, expected_revision: int | None = None
    ) -> Changed:
        """Change the fields named; null returns one to its default."""

        def work(tx: Tx) -> Changed:
            job = jobs.existing(tx, self.platform_id, name)
            row = announced(tx, self.platform_id, str(changes.get("handler", job.definition.handler)))
            check_payload(row, changes.get("payload", job.definition.payload) or {})
            return jobs.update_job(
                tx,
                self._schedules,
                self.platform_id,
                name,
                changes,
                expected_revision=expected_revision,
                actor=self._actor,
            )

        return await self._change("job.update", name, work, before=self._definition(name), after=_defined)

    async def put_job(self, fields: Mapping[str, Any]) -> Changed:
        """Create the job, or change only the fields named, as code and job files do."""

        def work(tx: Tx) -> Changed:
            row = announced(tx, self.platform_id, str(fields.get("handler", "")))
            check_payload(row, fields.get("payload") or {})
            exists = tx.jobs.get(self.platform_id, str(fields.get("name", ""))) is not None
            named = fields if exists else with_defaults(row, fields)
            return jobs.put_job(tx, self._schedules, self.platform_id, named, actor=self._actor)

        name = str(fields.get("name", ""))
        return await self._change("job.put", name, work, before=self._definition(name), after=_defined)

    async def replace_job(
        self, whole: Mapping[str, Any], given: Mapping[str, Any], *, expected_revision: int | None = None
    ) -> Changed:
        """Create a job from the fields ``given``, or replace its definition: ``whole`` has null for what is not."""

        def work(tx: Tx) -> Changed:
            row = announced(tx, self.platform_id, str(given.get("handler", "")))
            check_payload(row, given.get("payload") or {})
            found = tx.jobs.get(self.platform_id, name)
            if found is None or found.status is JobStatus.ARCHIVED:
                if expected_revision is not None:
                    raise NotFoundError("job", name)
                definition = definition_from_wire(with_defaults(row, given))
                return jobs.create_job(tx, self.platform_id, definition, actor=self._actor)
            return jobs.update_job(
                tx,
                self._schedules,
                self.platform_id,
                name,
                whole,
                expected_revision=expected_revision,
                actor=self._actor,
            )

        name = str(given.get("name", ""))
        return await self._change("job.put", name, work, before=self._definition(name), after=_defined)

    async def revert_job(self, name: str, revision: int, *, expected_revision: int | None = None) -> Changed:
        """Let the definition of a former revision hold again, as a new revision."""

        def work(tx: Tx) -> Changed:
            job = jobs.existing(tx, self.platform_id, name, lock=True)
            former = next((kept for number, _, _, kept in tx.jobs.revisions(job.id) if number == revision), None)
            if former is None:
                raise NotFoundError("revision", f"{name} r{revision}")
            return jobs.update_job(
                tx,
                self._schedules,
                self.platform_id,
                job.id,
                former,
                expected_revision=expected_revision,
                actor=self._actor,
            )

        return await self._change("job.revert", name, work, before=self._definition(name), after=_defined)

    async def skip_occurrence(self, name: str, *, reason: str, at: datetime | None = None) -> Decision:
        """Pass over a job's next instant; ``at`` names the one that is meant."""
        return await self._change(
            "job.skip",
            name,
            lambda tx: skip_next(tx, self._schedules, self.platform_id, name, reason=reason, at=at, actor=self._actor),
            after=lambda made: {"scheduled_at": wire.instant(made.scheduled_at), "reason": reason},
        )

    async def delete_job(self, name: str, *, expected_revision: int | None = None) -> Changed:
        """Archive a job: it is decided no more, its name is free, its history stays."""
        return await self._change(
            "job.archive",
            name,
            lambda tx: jobs.archive_job(
                tx,
                self._schedules,
                self.platform_id,
                name,
                expected_revision=expected_revision,
                actor=self._actor,
            ),
        )

    async def pause_job(self, name: str, *, reason: str, until: datetime | None = None) -> Changed:
        """Stop deciding a job's instants until it is resumed, or ``until``."""
        return await self._change(
            "job.pause",
            name,
            lambda tx: jobs.pause_job(
                tx, self._schedules, self.platform_id, name, reason=reason, until=until, actor=self._actor
            ),
            after=lambda _: {"reason": reason, "until": wire.instant(until)},
        )

    async def resume_job(self, name: str, *, catch_up: bool = False) -> Changed:
        """Decide a paused job again; what passed is skipped, or with ``catch_up`` decided by its misfire policy."""
        return await self._change(
            "job.resume",
            name,
            lambda tx: jobs.resume_job(
                tx, self._schedules, self.platform_id, name, catch_up=catch_up, actor=self._actor
            ),
            after=lambda _: {"catch_up": catch_up},
        )

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

    async def handle_event(
        self,
        type: str,
        data: Mapping[str, Any] | None = None,
        *,
        id: str | None = None,
        source: str = "mainspring",
        subject: str | None = None,
        chain_depth: int = 0,
    ) -> Published:
        """Accept an event once, and run the event jobs that match it; it carries on the trace it is made in."""
        extensions = headers()  # here: the transaction runs in a thread of its own
        return await self._change(
            "event.publish",
            type,
            lambda tx: events.publish(
                tx,
                self.platform_id,
                type,
                data,
                event_id=id,
                source=source,
                subject=subject,
                chain_depth=chain_depth,
                extensions=extensions,
                schedules=self._schedules,
            ),
            after=lambda done: {"id": done.event.id, "source": source, "executions": [e.id for e in done.executions]},
        )

    async def match_event(
        self,
        name: str,
        type: str,
        data: Mapping[str, Any] | None = None,
        *,
        id: str = "test",
        source: str = "mainspring",
        subject: str | None = None,
    ) -> Match:
        """Say whether an event would concern an event job, and if not, which condition fails. Nothing is published."""

        def work(tx: Tx) -> Match:
            event = Event(id, type, self.platform_id, tx.now, source, subject, dict(data or {}))
            return match_event(tx, self._schedules, name, event)

        return await self._store.read(work)

    async def decisions(
        self, name: str, *, since: datetime | None = None, until: datetime | None = None, limit: int = 50
    ) -> list[Decision]:
        """Return a job's ledger, newest first."""

        def work(tx: Tx) -> list[Decision]:
            job = jobs.existing(tx, self.platform_id, name)
            return tx.decisions.find(job.id, since=since, until=until, limit=limit)

        return await self._store.read(work)

    # -- executions ----------------------------------------------------------------------------------------------

    async def enqueue(self, requests: Sequence[EnqueueRequest]) -> list[Execution]:
        """Make executions of handlers, without a job; all of them or none."""

        def work(tx: Tx) -> list[Execution]:
            checks = {
                name: payload_check(announced(tx, self.platform_id, name)) for name in {r.handler for r in requests}
            }
            for request in requests:
                checks[request.handler](request.payload)
            mine = [traced(replace(r, platform_id=self.platform_id), span.ids) for r in requests]
            return enqueuing.enqueue(tx, mine)

        handlers = ", ".join(sorted({request.handler for request in requests}))
        with producing(self.tracing, handlers[:200], self.platform_id) as span:
            made = await self._change(
                "execution.enqueue", handlers, work, after=lambda made: {"executions": [e.id for e in made[:100]]}
            )
            if len(made) == 1:
                span.made(made[0])
            return made

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

    # -- dead letters --------------------------------------------------------------------------------------------

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

    # -- what an admin sets --------------------------------------------------------------------------------------

    async def put_calendar(self, name: str, dates: Mapping[date, str], *, source: str = "api") -> None:
        """Replace a named calendar's dates, each with a name of its own, for jobs that include or exclude it.

        `mainspring.schedule.Calendar` reads dates from an ICS file or from the ``holidays`` package.
        """
        wire.name(name, "calendar")
        await self._change(
            "calendar.put",
            name,
            lambda tx: tx.platforms.put_calendar(self.platform_id, name, dates, source=source),
            after=lambda _: {"dates": len(dates), "source": source},
        )

    async def put_limit(self, limit: Limit) -> None:
        """Set the bounds of a queue, a concurrency key or this platform; all of them None removes the row."""
        bounds = replace(limit, platform_id=self.platform_id)
        if bounds.scope not in ("queue", "key", "platform"):
            raise ValidationError(f"{bounds.scope!r} is not one of: queue, key, platform", field="scope")
        await self._change(
            "limit.put",
            f"{bounds.scope}/{bounds.name}",
            lambda tx: _put_limit(tx, bounds),
            after=lambda _: {f: v for f in _BOUNDS if (v := getattr(bounds, f)) is not None},
        )

    async def hold_fleet(self, reason: str) -> Hold:
        """Let no process of any platform decide, promote or claim until `release_fleet`; what runs, runs on."""
        return await self._store.write(lambda tx: holding.hold(tx, reason, actor=self._actor))

    async def release_fleet(self) -> Hold | None:
        """Let a held fleet go on; return the hold there was, None where there was none."""
        return await self._store.write(holding.release)

    # -- how it goes ---------------------------------------------------------------------------------------------

    async def get_metrics(self) -> dict[str, Any]:
        """Return live counts, lags and node counts of this platform, computed from rows."""
        return await self._store.read(lambda tx: collect_metrics(tx, self.platform_id))

    async def health_check(self) -> Health:
        """Return the health, judged by progress: the oldest undecided instant, the oldest unclaimed execution."""
        return await self._store.read(lambda tx: check_health(tx, self.platform_id, self.health_limits))

    async def watermark(self) -> Watermark:
        """Return up to when every due instant of this platform has its decision."""
        return await self._store.read(lambda tx: read_watermark(tx, self.platform_id))

    async def get_job_stats(self, name: str) -> dict[str, Any]:
        """Return a job's rollups as plain data; at most 5 s behind its executions."""
        view = await self.get_job(name)
        stats, average = view.stats, view.stats.avg_duration
        return {
            "job": view.job.name,
            "total": stats.total,
            "success": stats.success,
            "failed": stats.failed,
            "skipped": stats.skipped,
            "success_rate": stats.success / stats.total if stats.total else None,
            "avg_duration_ms": milliseconds(average) if average is not None else None,
            "consecutive_failures": stats.consecutive_failures,
            "last_run_at": stats.last_run_at,
            "last_status": stats.last_status.value if stats.last_status is not None else None,
            "next_run_at": view.job.next_run_at,
        }

    def _definition(self, name: str) -> Callable[[Tx], Told]:
        """Return how to tell a job's definition as it is before a change."""

        def before(tx: Tx) -> Told:
            job = tx.jobs.get(self.platform_id, name)
            return {"revision": job.revision, **wire.definition_to_wire(job.definition)} if job is not None else None

        return before

    def _execution(self, tx: Tx, execution_id: str) -> Execution:
        execution = tx.executions.get(execution_id)
        if execution is None or execution.platform_id != self.platform_id:
            raise NotFoundError("execution", execution_id)
        return execution


_BOUNDS = ("max_running", "rate", "rate_per", "max_pending", "max_jobs", "min_interval_ms")


def _defined(changed: Changed) -> Told:
    return {"revision": changed.job.revision, **wire.definition_to_wire(changed.job.definition)}


def _all_defined(created: list[Changed]) -> Told:
    # Names alone: each job's first revision keeps its definition and its author.
    return {"jobs": [one.job.name for one in created]}


def _handler_of(fields: Mapping[str, Any]) -> str:
    return str(fields.get("handler", ""))


def _made(execution: Execution) -> Told:
    return {"execution": execution.id}


def _put_limit(tx: Tx, limit: Limit) -> None:
    tx.platforms.put_limit(limit)
    tx.wake("pending")  # what the old bound held back may go now
