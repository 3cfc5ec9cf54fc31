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
from mainspring.schedule.anchor import Setting
from mainspring.schedule.bounds import BOUNDS, UNBOUNDED, read_bounds
from mainspring.schedule.calendar import Calendar
from mainspring.schedule.compiled import CompiledSchedule
from mainspring.schedule.exclusion import DateFilter, OnExcluded, Rolling, Skipping
from mainspring.schedule.instants import describe
from mainspring.schedule.reading import choice, refuse_unknown, require_mapping, text_list
from mainspring.schedule.rules import Rule
from mainspring.schedule.shapes import SHAPES
from mainspring.schedule.zones import Zone, zone

_MOST_CALENDARS = 20
_COMMON = ("calendars", *BOUNDS)
_MILLISECOND = timedelta(milliseconds=1)


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
    kind = _kind_of(spec)
    further, read = SHAPES[kind]
    place = zone(timezone)
    bounds = UNBOUNDED
    if len(spec) > 1:
        _refuse_misplaced(spec, kind)
        refuse_unknown(spec, (kind, *further, *_COMMON))
        bounds = read_bounds(spec, place)
    if created_at is not None and (not isinstance(created_at, datetime) or created_at.utcoffset() is None):
        raise ScheduleError("created_at", describe(created_at), "expected an aware datetime", "Give it a zone.")
    shape = read(spec, Setting(place, created_at, bounds.start_at, strict))
    rule = shape.rule
    if "calendars" in spec:
        rule = _with_calendars(rule, place, spec["calendars"], calendars or {})
    compiled = CompiledSchedule(_frozen(spec), place, rule, shape, bounds)
    if bounds.end_at is not None and compiled.previous(bounds.end_at + _MILLISECOND) is None:
        fix = "Move end_at, or start_at, or the times."
        raise ScheduleError("end_at", describe(str(spec["end_at"])), "no instant of the schedule is in bounds", fix)
    return compiled


def _kind_of(spec: Mapping[str, Any]) -> str:
    found = [kind for kind in SHAPES if kind in spec]
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


def _refuse_misplaced(spec: Mapping[str, Any], kind: str) -> None:
    """Refuse what another kind of schedule has, in words that say so."""
    mine = SHAPES[kind][0]
    for key in spec:
        if key not in mine and any(key in fields for fields, _ in SHAPES.values()):
            raise ScheduleError(key, key, f"does not apply to a schedule with {kind}", "Remove it.")


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
    return MappingProxyType(
        {key: value if isinstance(value, str) else _frozen_value(value) for key, value in spec.items()}
    )


def _frozen_value(value: Any) -> Any:
    if isinstance(value, Mapping):
        return _frozen(value)
    return tuple(map(_frozen_value, value)) if isinstance(value, (list, tuple)) else value
