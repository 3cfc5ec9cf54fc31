"""The moments a schedule gives: anchors, bounds, and what stands in for an anchor that is not given."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from mainspring.schedule.instants import read_moment, to_ms, to_wall
from mainspring.schedule.zones import Zone


class Setting(NamedTuple):
    """What a schedule's own fields do not say: its zone, when it was made, and how strict to be.

    ``start_at`` is the schedule's own bound, already read.
    """

    zone: Zone
    created_at: datetime | None
    start_at: datetime | None
    strict: bool

    @property
    def since(self) -> int | None:
        """From when on the schedule matters, in milliseconds; None when nobody said."""
        since = self.start_at or self.created_at
        return None if since is None else to_ms(since)


def moment_of(spec: Mapping[str, Any], key: str) -> datetime | None:
    """Return the instant (aware) or wall time (naive) of ``spec[key]``; None when it is absent."""
    return read_moment(spec[key], field=key) if key in spec else None


def bound_of(spec: Mapping[str, Any], key: str, place: Zone) -> int | None:
    """Return the instant of ``spec[key]`` in ms, or None; a wall time in a gap is the first instant after it."""
    moment = moment_of(spec, key)
    if moment is None:
        return None
    if moment.tzinfo is not None:
        return to_ms(moment)
    wall = to_wall(moment)
    instants = place.instants_of(wall)
    # Inclusive bounds: a span that ends in a fold ends with its second pass.
    found = instants[-1] if instants and key == "end_at" else place.first_instant_of(wall)
    return found * 1_000


def anchor_of(spec: Mapping[str, Any], key: str, setting: Setting) -> int:
    """Return the anchor in ms: as given, else start_at, else the creation cut to the second, else 1970 in UTC."""
    moment = moment_of(spec, key)
    if moment is not None:
        return to_ms(moment) if moment.tzinfo is not None else setting.zone.first_instant_of(to_wall(moment)) * 1_000
    if setting.start_at is not None:
        return to_ms(setting.start_at)
    return 0 if setting.created_at is None else to_ms(setting.created_at) // 1_000 * 1_000


def anchor_wall_of(spec: Mapping[str, Any], key: str, setting: Setting) -> int:
    """Return the same as a wall time. One in a gap stays what it is, for the steps that follow."""
    moment = moment_of(spec, key)
    if moment is not None and moment.tzinfo is None:
        return to_wall(moment)
    if moment is None and setting.since is None:
        return 0
    return setting.zone.wall_at(anchor_of(spec, key, setting) // 1_000)[0]
