"""Jobs, and the ledger of what was decided of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from mainspring.model.decision import Decision
from mainspring.model.job import Job, JobCursor, JobStats, JobStatus, JobType


class JobTable(Protocol):
    """Jobs, their revisions and their rollups."""

    def add(self, new: Sequence[Job], *, actor: str) -> None:
        """Insert new jobs and their first revisions. Raises `ConflictError` for a taken name, at the latest at the end.

        Where a store can, it works on them while the caller goes on: of many, add some at a time.
        """

    def taken(self, platform_id: str, names: Sequence[str]) -> set[str]:
        """Return those of the names that jobs not archived have."""

    def save(self, job: Job, *, expected_revision: int, actor: str) -> bool:
        """Write ``job`` whole if the row still has ``expected_revision``; a higher revision is kept in the history."""

    def get(self, platform_id: str, name_or_id: str, *, lock: bool = False) -> Job | None:
        """Return the job with that id, else the one not archived with that name, else the newest archived one."""

    def by_id(self, job_ids: Sequence[str]) -> dict[str, Job]:
        """Return the jobs with these ids, of any platform; unknown ids are left out."""

    def leading_on(self, job_ids: Sequence[str]) -> dict[str, Job]:
        """Return those of these jobs the end of whose executions leads to more: other jobs, or a pause of their own."""

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
        """Return jobs in order of name, strictly after the name ``after``; archived ones only if asked for."""

    def due(self, limit: int, *, known: Mapping[str, Job] = {}) -> list[Job]:
        """Lock and return active jobs whose ``next_run_at`` has come, oldest first; others' locks are skipped.

        Of jobs in ``known``, by id, that are still stored as they are there, those very objects are returned: what
        lies on disk of them is compared, but their definitions are not read again.
        """

    def upcoming(
        self, until: datetime, limit: int, *, after: tuple[datetime, str] | None = None, known: Mapping[str, Job] = {}
    ) -> list[Job]:
        """Return active jobs whose ``next_run_at`` is to come, up to ``until``, in its order and then of id.

        Those strictly after the instant and id in ``after``, if it is given. ``known`` is as for `due`.
        """

    def next_due_at(self) -> datetime | None:
        """Return the earliest ``next_run_at`` of the active jobs."""

    def undecided_at(self, platform_id: str | None = None) -> datetime | None:
        """Return the earliest ``next_run_at`` that has come, of a platform's active jobs or of all of them.

        None where nothing due waits for its decision. What it costs grows with what waits, and not with what is stored.
        """

    def advance(self, cursors: Sequence[JobCursor]) -> None:
        """Write what planning made of jobs this transaction has locked; a cursor never moves back."""

    def event_jobs(self, platform_id: str) -> list[Job]:
        """Return the jobs of type event that are active or paused, by name."""

    def with_calendar(self, platform_id: str, calendar: str, limit: int) -> list[Job]:
        """Return jobs, by name and at most ``limit``, whose schedule names a calendar; archived ones are left out."""

    def lock(self, job_ids: Sequence[str]) -> list[Job]:
        """Lock and return jobs in order of id, as they are once no other transaction holds them."""

    def paused_until_passed(self, limit: int) -> list[Job]:
        """Lock and return paused jobs whose ``paused_until`` has come."""

    def outdated(self, tzdb_version: str, limit: int, *, after: str | None = None) -> list[Job]:
        """Lock and return active timed jobs whose next instant was computed with other zone data, by id after one."""

    def count(self, platform_id: str, most: int) -> int:
        """Return how many jobs are not archived, up to ``most``."""

    def revisions(
        self, job_id: str, *, before: int | None = None, limit: int = 50
    ) -> list[tuple[int, datetime, str, Mapping[str, Any]]]:
        """Return (revision, when, actor, definition in its wire shape), newest first; those below ``before``."""

    def stats(self, job_ids: Sequence[str], *, lock: bool = False) -> dict[str, JobStats]:
        """Return rollups by job id; jobs that never ran are left out.

        With ``lock`` nobody else reads these to write them until this transaction ends, and none is left out.
        """

    def put_stats(self, stats: Sequence[JobStats]) -> None:
        """Write rollups whole."""


class DecisionTable(Protocol):
    """The ledger."""

    def add(self, decisions: Sequence[Decision]) -> None:
        """Insert decisions. A second one for the same (job, scheduled_at, key) is an error: `ConflictError`."""

    def get(self, job_id: str, scheduled_at: datetime, key: str = "") -> Decision | None:
        """Return the decision of that very instant, or the range that covers it."""

    def find(
        self, job_id: str, *, since: datetime | None = None, until: datetime | None = None, limit: int = 50
    ) -> list[Decision]:
        """Return decisions, newest first; ``since`` inclusive, ``until`` exclusive."""

    def of_execution(self, execution_id: str) -> Decision | None:
        """Return the decision that made an execution."""

    def page(
        self,
        platform_id: str,
        *,
        job_id: str | None = None,
        after: tuple[str, datetime, str] | None = None,
        limit: int,
    ) -> list[Decision]:
        """Return decisions in the order of their key (job, ``scheduled_at``, key).

        ``after`` is the key the page before ended with.
        """

    def ran_since(self, job_id: str, since: datetime, limit: int) -> tuple[int, datetime | None]:
        """Count decisions that ran whose ``scheduled_at`` is after ``since``; with the oldest of those counted.

        Counted from the newest on, and at most ``limit``.
        """

    def delete_decided(self, before: datetime, limit: int) -> int:
        """Delete decisions made before an instant on instants before it; return how many.

        Nothing is decided again for it: a job's cursor, which never moves back, has passed these instants.
        """
