"""From wall times to instants: what clock changes do to a rule that names wall times.

The rule itself (a cron expression, calendar steps, a recurrence rule, one wall time) only knows naive walls. This
module walks the segments of a zone and asks it, per segment, for the next wall inside: every wall of a segment is one
instant, so nothing is computed across a clock change.
"""

from __future__ import annotations

from typing import Protocol

from mainspring.schedule.clock_policy import ClockPolicy, Fold, Gap
from mainspring.schedule.instants import HORIZON_MS, from_ms, from_wall
from mainspring.schedule.occurrence import Occurrence
from mainspring.schedule.zones import MAX_OFFSET, Segment, Zone, format_wall

_HORIZON = HORIZON_MS // 1_000


class WallTimes(Protocol):
    """A set of naive wall times, in seconds."""

    def next_wall(self, at_least: int) -> int | None:
        """Return the first wall at or after ``at_least``, or None."""
        ...

    def previous_wall(self, at_most: int) -> int | None:
        """Return the last wall at or before ``at_most``, or None."""
        ...


class WallClockRule:
    """The instants of a set of wall times in a zone: a :class:`~mainspring.schedule.rules.Rule`."""

    __slots__ = ("_fold", "_gap", "_longest_gap", "_walls", "_zone")

    def __init__(self, walls: WallTimes, zone: Zone, policy: ClockPolicy) -> None:
        self._walls = walls
        self._zone = zone
        self._gap = policy.gap
        self._fold = policy.fold
        self._longest_gap = policy.longest_gap

    def next(self, after: int) -> Occurrence | None:
        """See :meth:`mainspring.schedule.rules.Rule.next`."""
        instant = max(after // 1_000 + 1, 0)
        while instant < _HORIZON:
            segment = self._zone.segment_at(instant)
            start, end = self._range(segment)
            wall = self._walls.next_wall(max(instant + segment.offset, start))
            hit = wall if wall is not None and wall < end else None
            if segment.gap and instant < segment.start + segment.gap and self._gap is not Gap.NOTHING:
                found = self._after_gap(segment, instant, hit)
                if found is not None:
                    return found
            if hit is not None:
                return self._occurrence(segment, hit)
            instant = segment.end
            # Walls that repeat may lie behind; without a fold nothing is named before ``wall``, whatever the offset.
            if segment.repeats == segment.end + segment.offset:
                if wall is None:
                    return None
                instant = max(instant, wall - MAX_OFFSET)
        return None

    def previous(self, before: int) -> Occurrence | None:
        """See :meth:`mainspring.schedule.rules.Rule.previous`."""
        instant = min((before - 1) // 1_000, _HORIZON - 1)
        while instant >= 0:
            segment = self._zone.segment_at(instant)
            start, end = self._range(segment)
            wall = self._walls.previous_wall(min(instant + segment.offset, end - 1))
            hit = wall if wall is not None and wall >= start else None
            if segment.gap and self._gap is not Gap.NOTHING:
                found = self._before_in_gap(segment, instant, hit)
                if found is not None:
                    return found
            if hit is not None:
                return self._occurrence(segment, hit)
            instant = segment.start - 1
            if segment.seen == segment.start + segment.offset:
                if wall is None:
                    return None
                instant = min(instant, wall + MAX_OFFSET)
        return None

    def _range(self, segment: Segment) -> tuple[int, int]:
        """The walls of a segment that count: ``[start, end)`` without the pass of a fold that is not wanted."""
        start, end = segment.start + segment.offset, segment.end + segment.offset
        if self._fold is Fold.FIRST:
            return segment.seen, end
        if self._fold is Fold.SECOND:
            return start, segment.repeats
        return start, end

    def _after_gap(self, segment: Segment, instant: int, hit: int | None) -> Occurrence | None:
        """The first run at or after ``instant`` that owes its instant to the gap at the segment's start, if first."""
        exists = segment.start + segment.offset
        if self._gap is Gap.SHIFT:
            lost = self._walls.next_wall(instant + segment.offset - segment.gap)
            if lost is None or lost >= exists or (hit is not None and hit < lost + segment.gap):
                return None
            return self._shifted(segment, lost, hit)
        if instant != segment.start:
            return None
        lost = self._walls.next_wall(exists - segment.gap)
        return self._at_gap_end(segment, lost, hit) if lost is not None and lost < exists else None

    def _before_in_gap(self, segment: Segment, instant: int, hit: int | None) -> Occurrence | None:
        """The last run at or before ``instant`` that owes its instant to the gap at the segment's start, if last."""
        exists = segment.start + segment.offset
        if self._gap is Gap.SHIFT:
            lost = self._walls.previous_wall(min(instant + segment.offset - segment.gap, exists - 1))
            if lost is None or lost < exists - segment.gap or (hit is not None and hit > lost + segment.gap):
                return None
            return self._shifted(segment, lost, hit)
        if hit is not None and hit > exists:
            return None
        lost = self._walls.next_wall(exists - segment.gap)
        return self._at_gap_end(segment, lost, hit) if lost is not None and lost < exists else None

    def _shifted(self, segment: Segment, lost: int, hit: int | None) -> Occurrence:
        shown = lost + segment.gap
        note = f"dst_gap: {_on(lost)}; runs at {_time(shown)}, the offset before the change"
        wall = shown if hit == shown else lost
        return Occurrence(from_ms((shown - segment.offset) * 1_000), (note,), None, from_wall(wall))

    def _at_gap_end(self, segment: Segment, lost: int, hit: int | None) -> Occurrence:
        """The one occurrence at the end of a gap: ``lost`` is the first wall in it, ``hit`` the next that exists."""
        exists = segment.start + segment.offset
        regular = hit == exists
        last = self._walls.previous_wall(exists - 1)
        what = _on(lost)
        if last is not None and last != lost:
            what = f"{_time(lost)} to {_time(last)} do not exist on {_date(lost)}"
        dropped = self._longest_gap is not None and segment.gap > self._longest_gap
        if dropped:
            fate = f"dropped: the zone skipped {segment.gap // 3_600} hours"
        elif self._gap is Gap.SKIP:
            fate = "skipped"
        else:
            fate = f"merged into the run at {_time(exists)}" if regular else f"runs at {_time(exists)}"
        return Occurrence(
            from_ms(segment.start * 1_000),
            (f"dst_gap: {what}; {fate}",),
            "dst_gap" if not regular and (dropped or self._gap is Gap.SKIP) else None,
            from_wall(exists if regular else lost),
        )

    def _occurrence(self, segment: Segment, wall: int) -> Occurrence:
        at = from_ms((wall - segment.offset) * 1_000)
        if segment.seen <= wall < segment.repeats:
            return Occurrence(at, (), None, from_wall(wall))
        second = wall < segment.seen
        named = from_wall(wall).replace(fold=int(second))
        if self._gap is Gap.NOTHING:
            return Occurrence(at, (), None, named)
        ordinal = "second" if second else "first"
        runs = f"at both passes, this is the {ordinal}" if self._fold is Fold.BOTH else f"at the {ordinal} pass"
        note = f"dst_fold: {_time(wall)} happens twice on {_date(wall)}; runs {runs}"
        return Occurrence(at, (note,), None, named)


def _date(wall: int) -> str:
    return format_wall(wall)[:10]


def _time(wall: int) -> str:
    return format_wall(wall)[11:]


def _on(wall: int) -> str:
    return f"{_time(wall)} does not exist on {_date(wall)}"
