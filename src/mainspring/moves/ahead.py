"""Jobs due soon, and what will be decided of them, kept in memory: so that at the instant little is left to be done.

Nothing of it is stored, and nothing of it decides: planning takes from here only what still holds for the row it has
locked, for the platform's zone and for what is active. Whatever is lost or outdated is decided the ordinary way.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import groupby, islice

from mainspring.errors import MainspringError
from mainspring.model.job import Job, JobCursor
from mainspring.moves.schedules import Schedules
from mainspring.ports.store import Tx
from mainspring.schedule import tzdb_version
from mainspring.schedule.decide import Plan
from mainspring.schedule.foresee import Foreseen, Together, foresee, together

#: The last of some jobs that were looked at: its next instant and its id.
Position = tuple[datetime, str]


class Ahead:
    """What one dispatcher foresees, of up to ``size`` jobs due within ``horizon``. Used from several threads."""

    def __init__(
        self, schedules: Schedules, dispatcher_id: str, *, horizon: timedelta = timedelta(seconds=5), size: int = 10_000
    ) -> None:
        self.horizon = horizon
        self._schedules, self._dispatcher_id, self._size = schedules, dispatcher_id, size
        self._jobs: dict[str, Job] = {}
        #: None for a job that was looked at and is no case to foresee.
        self._foreseen: dict[str, Foreseen | None] = {}

    @property
    def jobs(self) -> Mapping[str, Job]:
        """Jobs by id, as they were when they were last read or decided here."""
        return self._jobs

    def look(self, tx: Tx, limit: int, after: Position | None = None) -> Position | None:
        """Foresee the next ``limit`` jobs due after a position; return where to go on, None at the horizon's end."""
        if after is None:
            self._forget(tx.now - self.horizon)
        jobs = tx.jobs.upcoming(tx.now + self.horizon, limit, after=after, known=self._jobs)
        for job in jobs:
            if self._jobs.get(job.id) is not job or job.id not in self._foreseen:
                self._foresee(tx, job)
        last = jobs[-1] if len(jobs) == limit and len(self._jobs) < self._size else None
        return None if last is None or last.next_run_at is None else (last.next_run_at, last.id)

    def _foresee(self, tx: Tx, job: Job) -> None:
        zone = self._schedules.zone(tx, job)
        try:
            schedule = self._schedules.of(tx, job)
            found = foresee(job, schedule, zone=zone, tzdb_version=tzdb_version(), dispatcher_id=self._dispatcher_id)
        except (MainspringError, ValueError, OverflowError):
            found = None  # planning will meet it again, and say so
        # The plan first: whoever finds the job looks for what was foreseen of that very object.
        self._foreseen[job.id] = found
        self._jobs[job.id] = job

    def together(self, tx: Tx, jobs: Sequence[Job]) -> Together | None:
        """Return what is foreseen of due jobs of which nothing is active, with new ids; None unless all of it holds."""
        now, found = tx.now, list[Foreseen]()
        for job in jobs:
            one = self._holding(tx, job, now)
            if one is None:
                return None
            found.append(one)
        return together(found, now, tx.new_ids(len(found))) if found else None

    def plans(self, tx: Tx, jobs: Iterable[Job], active: Container[str]) -> Iterator[tuple[Job, Plan | None]]:
        """Give due jobs, in their order, each with its plan where one was foreseen and still holds.

        None for those of which something is ``active``. Ids ascend in that order as well, with those of plans that are
        made of the other jobs meanwhile.
        """
        now = tx.now
        found = [(job, None if job.id in active else self._holding(tx, job, now)) for job in jobs]
        for holding, run in groupby(found, key=lambda pair: pair[1] is not None):
            several = list(run)
            ids = tx.new_ids(len(several)) if holding else [""] * len(several)
            for (job, one), new in zip(several, ids, strict=True):
                yield job, None if one is None else one.plan(now, new)

    def _holding(self, tx: Tx, job: Job, now: datetime) -> Foreseen | None:
        found = self._foreseen.get(job.id)
        if found is None or found.job is not job or not found.since <= now <= found.until:
            return None
        return found if found.zone == self._schedules.zone(tx, job) else None

    def due(self, now: datetime, most: int) -> int:
        """Return how many of the jobs that are known here are due, up to ``most``."""
        jobs = list(self._jobs.values())
        return sum(1 for _ in islice((job for job in jobs if job.next_run_at and job.next_run_at <= now), most))

    def soonest(self, limit: int) -> list[Foreseen]:
        """Return up to ``limit`` of what is foreseen for the instant that was looked at first."""
        found = [one for one in list(self._foreseen.values())[:limit] if one is not None]
        return [one for one in found if one.since == found[0].since]

    def decided(self, moved: Iterable[tuple[Job, JobCursor | None]], now: datetime) -> None:
        """Take note of what was recorded and committed: jobs due again soon are known as they now are."""
        for job, cursor in moved:
            if cursor is None or cursor.next_run_at is None or cursor.next_run_at > now + self.horizon:
                self._drop(job.id)
            elif job.id in self._jobs:
                self._foreseen.pop(job.id, None)
                self._jobs[job.id] = job.advanced(cursor)

    def _forget(self, before: datetime) -> None:
        """Forget what others have decided, paused or moved: what is not due any more when it was to be."""
        for job in list(self._jobs.values()):
            if job.next_run_at is None or job.next_run_at < before:
                self._drop(job.id)

    def _drop(self, job_id: str) -> None:
        self._jobs.pop(job_id, None)
        self._foreseen.pop(job_id, None)
