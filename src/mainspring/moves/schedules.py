"""Compiled schedules of stored jobs, kept by revision so that planning a job again costs a look-up."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime

from mainspring.errors import ValidationError
from mainspring.model.job import Job, JobDefinition, JobType
from mainspring.ports.store import Tx
from mainspring.schedule import Calendar, CompiledSchedule, EventSchedule, compile_schedule, validate_event_schedule

#: What each type of job may carry as its schedule, by the key that makes the shape known.
_SHAPES = {
    JobType.CRON: ("cron",),
    JobType.RECURRING: ("every_ms", "every", "rrule"),
    JobType.ONE_TIME: ("run_at",),
    JobType.EVENT: ("events",),
}


class Schedules:
    """A bounded memory of compiled schedules; one per process, shared by whoever plans, explains or previews."""

    def __init__(self, size: int = 20_000) -> None:
        self._size = size
        self._kept: OrderedDict[tuple[str, int, datetime, str, int], CompiledSchedule] = OrderedDict()
        self._events: OrderedDict[tuple[str, int, datetime, str], EventSchedule] = OrderedDict()

    def of(self, tx: Tx, job: Job) -> CompiledSchedule:
        """Return the compiled schedule of a timed job. Raises `ScheduleError` if what is stored cannot be used."""
        definition, zone = job.definition, self.zone(tx, job)
        calendars = _calendars(tx, job.platform_id, definition)
        if definition.type is JobType.ONE_TIME:
            # Planned once in its life, and read in less time than it takes to remember it.
            return _compiled(job, zone, calendars)
        key = (job.id, *_edition(job), zone, hash(frozenset(calendars.values())))
        found = self._kept.get(key)
        if found is None:
            found = self._kept[key] = _compiled(job, zone, calendars)
            if len(self._kept) > self._size:
                self._kept.popitem(last=False)
        else:
            self._kept.move_to_end(key)
        return found

    @staticmethod
    def zone(tx: Tx, job: Job) -> str:
        """Return the name of the zone a timed job's times are in: its own, else its platform's, else UTC."""
        return job.definition.timezone or tx.platforms.timezone(job.platform_id) or "UTC"

    def event(self, tx: Tx, job: Job) -> EventSchedule:
        """Return the schedule of an event job. Raises `ScheduleError` if what is stored cannot be used."""
        definition = job.definition
        assert definition.schedule is not None
        zone = definition.timezone
        if zone is None and ("start_at" in definition.schedule or "end_at" in definition.schedule):
            zone = tx.platforms.timezone(job.platform_id)
        place = zone or "UTC"
        key = (job.id, *_edition(job), place)
        if key not in self._events:
            self._events[key] = validate_event_schedule(definition.schedule, timezone=place)
            if len(self._events) > self._size:
                self._events.popitem(last=False)
        return self._events[key]


def _compiled(job: Job, zone: str, calendars: Mapping[str, Calendar]) -> CompiledSchedule:
    schedule = job.definition.schedule
    assert schedule is not None
    return compile_schedule(schedule, timezone=zone, calendars=calendars, created_at=job.created_at)


def _edition(job: Job) -> tuple[int, datetime]:
    """Which definition of a job this is. The revision alone is not enough: one that was rolled back is given again."""
    return job.revision, job.updated_at


def _calendars(tx: Tx, platform_id: str, definition: JobDefinition) -> dict[str, Calendar]:
    if not definition.schedule or not definition.schedule.get("calendars"):
        return {}
    return {name: Calendar(name, dates) for name, dates in tx.platforms.calendars(platform_id).items()}


def check_shape(definition: JobDefinition) -> None:
    """Refuse a schedule whose shape does not belong to the job's type; raises `ValidationError`."""
    schedule = definition.schedule
    if schedule is None:
        return
    keys = _SHAPES[definition.type]
    if not any(key in schedule for key in keys):
        other = next((t for t, shape in _SHAPES.items() if any(k in schedule for k in shape)), None)
        fix = f"This is the shape of a {other} job" if other else f"Give it {' or '.join(keys)}"
        raise ValidationError(f"a {definition.type} job needs {' or '.join(keys)}", field="schedule", fix=fix)
    if definition.type is JobType.EVENT:
        validate_event_schedule(schedule, timezone=definition.timezone or "UTC")
