"""From the wire shape of a schedule to a :class:`CompiledSchedule`: all checks, then the parts put together.

The shape is known by its key: ``cron``, ``every_ms``, ``every``, ``rrule`` or ``run_at``. Event schedules have no
instants of their own and are read by :mod:`mainspring.schedule.event`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from mainspring.errors import ScheduleError
from mainspring.schedule.anchor import Setting, bound_of
from mainspring.schedule.calendar import Calendar
from mainspring.schedule.compiled import CompiledSchedule, Wording
from mainspring.schedule.exclusion import DateFilter, OnExcluded, Rolling, Skipping
from mainspring.schedule.instants import DAY_MS, describe, from_ms
from mainspring.schedule.reading import choice, refuse_unknown, require_mapping, text_list, whole_number
from mainspring.schedule.rules import Rule
from mainspring.schedule.shapes import SHAPES
from mainspring.schedule.zones import Zone, zone

_MOST_EXECUTIONS = 2**53
_MOST_CALENDARS = 20
_COMMON = ("jitter_ms", "calendars", "start_at", "end_at", "max_executions")


def compile_schedule(
    schedule: Mapping[str, Any],
    *,
    timezone: str = "UTC",
    calendars: Mapping[str, Calendar] | None = None,
    created_at: datetime | None = None,
    strict: bool = False,
) -> CompiledSchedule:
    """Check a schedule and return what answers for it.

    Args:
        schedule: One of the wire shapes; datetimes may stand where the wire has texts.
        timezone: IANA name; wall times and cron expressions are in it.
        calendars: The calendars the schedule may name, by name.
        created_at: When the job was made, aware. Cut to the second it anchors ``every_ms`` and ``every`` (and
            ``rrule``) where neither ``anchor_at`` (``dtstart``) nor ``start_at`` is given, and it is where the
            warnings about clock changes begin. Without any of these the anchor is
            1970-01-01T00:00, of UTC for ``every_ms`` and of the zone's clocks for ``every``.
        strict: Refuse a ``run_at`` that a clock change skips or doubles, naming the candidates, instead of choosing.

    Raises:
        ScheduleError: For anything that cannot be used, and for what can never fire; nothing else is ever raised.

    >>> compile_schedule({"cron": "0 9 * * MON-FRI"}, timezone="Europe/Istanbul").sentence
    'At 09:00, Monday to Friday, Europe/Istanbul'
    >>> compile_schedule({"cron": "0 0 31 2 *"})
    Traceback (most recent call last):
        ...
    mainspring.errors.ScheduleError: cron: no date matches this, ever (got '0 0 31 2 *'). \
Mend the day or the month.
    """
    spec = require_mapping(schedule, "schedule", 'Write an object such as {"cron": "0 9 * * 1-5"}.')
    shape = _shape_of(spec)
    known, build = SHAPES[shape]
    if len(spec) > 1:
        _refuse_misplaced(spec, shape)
        refuse_unknown(spec, (shape, *known, *_COMMON))
    place = zone(timezone)
    start_at = bound_of(spec, "start_at", place)
    end_at = bound_of(spec, "end_at", place)
    if created_at is not None and (not isinstance(created_at, datetime) or created_at.utcoffset() is None):
        raise ScheduleError("created_at", describe(created_at), "expected an aware datetime", "Give it a zone.")
    setting = Setting(place, created_at, start_at, strict)
    parts = build(spec, setting)
    rule = parts.rule
    if "calendars" in spec:
        rule = _with_calendars(rule, place, spec["calendars"], calendars or {})
    compiled = CompiledSchedule(
        timezone=place.name,
        spec=_frozen(spec),
        jitter=timedelta(milliseconds=whole_number(spec, "jitter_ms", 0, DAY_MS) if "jitter_ms" in spec else 0),
        start_at=None if start_at is None else from_ms(start_at),
        end_at=None if end_at is None else from_ms(end_at),
        max_executions=(
            whole_number(spec, "max_executions", 1, _MOST_EXECUTIONS) if "max_executions" in spec else None
        ),
        follows_wall_clock=parts.follows_wall_clock or "calendars" in spec,
        zone=place,
        rule=rule,
        wording=Wording(parts.sentence, lambda: tuple(dict.fromkeys(parts.warnings()))),
    )
    if end_at is not None and compiled.previous(from_ms(end_at + 1)) is None:
        fix = "Move end_at, or start_at, or the times."
        raise ScheduleError("end_at", describe(str(spec["end_at"])), "no instant of the schedule is in bounds", fix)
    return compiled


def _shape_of(spec: Mapping[str, Any]) -> str:
    found = [shape for shape in SHAPES if shape in spec]
    if len(found) == 1:
        return found[0]
    if found:
        fix = "Keep one of them; make a second job for the other."
        raise ScheduleError("schedule", ", ".join(found), "more than one kind of schedule at once", fix)
    fix = f"Give one of {', '.join(SHAPES)}."
    if "events" in spec:
        raise ScheduleError("events", "events", "an event schedule has no instants", fix)
    refuse_unknown(spec, (*SHAPES, *_COMMON))
    raise ScheduleError("schedule", "", "the schedule says no time", fix)


def _refuse_misplaced(spec: Mapping[str, Any], shape: str) -> None:
    """Refuse what another kind of schedule has, in words that say so."""
    mine = SHAPES[shape][0]
    for key in spec:
        if key not in mine and any(key in fields for fields, _ in SHAPES.values()):
            raise ScheduleError(key, key, f"does not apply to a schedule with {shape}", "Remove it.")


def _with_calendars(rule: Rule, place: Zone, value: object, supplied: Mapping[str, Calendar]) -> Rule:
    advice = 'Write {"exclude": ["tr-holidays"], "on_excluded": "skip"}.'
    spec = require_mapping(value, "calendars", advice)
    refuse_unknown(spec, ("exclude", "include", "on_excluded"), within="calendars.")
    chosen = {}
    for key in ("exclude", "include"):
        names = text_list(spec, key, limit=_MOST_CALENDARS, within="calendars.")
        chosen[key] = tuple(_calendar(name, key, supplied) for name in names)
    if not chosen["exclude"] and not chosen["include"]:
        raise ScheduleError("calendars", "", "names no calendar", advice)
    dates = DateFilter.of(chosen["exclude"], chosen["include"])
    on_excluded = choice(spec, "on_excluded", OnExcluded, OnExcluded.SKIP)
    if on_excluded is OnExcluded.SKIP:
        return Skipping(rule, place, dates)
    return Rolling(rule, place, dates, forward=on_excluded is OnExcluded.NEXT)


def _calendar(name: str, key: str, supplied: Mapping[str, Calendar]) -> Calendar:
    found = supplied.get(name)
    if found is None:
        known = ", ".join(sorted(supplied)[:20])
        fix = f"Use one of {known}." if known else "Create it first: there are no calendars."
        raise ScheduleError(f"calendars.{key}", name, "no such calendar", fix)
    return found


def _frozen(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    """A copy nobody can change, down to the lists and objects inside."""
    return MappingProxyType({key: _frozen_value(value) for key, value in spec.items()})


def _frozen_value(value: Any) -> Any:
    if isinstance(value, Mapping):
        return _frozen(value)
    return tuple(map(_frozen_value, value)) if isinstance(value, (list, tuple)) else value
