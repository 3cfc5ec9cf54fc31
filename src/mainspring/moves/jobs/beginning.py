"""When new jobs are due first: they begin at one instant, so those with one schedule begin alike."""

from __future__ import annotations

from dataclasses import dataclass

from mainspring.model.job import Job, JobType
from mainspring.moves.jobs.checking import check_schedule
from mainspring.moves.schedules import Schedules
from mainspring.ports.store import Tx
from mainspring.schedule import CompiledSchedule, Occurrence


@dataclass(frozen=True, slots=True)
class Beginning:
    """What a schedule says to a new job: its first occurrence, and what may surprise. None for one without instants."""

    schedule: CompiledSchedule | None = None
    first: Occurrence | None = None
    warnings: tuple[str, ...] = ()


class Beginnings:
    """The beginnings of the new jobs of one transaction and platform; each schedule is checked and read once."""

    def __init__(self, tx: Tx) -> None:
        # Not the process's memory of schedules: these jobs may yet be rolled back.
        self._tx, self._schedules = tx, Schedules(1)
        self._known: dict[tuple[JobType, str | None, str], Beginning] = {}

    def of(self, job: Job) -> Beginning:
        """Return how a new job begins. Raises `ValidationError` and `LimitExceededError` as for each job alone."""
        definition = job.definition
        # Its repr, because 1, 1.0 and True are equal, and only one of them may be right.
        alike = definition.type, definition.timezone, repr(definition.schedule)
        found = self._known.get(alike)
        if found is None:
            found = self._known[alike] = self._read(job)
        return found

    def _read(self, job: Job) -> Beginning:
        schedule = check_schedule(self._tx, self._schedules, job)
        if schedule is None:
            return Beginning()
        return Beginning(schedule, schedule.next(job.cursor_at), schedule.warnings)
