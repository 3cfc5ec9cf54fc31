"""Schedules of intervals: ``{"every_ms": ...}`` of elapsed time, and ``{"every": ...}`` of the calendar."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, NamedTuple

from mainspring.errors import ScheduleError
from mainspring.schedule import sentence, warnings
from mainspring.schedule.anchor import Setting, anchor_of, anchor_wall_of, moment_of
from mainspring.schedule.clock_policy import read_policy
from mainspring.schedule.instants import DAY_MS, from_ms, from_wall
from mainspring.schedule.reading import refuse_unknown, require_mapping, whole_number
from mainspring.schedule.recurring import CalendarSteps, ElapsedGrid, Unit
from mainspring.schedule.rules import Rule
from mainspring.schedule.wall_clock import WallClockRule

_TEN_YEARS_MS = 3_653 * DAY_MS
_LARGEST_STEP = {Unit.DAYS: 3_653, Unit.WEEKS: 521, Unit.MONTHS: 120, Unit.YEARS: 10}
_DAYS_IN = {Unit.DAYS: 1, Unit.WEEKS: 7, Unit.MONTHS: 28, Unit.YEARS: 365}


class GridShape(NamedTuple):
    """A grid of elapsed time; ``every`` and ``anchor`` in milliseconds."""

    rule: Rule
    every: int
    anchor: int
    follows_wall_clock: bool

    def sentence(self) -> str:
        """See :class:`~mainspring.schedule.shapes.shape.Shape`."""
        return sentence.grid_sentence(timedelta(milliseconds=self.every), from_ms(self.anchor))

    def warnings(self) -> Iterator[str]:
        """See :class:`~mainspring.schedule.shapes.shape.Shape`."""
        if self.every % DAY_MS == 0:
            days = self.every // DAY_MS
            yield f'elapsed: {days} x 24 hours, not calendar days; for those use "every": {{"days": {days}}}'
        if self.every > 366 * DAY_MS:
            yield "rare: less than one run a year"


def read_every_ms(spec: Mapping[str, Any], setting: Setting) -> GridShape:
    """Check the fields of a schedule of elapsed time."""
    every = whole_number(spec, "every_ms", 1_000, _TEN_YEARS_MS)
    anchor = anchor_of(spec, "anchor_at", setting)
    given = moment_of(spec, "anchor_at")
    return GridShape(ElapsedGrid(anchor, every), every, anchor, given is not None and given.tzinfo is None)


class StepsShape(NamedTuple):
    """Steps of the calendar: ``size`` units from the wall time ``anchor``."""

    rule: Rule
    unit: Unit
    size: int
    anchor: int
    setting: Setting
    follows_wall_clock: bool = True

    def sentence(self) -> str:
        """See :class:`~mainspring.schedule.shapes.shape.Shape`."""
        start, zone = from_wall(self.anchor), self.setting.zone
        return sentence.steps_sentence(self.size, self.unit.value, start, zone.name)

    def warnings(self) -> Iterator[str]:
        """See :class:`~mainspring.schedule.shapes.shape.Shape`."""
        day = from_wall(self.anchor).day
        if self.unit in (Unit.MONTHS, Unit.YEARS) and day > 28:
            yield f"short_months: in a month without day {day} it runs on the last day"
        if self.size * _DAYS_IN[self.unit] > 366 or (self.unit is Unit.MONTHS and self.size > 12):
            yield "rare: less than one run a year"
        yield from warnings.clock_change_warnings(self.rule, self.setting.zone, self.setting.since)


def read_every(spec: Mapping[str, Any], setting: Setting) -> StepsShape:
    """Check the fields of a schedule of calendar steps."""
    advice = 'Use one unit: {"days": 1}, {"weeks": 2}, {"months": 1} or {"years": 1}.'
    step = require_mapping(spec["every"], "every", advice)
    refuse_unknown(step, [unit.value for unit in Unit], within="every.")
    if len(step) != 1:
        raise ScheduleError("every", ", ".join(step), "expected exactly one unit", advice)
    unit = Unit(next(iter(step)))
    size = whole_number(step, unit.value, 1, _LARGEST_STEP[unit], within="every.")
    anchor = anchor_wall_of(spec, "anchor_at", setting)
    rule = WallClockRule(CalendarSteps(anchor, unit, size), setting.zone, read_policy(spec))
    return StepsShape(rule, unit, size, anchor, setting)
