"""Calendars laid over a rule: instants on excluded dates are skipped, or rolled to the nearest allowed date.

Rolling keeps order because of one observation: the dates fall into *groups*, an allowed date and the run of excluded
dates that rolls onto it. Groups are stretches of the calendar without holes, and whatever a group yields lands on its
allowed date. Walking forward is walking from group to group, and inside one asking the rule once per date.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from mainspring.schedule.calendar import Calendar
from mainspring.schedule.instants import DAY, EPOCH_ORDINAL, from_ms, from_wall, to_ms, to_wall
from mainspring.schedule.occurrence import Occurrence, merge
from mainspring.schedule.rules import Rule
from mainspring.schedule.zones import Zone, format_wall

#: How far away the allowed date may be before the schedule counts as exhausted.
MOST_DAYS = 5 * 366

# Two suffice, see Rolling.next; a zone whose date went back by a clock change (St John's until 2011) may need more.
_MOST_GROUPS = 10


class OnExcluded(Enum):
    """What becomes of an instant on an excluded date."""

    SKIP = "skip"
    NEXT = "next"
    PREVIOUS = "previous"


@dataclass(frozen=True, slots=True)
class DateFilter:
    """Which local dates are allowed, as day numbers since 1970."""

    exclude: tuple[tuple[str, frozenset[int]], ...]
    include: tuple[tuple[str, frozenset[int]], ...]

    @classmethod
    def of(cls, exclude: tuple[Calendar, ...], include: tuple[Calendar, ...]) -> DateFilter:
        """Return the filter of some calendars: not on any of ``exclude``; on one of ``include`` if there are any."""
        return cls(tuple(map(_numbered, exclude)), tuple(map(_numbered, include)))

    def excluded_by(self, day: int) -> str | None:
        """Return the name of the calendar that forbids ``day``, or None when it is allowed."""
        for name, days in self.exclude:
            if day in days:
                return name
        if self.include and not any(day in days for _, days in self.include):
            return self.include[0][0]
        return None


@lru_cache(maxsize=256)
def _numbered(calendar: Calendar) -> tuple[str, frozenset[int]]:
    return calendar.name, frozenset(date.toordinal() - EPOCH_ORDINAL for date in calendar.dates)


class Skipping:
    """A rule whose instants on excluded dates are marked: they are due, and decided as skipped."""

    __slots__ = ("_dates", "_rule", "_zone")

    def __init__(self, rule: Rule, zone: Zone, dates: DateFilter) -> None:
        self._rule = rule
        self._zone = zone
        self._dates = dates

    def next(self, after: int) -> Occurrence | None:
        """See :class:`~mainspring.schedule.rules.Rule`."""
        return self._marked(self._rule.next(after))

    def previous(self, before: int) -> Occurrence | None:
        """See :class:`~mainspring.schedule.rules.Rule`."""
        return self._marked(self._rule.previous(before))

    def _marked(self, found: Occurrence | None) -> Occurrence | None:
        if found is None or found.excluded_by is not None:
            return found
        name = self._dates.excluded_by(_local_wall(found, self._zone) // DAY)
        return found if name is None else Occurrence(found.at, found.notes, f"calendar:{name}", found.wall)


@dataclass(frozen=True, slots=True)
class _Group:
    """Dates ``first`` to ``last``, whose instants all land on the allowed date ``target``."""

    first: int
    last: int
    target: int

    def days(self) -> range:
        return range(self.first, self.last + 1)


class Rolling:
    """A rule whose instants on excluded dates move to the same wall time on the next or previous allowed date."""

    __slots__ = ("_dates", "_forward", "_rule", "_zone")

    def __init__(self, rule: Rule, zone: Zone, dates: DateFilter, *, forward: bool) -> None:
        self._rule = rule
        self._zone = zone
        self._dates = dates
        self._forward = forward

    def next(self, after: int) -> Occurrence | None:
        """See :class:`~mainspring.schedule.rules.Rule`; None as well when no date is allowed for five years."""
        day = self._zone.wall_at(after // 1_000)[0] // DAY
        # A group reached through an instant in it has an answer, so the second one is the last.
        for _ in range(_MOST_GROUPS):
            group = self._group_from(day, 1)
            if group is None:
                return None
            found = self._first_in(group, after)
            if found is not None:
                return found
            following = self._rule.next(max(after, self._end_of(group.last)))
            if following is None:
                return None
            day = max(_local_wall(following, self._zone) // DAY, group.last + 1)
        return None

    def previous(self, before: int) -> Occurrence | None:
        """See :class:`~mainspring.schedule.rules.Rule`; None as well when no date is allowed for five years."""
        day = self._zone.wall_at((before - 1) // 1_000)[0] // DAY
        for _ in range(_MOST_GROUPS):
            group = self._group_from(day, -1)
            if group is None:
                return None
            found = self._last_in(group, before)
            if found is not None:
                return found
            earlier = self._rule.previous(min(before, self._end_of(group.first - 1) + 1))
            if earlier is None:
                return None
            day = min(_local_wall(earlier, self._zone) // DAY, group.first - 1)
        return None

    def _group_from(self, day: int, step: int) -> _Group | None:
        """The group of ``day``, or the first one met going by ``step`` when what lies on ``day`` rolls nowhere."""
        group = self._group(day)
        if group is None and (step == 1) is not self._forward:
            allowed = self._walk(day, step)
            group = None if allowed is None else self._group(allowed)
        return group

    def _group(self, day: int) -> _Group | None:
        """The group ``day`` belongs to; None when no date near enough is allowed."""
        step = 1 if self._forward else -1
        target = self._walk(day, step)
        if target is None:
            return None
        # The group reaches from its target back to the date after the allowed one before it.
        edge = self._walk(min(day, target) - 1 if self._forward else max(day, target) + 1, -step)
        if edge is None:
            edge = day - step * MOST_DAYS
        return _Group(edge + 1, target, target) if self._forward else _Group(target, edge - 1, target)

    def _walk(self, day: int, step: int) -> int | None:
        """The first day from ``day`` on, going by ``step``, that is allowed."""
        for _ in range(MOST_DAYS):
            if self._dates.excluded_by(day) is None:
                return day
            day += step
        return None

    def _first_in(self, group: _Group, after: int) -> Occurrence | None:
        wall = self._zone.wall_at(after // 1_000)[0]
        if group.target < wall // DAY:
            return None
        # On the day of ``after``, only what is later on the clock can land later.
        clock = wall % DAY if group.target == wall // DAY else 0
        best: Occurrence | None = None
        for day in group.days():
            start = self._zone.first_instant_of(day * DAY + clock) * 1_000 - 1
            probe, end = max(after, start) if day == group.target else start, self._end_of(day)
            while (found := self._rule.next(probe)) is not None and (probe := to_ms(found.at)) <= end:
                landed = self._landed(found, group)
                if to_ms(landed.at) > after:
                    if best is None or landed.at < best.at:
                        best = landed
                    elif landed.at == best.at:
                        best = merge(best, landed)
                    break
        return best

    def _last_in(self, group: _Group, before: int) -> Occurrence | None:
        wall = self._zone.wall_at((before - 1) // 1_000)[0]
        if group.target > wall // DAY:
            return None
        best: Occurrence | None = None
        for day in group.days():
            probe, start = self._end_of(day) + 1, self._end_of(day - 1)
            if day == group.target:
                probe = min(before, probe)
            elif group.target == wall // DAY:
                probe = min(probe, self._last_instant_of(day * DAY + wall % DAY) * 1_000 + 1_000)
            while (found := self._rule.previous(probe)) is not None and (probe := to_ms(found.at)) > start:
                landed = self._landed(found, group)
                if to_ms(landed.at) < before:
                    if best is None or landed.at > best.at:
                        best = landed
                    elif landed.at == best.at:
                        best = merge(best, landed)
                    break
        return best

    def _landed(self, found: Occurrence, group: _Group) -> Occurrence:
        """``found`` as it runs: itself on an allowed date, else at its wall time on the group's target."""
        shown = _local_wall(found, self._zone)
        if shown // DAY == group.target:
            return found
        named = shown if found.wall is None else to_wall(found.wall)
        wall = group.target * DAY + named % DAY
        instants = self._zone.instants_of(wall)
        at = instants[0] * 1_000 + to_ms(found.at) % 1_000 if instants else self._zone.first_instant_of(wall) * 1_000
        name = self._dates.excluded_by(shown // DAY)
        source, target = format_wall(shown)[:10], format_wall(wall)
        note = f"rolled: {source} is excluded by calendar:{name}; runs on {target[:10]}"
        if not instants:
            note += f", after the gap that holds {target[11:]}"
        return Occurrence(from_ms(at), (*found.notes, note), found.excluded_by, from_wall(wall))

    def _end_of(self, day: int) -> int:
        """The last millisecond of a local date."""
        return self._zone.first_instant_of((day + 1) * DAY) * 1_000 - 1

    def _last_instant_of(self, wall: int) -> int:
        return max((*self._zone.instants_of(wall), self._zone.first_instant_of(wall)))


def _local_wall(found: Occurrence, zone: Zone) -> int:
    return zone.wall_at(to_ms(found.at) // 1_000)[0]
