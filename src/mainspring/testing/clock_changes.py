"""What a schedule does on the two days of a year when the clocks change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from mainspring.app.application import Application
from mainspring.app.handle import Handle
from mainspring.errors import ValidationError
from mainspring.schedule import CompiledSchedule, Occurrence, compile_schedule
from mainspring.schedule.instants import to_ms
from mainspring.schedule.zones import zone


@dataclass(frozen=True)
class ClockChange:
    """One change of clocks, and what the schedule does on that local day.

    ``fires`` are the local times at which it runs, with their offsets. ``skipped`` are instants it names and does not
    run, ``shifted`` those that run elsewhere than the rule says; both with the reason.
    """

    at: datetime
    before: timedelta
    after: timedelta
    fires: tuple[str, ...]
    skipped: tuple[str, ...]
    shifted: tuple[str, ...]

    @property
    def kind(self) -> str:
        """``gap`` where clocks go forward, ``fold`` where they go back."""
        return "gap" if self.after > self.before else "fold"


def dst(schedule: Mapping[str, Any] | str | Handle[Any, Any, Any], timezone: str, year: int) -> tuple[ClockChange, ...]:
    """Return what a schedule does on the days of ``year`` on which the clocks of ``timezone`` change.

    Args:
        schedule: A schedule in its wire shape, a cron expression, or the handle of a declared job.
        timezone: IANA name of the zone to try it in, whatever the job's own zone is.
        year: The year; the answer is empty for a zone whose clocks do not change in it.

    >>> spring, autumn = dst("30 2 * * *", "Europe/Berlin", 2026)
    >>> spring.kind, spring.fires, spring.shifted[0]
    ('gap', ('03:00+02:00',), 'dst_gap: 02:30 does not exist on 2026-03-29; runs at 03:00')
    >>> autumn.kind, autumn.fires
    ('fold', ('02:30+02:00',))
    """
    compiled = compile_schedule(_spec(schedule), timezone=timezone, created_at=datetime(year, 1, 1, tzinfo=UTC))
    return tuple(_around(compiled, at) for at in _changes(timezone, year))


def _spec(schedule: Mapping[str, Any] | str | Handle[Any, Any, Any]) -> Mapping[str, Any]:
    if isinstance(schedule, str):
        return {"cron": schedule}
    if isinstance(schedule, Mapping):
        return schedule
    app: Application = schedule._app
    found = [job["schedule"] for job in app.jobs if job["handler"] == schedule.name and "schedule" in job]
    if len(found) != 1:
        raise ValidationError(f"stands for {len(found)} jobs with a schedule", field=f"handler {schedule.name}")
    only: Mapping[str, Any] = found[0]
    return only


def _offset(name: str, at: datetime) -> timedelta:
    second = to_ms(at) // 1000
    return timedelta(seconds=zone(name).wall_at(second)[0] - second)


def _changes(name: str, year: int) -> list[datetime]:
    """Return the instants at which a zone's offset changes, to the minute."""
    found = []
    day = datetime(year, 1, 1, tzinfo=UTC) - timedelta(days=1)
    while day.year <= year:
        low, high = day, day + timedelta(days=1)
        if _offset(name, low) != _offset(name, high):
            while high - low > timedelta(minutes=1):
                middle = low + (high - low) / 2
                low, high = (middle, high) if _offset(name, middle) == _offset(name, low) else (low, middle)
            found.append(high.replace(second=0, microsecond=0))
        day += timedelta(days=1)
    return [at for at in found if (at + _offset(name, at)).year == year]


def _around(compiled: CompiledSchedule, change: datetime) -> ClockChange:
    name = compiled.timezone
    before, after = _offset(name, change - timedelta(minutes=1)), _offset(name, change)
    midnight = (change + before).replace(hour=0, minute=0, second=0, microsecond=0)
    start, end = midnight - before, midnight + timedelta(days=1) - after
    fires, skipped, shifted = [], [], []
    for occurrence in compiled.iterate(start - timedelta(milliseconds=1)):
        if occurrence.at >= end:
            break
        told = _told(occurrence, _offset(name, occurrence.at))
        if occurrence.excluded_by is not None:
            skipped.append(f"{told}: {occurrence.excluded_by}")
            continue
        fires.append(told)
        shifted += [note for note in occurrence.notes if note.startswith("dst_")]
    return ClockChange(change, before, after, tuple(fires), tuple(skipped), tuple(shifted))


def _told(occurrence: Occurrence, offset: timedelta) -> str:
    local = occurrence.at.astimezone(timezone(offset))
    text = local.isoformat(timespec="seconds")[11:]
    return text if local.second else text[:5] + text[8:]
