"""Schedules of a single time: ``{"run_at": ...}``, an instant or a wall time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from mainspring.errors import ScheduleError
from mainspring.schedule import sentence
from mainspring.schedule.anchor import Setting
from mainspring.schedule.clock_policy import ONE_RUN
from mainspring.schedule.instants import from_ms, from_wall, read_moment, to_ms, to_wall
from mainspring.schedule.recurring import OneInstant, OneWall
from mainspring.schedule.rules import Rule
from mainspring.schedule.wall_clock import WallClockRule
from mainspring.schedule.zones import Zone, format_wall


class InstantShape(NamedTuple):
    """One instant, in milliseconds: no clock change touches it, and there is nothing to warn of."""

    rule: Rule
    at: int
    zone: Zone
    follows_wall_clock: bool = False

    def sentence(self) -> str:
        """See :class:`~mainspring.schedule.shapes.shape.Shape`."""
        return sentence.once_sentence(from_wall(self.zone.wall_at(self.at // 1_000)[0]), self.zone.name)

    def warnings(self) -> Iterator[str]:
        """See :class:`~mainspring.schedule.shapes.shape.Shape`."""
        return iter(())


class WallShape(NamedTuple):
    """One wall time, in seconds."""

    rule: Rule
    wall: int
    zone: Zone
    follows_wall_clock: bool = True

    def sentence(self) -> str:
        """See :class:`~mainspring.schedule.shapes.shape.Shape`."""
        return sentence.once_sentence(from_wall(self.wall), self.zone.name)

    def warnings(self) -> Iterator[str]:
        """See :class:`~mainspring.schedule.shapes.shape.Shape`."""
        found = self.rule.next(-1)
        for note in found.notes if found is not None else ():
            yield f"clock_change: {note}"


def read_run_at(spec: Mapping[str, Any], setting: Setting) -> InstantShape | WallShape:
    """Check the field of such a schedule."""
    moment = read_moment(spec["run_at"], field="run_at")
    zone = setting.zone
    if moment.tzinfo is not None:
        at = to_ms(moment)
        return InstantShape(OneInstant(at), at, zone)
    wall = to_wall(moment)
    if setting.strict:
        _refuse_doubt(wall, zone)
    return WallShape(WallClockRule(OneWall(wall), zone, ONE_RUN), wall, zone)


def _refuse_doubt(wall: int, zone: Zone) -> None:
    instants = zone.instants_of(wall)
    if len(instants) == 1:
        return
    first = zone.first_instant_of(wall)
    # In a gap the two readings are those of the clock before and the clock after the change.
    candidates = instants or (wall - zone.offset_at(first), wall - zone.offset_at(first - 1))
    told = " or ".join(f'"{from_ms(at * 1_000):%Y-%m-%dT%H:%M:%SZ}"' for at in candidates)
    problem = "happens twice" if instants else "does not exist"
    raise ScheduleError("run_at", format_wall(wall), f"this wall time {problem} in {zone.name}", f"Use {told}.")
