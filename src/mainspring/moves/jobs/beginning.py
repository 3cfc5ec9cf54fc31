"""When new jobs are due first: they begin at one instant, so those with one schedule begin alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mainspring.errors import NothingToComeError
from mainspring.model.job import Job, JobDefinition, JobStatus, JobType
from mainspring.moves.jobs.checking import check_schedule
from mainspring.moves.schedules import Schedules
from mainspring.ports.store import Tx
from mainspring.schedule import CompiledSchedule, Occurrence, tzdb_version


@dataclass(frozen=True, slots=True)
class Beginning:
    """What a schedule says to a new job: its first occurrence, and what may surprise. None for one without instants."""

    alike: Job
    schedule: CompiledSchedule | None = None
    first: Occurrence | None = None
    warnings: tuple[str, ...] = ()

    def job(self, new_id: str, definition: JobDefinition) -> Job:
        """Return the new job, due first when its schedule says. Raises `NothingToComeError`."""
        if self.schedule is None:
            return self.alike.changed(id=new_id, definition=definition)
        if self.first is None:
            raise NothingToComeError
        next_run_at = self.schedule.fire_at(self.first.at, key=new_id)
        return self.alike.changed(id=new_id, definition=definition, next_run_at=next_run_at)


class Beginnings:
    """The beginnings of the new jobs of one transaction and platform; each schedule is checked and read once."""

    def __init__(self, tx: Tx, platform_id: str) -> None:
        # Not the process's memory of schedules: these jobs may yet be rolled back.
        self._tx, self._schedules = tx, Schedules(1)
        self._known: dict[tuple[JobType, str | None, str], Beginning] = {}
        # The schedule of the job before, and its repr: jobs of one call often share the very object.
        self._schedule: tuple[Mapping[str, Any] | None, str] = None, repr(None)
        # Cut to the second: `every` anchors here, and a grid on the whole second is the one people expect.
        created_at = tx.now.replace(microsecond=0)
        blank = JobDefinition("", JobType.MANUAL, "")
        self._alike = Job("", platform_id, blank, JobStatus.ACTIVE, 1, created_at, updated_at=tx.now, cursor_at=tx.now)

    def of(self, new_id: str, definition: JobDefinition) -> Beginning:
        """Return how a new job begins. Raises `ValidationError` and `LimitExceededError` as for each job alone."""
        if definition.schedule is not self._schedule[0]:
            # Its repr, because 1, 1.0 and True are equal, and only one of them may be right.
            self._schedule = definition.schedule, repr(definition.schedule)
        alike = definition.type, definition.timezone, self._schedule[1]
        found = self._known.get(alike)
        if found is None:
            found = self._known[alike] = self._read(self._alike.changed(id=new_id, definition=definition))
        return found

    def _read(self, job: Job) -> Beginning:
        schedule = check_schedule(self._tx, self._schedules, job)
        if schedule is None:
            return Beginning(self._alike)
        alike = self._alike.changed(tzdb_version=tzdb_version())
        return Beginning(alike, schedule, schedule.next(job.cursor_at), schedule.warnings)
