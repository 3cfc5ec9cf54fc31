"""Jobs, as API, CLI, dashboard and code ask for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mainspring.control.collecting import collecting_later
from mainspring.control.payloads import announced, check_payload, payload_check, with_defaults
from mainspring.control.service import PlatformService, Told
from mainspring.errors import NotFoundError
from mainspring.model import wire
from mainspring.model.decision import Decision
from mainspring.model.job import Job, JobStats, JobStatus, JobType
from mainspring.model.wire import DefinitionReader, definition_from_wire, milliseconds
from mainspring.moves import jobs
from mainspring.moves.jobs import Changed
from mainspring.moves.skip import skip_next
from mainspring.ports.store import Tx


@dataclass(frozen=True, slots=True)
class JobView:
    """A job with its rollups."""

    job: Job
    stats: JobStats


class JobService(PlatformService):
    """What people ask of the jobs of one platform."""

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

        @collecting_later()
        def work(tx: Tx) -> list[Changed]:
            rows = {name: announced(tx, self.platform_id, name) for name in {_handler_of(one) for one in several}}
            # Without a schema there is but the size to check, and that is done as a job is made.
            checks = {name: payload_check(row) for name, row in rows.items() if row is not None and row.schema}
            reader = DefinitionReader()
            definitions = [reader.read(with_defaults(rows[_handler_of(one)], one)) for one in several]
            for (handler, _), one in {(one.handler, id(one.payload)): one for one in definitions}.items():
                if handler in checks:
                    checks[handler](one.payload)
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
            found = tx.jobs.revisions(job.id, before=revision + 1, limit=1)
            if not found or found[0][0] != revision:
                raise NotFoundError("revision", f"{name} r{revision}")
            former = found[0][3]
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

    async def decisions(
        self, name: str, *, since: datetime | None = None, until: datetime | None = None, limit: int = 50
    ) -> list[Decision]:
        """Return a job's ledger, newest first."""

        def work(tx: Tx) -> list[Decision]:
            job = jobs.existing(tx, self.platform_id, name)
            return tx.decisions.find(job.id, since=since, until=until, limit=limit)

        return await self._store.read(work)

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


def _defined(changed: Changed) -> Told:
    return {"revision": changed.job.revision, **wire.definition_to_wire(changed.job.definition)}


def _all_defined(created: list[Changed]) -> Told:
    # Names alone: each job's first revision keeps its definition and its author.
    return {"jobs": [one.job.name for one in created]}


def _handler_of(fields: Mapping[str, Any]) -> str:
    return str(fields.get("handler", ""))
