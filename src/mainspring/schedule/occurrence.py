"""One instant a schedule names, with what a reader should know about it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Occurrence:
    """An instant a schedule names.

    Attributes:
        at: The nominal instant, aware and in UTC; ``scheduled_at`` of its decision.
        notes: What clock changes or calendars did to it. Each starts with a word for programs and a colon:
            ``dst_gap``, ``dst_fold`` or ``rolled``.
        excluded_by: ``calendar:NAME`` or ``dst_gap`` when the instant is decided as skipped; None when it is to run.
        wall: The naive local time the rule named, its ``fold`` the pass (0 or 1); None where the rule counts elapsed
            time. A wall time in a gap is kept as named, though no clock shows it.

    >>> from datetime import UTC
    >>> Occurrence(datetime(2026, 3, 8, 7, 0, tzinfo=UTC)).excluded_by is None
    True
    """

    at: datetime
    notes: tuple[str, ...] = ()
    excluded_by: str | None = None
    wall: datetime | None = None


def merge(one: Occurrence, other: Occurrence) -> Occurrence:
    """Return what two occurrences of the same instant amount to: one run if either runs, and the notes of both.

    The wall time is that of the regular one, the one without an adjustment.
    """
    if one.at != other.at:
        raise ValueError(f"cannot merge {one.at} with {other.at}")
    lead, rest = (other, one) if _rank(other) < _rank(one) else (one, other)
    notes = lead.notes + tuple(note for note in rest.notes if note not in lead.notes)
    return Occurrence(lead.at, notes, lead.excluded_by, lead.wall)


def _rank(occurrence: Occurrence) -> tuple[bool, bool]:
    return occurrence.excluded_by is not None, bool(occurrence.notes)
