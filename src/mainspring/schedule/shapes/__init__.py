"""The kinds of schedule on the wire: what each knows besides its own field, and what reads it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mainspring.schedule.anchor import Setting
from mainspring.schedule.shapes.cron import read_cron
from mainspring.schedule.shapes.interval import read_every, read_every_ms
from mainspring.schedule.shapes.once import read_run_at
from mainspring.schedule.shapes.recurrence import read_rrule
from mainspring.schedule.shapes.shape import Shape

#: Kind, by the field that tells it: the further fields it knows, and what reads it.
SHAPES: dict[str, tuple[tuple[str, ...], Callable[[Mapping[str, Any], Setting], Shape]]] = {
    "cron": (("seconds", "day_match", "dst_gap", "dst_fold"), read_cron),
    "every_ms": (("anchor_at",), read_every_ms),
    "every": (("anchor_at", "dst_gap", "dst_fold"), read_every),
    "rrule": (("dtstart", "exdate", "rdate"), read_rrule),
    "run_at": ((), read_run_at),
}

__all__ = ["SHAPES", "Shape"]
