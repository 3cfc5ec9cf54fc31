"""Schedules of a recurrence rule: ``{"rrule": ...}``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from mainspring.errors import ScheduleError
from mainspring.schedule import sentence, warnings
from mainspring.schedule.anchor import Setting, anchor_wall_of
from mainspring.schedule.clock_policy import RFC_5545
from mainspring.schedule.instants import describe, from_wall, read_moment, to_ms, to_wall
from mainspring.schedule.rrule import MOST_PERIODS
from mainspring.schedule.rrule_set import RecurrenceSet
from mainspring.schedule.rrule_text import Recurrence, parse_rrule
from mainspring.schedule.rules import Rule, Until
from mainspring.schedule.wall_clock import WallClockRule
from mainspring.schedule.zones import Zone

_MOST_DATES = 1_000


class RecurrenceShape(NamedTuple):
    """A recurrence rule from the wall time ``start`` on."""

    rule: Rule
    recurrence: Recurrence
    start: int
    setting: Setting
    follows_wall_clock: bool = True

    def sentence(self) -> str:
        """See :class:`~mainspring.schedule.shapes.shape.Shape`."""
        return sentence.rrule_sentence(self.recurrence, from_wall(self.start), self.setting.zone.name)

    def warnings(self) -> Iterator[str]:
        """See :class:`~mainspring.schedule.shapes.shape.Shape`."""
        yield from warnings.clock_change_warnings(self.rule, self.setting.zone, self.setting.since)


def read_rrule(spec: Mapping[str, Any], setting: Setting) -> RecurrenceShape:
    """Check the fields of such a schedule."""
    recurrence = parse_rrule(spec["rrule"])
    if "dtstart" not in spec and setting.since is None:
        fix = 'Add "dtstart": "2026-03-01T09:00:00".'
        raise ScheduleError("dtstart", "", "a recurrence rule counts from its dtstart", fix)
    start = anchor_wall_of(spec, "dtstart", setting)
    walls = RecurrenceSet(recurrence, start, _walls(spec, "rdate", setting.zone), _walls(spec, "exdate", setting.zone))
    rule: Rule = WallClockRule(walls, setting.zone, RFC_5545)
    if recurrence.until_utc is not None:
        rule = Until(rule, to_wall(recurrence.until_utc) * 1_000)
    if rule.next(-1) is None:
        fix = f"Mend the BY... parts, INTERVAL, UNTIL or exdate; its search looks at {MOST_PERIODS} periods."
        raise ScheduleError("rrule", recurrence.text, "the rule names no instant", fix)
    return RecurrenceShape(rule, recurrence, start, setting)


def _walls(spec: Mapping[str, Any], key: str, zone: Zone) -> list[int]:
    """The wall times of a list of moments; an instant stands for the wall time shown at it."""
    values = spec.get(key, ())
    if not isinstance(values, (list, tuple)):
        raise ScheduleError(key, describe(values), "expected a list of wall times", 'Write ["2026-03-01T09:00:00"].')
    if len(values) > _MOST_DATES:
        fix = f"Give at most {_MOST_DATES}, or use a calendar."
        raise ScheduleError(key, f"{len(values)} items", "too many dates", fix)
    moments = [read_moment(value, field=key) for value in values]
    return [to_wall(at) if at.tzinfo is None else zone.wall_at(to_ms(at) // 1_000)[0] for at in moments]
