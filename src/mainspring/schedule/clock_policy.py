"""What a clock change does to the wall times of a schedule: the choices, and those a schedule makes.

How they are carried out is :mod:`mainspring.schedule.wall_clock`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from mainspring.schedule.reading import choice

#: A longer gap is a correction of the calendar (Samoa, 30 December 2011), not summer time: its runs are dropped.
LONGEST_GAP = 3 * 3_600


class Gap(Enum):
    """What becomes of walls that a clock change jumps over."""

    NOTHING = "nothing"  # follow real time: they never were
    NEXT_VALID = "next_valid"  # one run at the first instant after the gap
    SKIP = "skip"  # recorded as skipped, at that instant
    SHIFT = "shift"  # RFC 5545: read with the offset before the gap, so 02:30 becomes 03:30


class Fold(Enum):
    """Which pass of a wall that happens twice is meant."""

    FIRST = "first"
    SECOND = "second"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class ClockPolicy:
    """How a rule meets clock changes.

    Attributes:
        longest_gap: A gap of more seconds drops its walls whatever ``gap`` says; None: no limit.
    """

    gap: Gap = Gap.NEXT_VALID
    fold: Fold = Fold.FIRST
    longest_gap: int | None = LONGEST_GAP


#: Fixed wall times, unless the schedule says otherwise.
WALL_CLOCK = ClockPolicy()

#: Wildcard cron expressions: nothing made up, nothing lost.
REAL_TIME = ClockPolicy(Gap.NOTHING, Fold.BOTH)

#: RFC 5545, 3.3.5: the offset before the gap; the first pass of a fold.
RFC_5545 = ClockPolicy(Gap.SHIFT, Fold.FIRST, longest_gap=None)

#: A single run is never dropped, however long the gap.
ONE_RUN = ClockPolicy(Gap.NEXT_VALID, Fold.FIRST, longest_gap=None)


class _GapChoice(Enum):
    """What a schedule may say about gaps; the other members of :class:`Gap` follow from its kind."""

    NEXT_VALID = "next_valid"
    SKIP = "skip"


def read_policy(spec: Mapping[str, Any]) -> ClockPolicy:
    """Return what ``dst_gap`` and ``dst_fold`` of a schedule say."""
    if "dst_gap" not in spec and "dst_fold" not in spec:
        return WALL_CLOCK
    gap = choice(spec, "dst_gap", _GapChoice, _GapChoice.NEXT_VALID)
    return ClockPolicy(Gap(gap.value), choice(spec, "dst_fold", Fold, Fold.FIRST))
