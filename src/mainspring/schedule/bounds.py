"""What a schedule of any kind may add: where it begins and ends, how many executions it makes, and its jitter."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from mainspring.schedule.anchor import bound_of
from mainspring.schedule.instants import DAY_MS, from_ms
from mainspring.schedule.reading import whole_number
from mainspring.schedule.zones import Zone

_MOST_EXECUTIONS = 2**53

#: The fields, beside ``calendars``.
BOUNDS = ("jitter_ms", "start_at", "end_at", "max_executions")


class Bounds(NamedTuple):
    """The first and the last nominal instant allowed, both inclusive; the most executions; the most jitter."""

    start_at: datetime | None = None
    end_at: datetime | None = None
    max_executions: int | None = None
    jitter: timedelta = timedelta(0)


#: Of a schedule that says nothing of the kind.
UNBOUNDED = Bounds()


def read_bounds(spec: Mapping[str, Any], zone: Zone) -> Bounds:
    """Check these fields of a schedule."""
    start_at, end_at = bound_of(spec, "start_at", zone), bound_of(spec, "end_at", zone)
    most, jitter_ms = "max_executions" in spec, "jitter_ms" in spec
    return Bounds(
        start_at=None if start_at is None else from_ms(start_at),
        end_at=None if end_at is None else from_ms(end_at),
        max_executions=whole_number(spec, "max_executions", 1, _MOST_EXECUTIONS) if most else None,
        jitter=timedelta(milliseconds=whole_number(spec, "jitter_ms", 0, DAY_MS) if jitter_ms else 0),
    )
