"""Jobs, their revisions and their rollups."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from mainspring.adapters.memory.journal import Journal
from mainspring.adapters.memory.values import each_isolated, isolated, plain
from mainspring.errors import ConflictError
from mainspring.model.job import Job, JobCursor, JobDefinition, JobStats, JobStatus, JobType
from mainspring.model.wire import definition_to_wire

Revision = tuple[int, datetime, str, Mapping[str, Any]]


class MemoryJobTable:
    """`JobTable` in dictionaries."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._jobs: dict[str, Job] = {}
        self._ids: dict[tuple[str, str], str] = {}  # (platform, name) of the jobs not archived
        self._revisions: dict[str, list[Revision]] = {}
        self._stats: dict[str, JobStats] = {}

    def add(self, new: Sequence[Job], *, actor: str) -> None:
        for job in new:
            if job.id in self._jobs:
                raise ConflictError(f"job {job.id} exists already")
            self._put(job)
            self._journal.put(self._revisions, job.id, [_revision(job, actor)])

    def taken(self, platform_id: str, names: Sequence[str]) -> set[str]:
        return {name for name in names if (platform_id, name) in self._ids}

    def save(self, job: Job, *, expected_revision: int, actor: str) -> bool:
        before = self._jobs.get(job.id)
        if before is None or before.revision != expected_revision:
            return False
        self._put(job)
        if job.revision > expected_revision:
            self._journal.extend(self._revisions[job.id], [_revision(job, actor)])
        return True

    def _put(self, job: Job) -> None:
        before = self._jobs.get(job.id)
        if before is not None and before.status is not JobStatus.ARCHIVED:
            self._journal.drop(self._ids, (before.platform_id, before.name))
        if job.status is not JobStatus.ARCHIVED:
            if (job.platform_id, job.name) in self._ids:
                raise ConflictError(f"there is a job {job.name!r} already")
            self._journal.put(self._ids, (job.platform_id, job.name), job.id)
        self._journal.put(self._jobs, job.id, isolated(job))

    def get(self, platform_id: str, name_or_id: str, *, lock: bool = False) -> Job | None:
        job = self._jobs.get(name_or_id)
        if job is None or job.platform_id != platform_id:
            job = self._named(platform_id, name_or_id)
        return None if job is None else isolated(job)

    def _named(self, platform_id: str, name: str) -> Job | None:
        if (platform_id, name) in self._ids:
            return self._jobs[self._ids[platform_id, name]]
        archived = (job for job in self._jobs.values() if job.name == name and job.platform_id == platform_id)
        return max(archived, key=lambda job: job.id, default=None)

    def every(self) -> Iterable[Job]:
        """Return every job there is."""
        return self._jobs.values()

    def by_id(self, job_ids: Sequence[str]) -> dict[str, Job]:
        return {job_id: isolated(self._jobs[job_id]) for job_id in job_ids if job_id in self._jobs}

    def leading_on(self, job_ids: Sequence[str]) -> dict[str, Job]:
        return {job_id: job for job_id, job in self.by_id(job_ids).items() if _leads_on(job.definition)}

    def find(
        self,
        platform_id: str,
        *,
        status: JobStatus | None = None,
        type: JobType | None = None,
        handler: str | None = None,
        name_contains: str | None = None,
        after: str | None = None,
        limit: int = 50,
    ) -> list[Job]:
        def matches(job: Job) -> bool:
            return (
                job.platform_id == platform_id
                and (job.status is not JobStatus.ARCHIVED if status is None else job.status is status)
                and (type is None or job.definition.type is type)
                and (handler is None or job.definition.handler == handler)
                and (name_contains is None or name_contains.lower() in job.name.lower())
                and (after is None or job.name > after)
            )

        return self._first(limit, matches, lambda job: (job.name, job.id))

    def due(self, limit: int, *, known: Mapping[str, Job] = {}) -> list[Job]:
        found = self._first(limit, self._is_due, lambda job: (job.next_run_at, job.id))
        return [_as_known(job, known) for job in found]

    def upcoming(
        self, until: datetime, limit: int, *, after: tuple[datetime, str] | None = None, known: Mapping[str, Job] = {}
    ) -> list[Job]:
        begin = after or (self._journal.now, "\U0010ffff")

        def comes(job: Job) -> bool:
            at = job.next_run_at
            active = job.status is JobStatus.ACTIVE
            return active and at is not None and self._journal.now < at <= until and (at, job.id) > begin

        found = self._first(limit, comes, lambda job: (job.next_run_at, job.id))
        return [_as_known(job, known) for job in found]

    def _is_due(self, job: Job) -> bool:
        active = job.status is JobStatus.ACTIVE
        return active and job.next_run_at is not None and job.next_run_at <= self._journal.now

    def undecided_at(self, platform_id: str | None = None) -> datetime | None:
        now = self._journal.now
        waiting = [
            job.next_run_at
            for job in self._jobs.values()
            if job.status is JobStatus.ACTIVE
            and platform_id in (None, job.platform_id)
            and job.next_run_at is not None
            and job.next_run_at <= now
        ]
        return min(waiting, default=None)

    def next_due_at(self) -> datetime | None:
        active = (job.next_run_at for job in self._jobs.values() if job.status is JobStatus.ACTIVE)
        return min((at for at in active if at is not None), default=None)

    def advance(self, cursors: Sequence[JobCursor]) -> None:
        for cursor in cursors:
            job = self._jobs.get(cursor.job_id)
            if job is not None and job.cursor_at <= cursor.cursor_at:
                self._put(job.advanced(cursor))

    def event_jobs(self, platform_id: str) -> list[Job]:
        def hears(job: Job) -> bool:
            event = job.platform_id == platform_id and job.definition.type is JobType.EVENT
            return event and job.status in (JobStatus.ACTIVE, JobStatus.PAUSED)

        return self._first(len(self._jobs), hears, lambda job: job.name)

    def with_calendar(self, platform_id: str, calendar: str, limit: int) -> list[Job]:
        def names(job: Job) -> bool:
            kept = job.platform_id == platform_id and job.status is not JobStatus.ARCHIVED
            return kept and calendar in job.definition.calendars

        return self._first(limit, names, lambda job: job.name)

    def lock(self, job_ids: Sequence[str]) -> list[Job]:
        return [isolated(self._jobs[job_id]) for job_id in sorted(set(job_ids)) if job_id in self._jobs]

    def paused_until_passed(self, limit: int) -> list[Job]:
        def passed(job: Job) -> bool:
            paused = job.status is JobStatus.PAUSED
            return paused and job.paused_until is not None and job.paused_until <= self._journal.now

        return self._first(limit, passed, lambda job: (job.paused_until, job.id))

    def next_resumed_at(self) -> datetime | None:
        paused = (job.paused_until for job in self.every() if job.status is JobStatus.PAUSED)
        return min((at for at in paused if at is not None), default=None)

    def outdated(self, tzdb_version: str, limit: int, *, after: str | None = None) -> list[Job]:
        def computed_otherwise(job: Job) -> bool:
            timed = job.status is JobStatus.ACTIVE and job.definition.type.timed
            return timed and job.tzdb_version not in (None, tzdb_version) and (after is None or job.id > after)

        return self._first(limit, computed_otherwise, lambda job: job.id)

    def count(self, platform_id: str, most: int) -> int:
        return min(sum(platform == platform_id for platform, _ in self._ids), most)

    def revisions(self, job_id: str, *, before: int | None = None, limit: int = 50) -> list[Revision]:
        below = [one for one in self._revisions.get(job_id, ()) if before is None or one[0] < before]
        kept = sorted(below, key=lambda revision: revision[0], reverse=True)[:limit]
        return [(number, at, actor, plain(definition)) for number, at, actor, definition in kept]

    def stats(self, job_ids: Sequence[str], *, lock: bool = False) -> dict[str, JobStats]:
        if lock:
            return {job_id: self._stats.get(job_id, JobStats(job_id)) for job_id in job_ids}
        return {job_id: self._stats[job_id] for job_id in job_ids if job_id in self._stats}

    def put_stats(self, stats: Sequence[JobStats]) -> None:
        for row in stats:
            self._journal.put(self._stats, row.job_id, row)

    def _first(self, limit: int, matches: Callable[[Job], bool], order: Callable[[Job], Any]) -> list[Job]:
        return each_isolated(sorted(filter(matches, self._jobs.values()), key=order)[:limit])


def _leads_on(definition: JobDefinition) -> bool:
    return bool(definition.on_success or definition.on_failure or definition.pause_after_failures)


def _as_known(job: Job, known: Mapping[str, Job]) -> Job:
    before = known.get(job.id)
    return before if before is not None and before == job else job


def _revision(job: Job, actor: str) -> Revision:
    return job.revision, job.updated_at, actor, plain(definition_to_wire(job.definition))
