"""The kinds of schedule on the wire, one function each: check the fields, build the rule, and know how to tell it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Any

from mainspring.errors import ScheduleError
from mainspring.schedule import sentence, warnings
from mainspring.schedule.anchor import Setting, anchor_of, anchor_wall_of, moment_of
from mainspring.schedule.cron_match import CronMatcher
from mainspring.schedule.cron_text import parse_cron
from mainspring.schedule.instants import DAY_MS, describe, from_ms, from_wall, read_moment, to_ms, to_wall
from mainspring.schedule.reading import choice, flag, refuse_unknown, require_mapping, whole_number
from mainspring.schedule.recurring import CalendarSteps, ElapsedGrid, OneInstant, OneWall, Unit
from mainspring.schedule.rrule import RecurrenceSet
from mainspring.schedule.rrule_text import parse_rrule
from mainspring.schedule.rules import Rule, Union, Until
from mainspring.schedule.wall_clock import REAL_TIME, RFC_5545, ClockPolicy, Fold, Gap, WallClockRule
from mainspring.schedule.zones import Zone, format_wall

MOST_EXPRESSIONS = 20
_MOST_DATES = 1_000
_TEN_YEARS_MS = 3_653 * DAY_MS
_LARGEST_STEP = {Unit.DAYS: 3_653, Unit.WEEKS: 521, Unit.MONTHS: 120, Unit.YEARS: 10}
_DAYS_IN = {Unit.DAYS: 1, Unit.WEEKS: 7, Unit.MONTHS: 28, Unit.YEARS: 365}


@dataclass(frozen=True, slots=True)
class Parts:
    """What a shape contributes: its rule and how to tell it."""

    rule: Rule
    sentence: Callable[[], str]
    warnings: Callable[[], Iterator[str]]
    follows_wall_clock: bool


def _cron(spec: Mapping[str, Any], setting: Setting) -> Parts:
    texts = spec["cron"]
    if not isinstance(texts, (list, tuple)):
        texts = (texts,)
    if not 1 <= len(texts) <= MOST_EXPRESSIONS:
        fix = f"Give 1 to {MOST_EXPRESSIONS} expressions."
        raise ScheduleError("cron", f"{len(texts)} expressions", "an unusable number of expressions", fix)
    day_match = spec.get("day_match")
    if "day_match" in spec and (not isinstance(day_match, str) or day_match not in ("any", "all")):
        raise ScheduleError("day_match", describe(day_match), "not one of the choices", "Use any or all.")
    seconds = flag(spec, "seconds")
    policy = _policy(spec)
    expressions = [parse_cron(text, seconds=seconds, day_match=day_match) for text in texts]
    rules = []
    for fields in expressions:
        matcher = CronMatcher(fields)
        if not matcher.fires():
            raise ScheduleError("cron", fields.text, "no date matches this, ever", "Mend the day or the month.")
        rules.append(WallClockRule(matcher, setting.zone, REAL_TIME if fields.wildcard else policy))
    rule = rules[0] if len(rules) == 1 else Union(rules)

    def warn() -> Iterator[str]:
        yield from warnings.cron_warnings(expressions, day_match_given=day_match is not None)
        yield from _clock_changes(rule, setting)

    return Parts(
        rule,
        lambda: sentence.cron_sentence(expressions, setting.zone.name),
        warn,
        follows_wall_clock=any(not fields.every_hour or not fields.wildcard for fields in expressions),
    )


def _every_ms(spec: Mapping[str, Any], setting: Setting) -> Parts:
    every = whole_number(spec, "every_ms", 1_000, _TEN_YEARS_MS)
    anchor = anchor_of(spec, "anchor_at", setting)
    given = moment_of(spec, "anchor_at")

    def warn() -> Iterator[str]:
        if every % DAY_MS == 0:
            days = every // DAY_MS
            yield f'elapsed: {days} x 24 hours, not calendar days; for those use "every": {{"days": {days}}}'
        if every > 366 * DAY_MS:
            yield "rare: less than one run a year"

    return Parts(
        ElapsedGrid(anchor, every),
        lambda: sentence.grid_sentence(timedelta(milliseconds=every), from_ms(anchor)),
        warn,
        follows_wall_clock=given is not None and given.tzinfo is None,
    )


def _every(spec: Mapping[str, Any], setting: Setting) -> Parts:
    advice = 'Use one unit: {"days": 1}, {"weeks": 2}, {"months": 1} or {"years": 1}.'
    step = require_mapping(spec["every"], "every", advice)
    refuse_unknown(step, [unit.value for unit in Unit], within="every.")
    if len(step) != 1:
        raise ScheduleError("every", ", ".join(step), "expected exactly one unit", advice)
    unit = Unit(next(iter(step)))
    size = whole_number(step, unit.value, 1, _LARGEST_STEP[unit], within="every.")
    anchor = anchor_wall_of(spec, "anchor_at", setting)
    start = from_wall(anchor)
    rule = WallClockRule(CalendarSteps(anchor, unit, size), setting.zone, _policy(spec))

    def warn() -> Iterator[str]:
        if unit in (Unit.MONTHS, Unit.YEARS) and start.day > 28:
            yield f"short_months: in a month without day {start.day} it runs on the last day"
        if size * _DAYS_IN[unit] > 366 or (unit is Unit.MONTHS and size > 12):
            yield "rare: less than one run a year"
        yield from _clock_changes(rule, setting)

    return Parts(
        rule,
        lambda: sentence.steps_sentence(size, unit.value, start, setting.zone.name),
        warn,
        follows_wall_clock=True,
    )


def _run_at(spec: Mapping[str, Any], setting: Setting) -> Parts:
    moment = read_moment(spec["run_at"], field="run_at")
    place = setting.zone
    if moment.tzinfo is not None:
        at = to_ms(moment)
        shown = from_wall(place.wall_at(at // 1_000)[0])
        return Parts(
            OneInstant(at),
            lambda: sentence.once_sentence(shown, place.name),
            lambda: iter(()),
            follows_wall_clock=False,
        )
    wall = to_wall(moment)
    if setting.strict:
        _refuse_doubt(wall, place)
    # A single run is never dropped, however long the gap.
    rule = WallClockRule(OneWall(wall), place, ClockPolicy(Gap.NEXT_VALID, Fold.FIRST, longest_gap=None))

    def warn() -> Iterator[str]:
        found = rule.next(-1)
        for note in found.notes if found is not None else ():
            yield f"clock_change: {note}"

    return Parts(rule, lambda: sentence.once_sentence(from_wall(wall), place.name), warn, follows_wall_clock=True)


def _refuse_doubt(wall: int, place: Zone) -> None:
    instants = place.instants_of(wall)
    if len(instants) == 1:
        return
    first = place.first_instant_of(wall)
    # In a gap the two readings are those of the clock before and the clock after the change.
    candidates = instants or (wall - place.offset_at(first), wall - place.offset_at(first - 1))
    told = " or ".join(f'"{from_ms(at * 1_000):%Y-%m-%dT%H:%M:%SZ}"' for at in candidates)
    problem = "happens twice" if instants else "does not exist"
    raise ScheduleError("run_at", format_wall(wall), f"this wall time {problem} in {place.name}", f"Use {told}.")


def _rrule(spec: Mapping[str, Any], setting: Setting) -> Parts:
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
        fix = "Mend the BY... parts, INTERVAL, UNTIL or exdate; its search looks at 20000 periods."
        raise ScheduleError("rrule", recurrence.text, "the rule names no instant", fix)
    return Parts(
        rule,
        lambda: sentence.rrule_sentence(recurrence, from_wall(start), setting.zone.name),
        lambda: _clock_changes(rule, setting),
        follows_wall_clock=True,
    )


def _walls(spec: Mapping[str, Any], key: str, place: Zone) -> list[int]:
    """The wall times of a list of moments; an instant stands for the wall time shown at it."""
    values = spec.get(key, ())
    if not isinstance(values, (list, tuple)):
        raise ScheduleError(key, describe(values), "expected a list of wall times", 'Write ["2026-03-01T09:00:00"].')
    if len(values) > _MOST_DATES:
        fix = f"Give at most {_MOST_DATES}, or use a calendar."
        raise ScheduleError(key, f"{len(values)} items", "too many dates", fix)
    moments = [read_moment(value, field=key) for value in values]
    return [to_wall(at) if at.tzinfo is None else place.wall_at(to_ms(at) // 1_000)[0] for at in moments]


def _clock_changes(rule: Rule, setting: Setting) -> Iterator[str]:
    if setting.since is not None:
        yield from warnings.clock_change_warnings(rule, setting.zone, setting.since)


def _policy(spec: Mapping[str, Any]) -> ClockPolicy:
    gap = choice(spec, "dst_gap", _GapChoice, _GapChoice.NEXT_VALID)
    return ClockPolicy(Gap(gap.value), choice(spec, "dst_fold", Fold, Fold.FIRST))


class _GapChoice(Enum):
    """What a schedule may say about gaps; the other members of :class:`Gap` follow from its kind."""

    NEXT_VALID = "next_valid"
    SKIP = "skip"


#: Shape: the further fields it knows, and what reads it.
SHAPES: dict[str, tuple[tuple[str, ...], Callable[[Mapping[str, Any], Setting], Parts]]] = {
    "cron": (("seconds", "day_match", "dst_gap", "dst_fold"), _cron),
    "every_ms": (("anchor_at",), _every_ms),
    "every": (("anchor_at", "dst_gap", "dst_fold"), _every),
    "rrule": (("dtstart", "exdate", "rdate"), _rrule),
    "run_at": ((), _run_at),
}
