"""What a schedule will do: its next runs, told for people, by the code the dispatcher itself uses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, overload

from mainspring.errors import ScheduleError
from mainspring.schedule.calendar import Calendar
from mainspring.schedule.compile import compile_schedule
from mainspring.schedule.instants import describe

_MOST = 1_000

# As in the calendars: a schedule whose every instant is skipped must not be searched for ever.
_CANDIDATES = 10_000


@dataclass(frozen=True, slots=True)
class PreviewItem:
    """One run: the aware local time, the same instant in UTC, and what clock changes or calendars did to it.

    ``excluded_by`` is None for every item of a preview, which leaves skipped instants out.
    """

    at: datetime
    utc: datetime
    notes: tuple[str, ...]
    excluded_by: str | None


class Preview(Sequence[PreviewItem]):
    """The next runs of a schedule, with its sentence and its warnings."""

    __slots__ = ("_items", "sentence", "timezone", "warnings")

    def __init__(
        self, items: Sequence[PreviewItem], *, sentence: str, warnings: tuple[str, ...], timezone: str
    ) -> None:
        self._items = tuple(items)
        self.sentence = sentence
        self.warnings = warnings
        self.timezone = timezone

    def __len__(self) -> int:
        return len(self._items)

    @overload
    def __getitem__(self, index: int) -> PreviewItem: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[PreviewItem]: ...
    def __getitem__(self, index: int | slice) -> PreviewItem | Sequence[PreviewItem]:
        return self._items[index]

    def __repr__(self) -> str:
        return f"Preview({self.sentence!r}, {len(self._items)} runs)"


def preview(
    schedule: Mapping[str, Any],
    timezone: str = "UTC",
    after: datetime | None = None,
    count: int = 10,
    calendars: Mapping[str, Calendar] | None = None,
) -> Preview:
    """Return the next ``count`` runs of a schedule strictly after ``after``; skipped instants are left out.

    Args:
        schedule: As in :func:`mainspring.schedule.compile_schedule`; anchored at ``after`` where it has no anchor.
        timezone: IANA name of its zone.
        after: An aware datetime; None means the present. This is the one place of the package that reads a clock.
        count: How many, from 0 to 1000. Fewer come back when the schedule ends, or when 10,000 instants were looked at.
        calendars: The calendars it may name.

    Raises:
        ScheduleError: If the schedule, the zone, ``after`` or ``count`` cannot be used.

    >>> runs = preview({"cron": "30 2 * * *"}, "America/New_York", datetime(2026, 3, 6, 12, tzinfo=UTC), count=2)
    >>> [run.at.isoformat() for run in runs]
    ['2026-03-07T02:30:00-05:00', '2026-03-08T03:00:00-04:00']
    >>> runs.sentence
    'At 02:30, every day, America/New_York'
    """
    if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= _MOST:
        raise ScheduleError("count", describe(count), f"outside 0 to {_MOST}", f"Use a number from 0 to {_MOST}.")
    if after is None:
        after = datetime.now(UTC)
    elif not isinstance(after, datetime) or after.utcoffset() is None:
        raise ScheduleError("after", describe(after), "expected an aware datetime", "Give it a zone, such as UTC.")
    elif not 1 < after.year < 9999:  # nearer the ends another zone's clock cannot be told
        raise ScheduleError("after", str(after), "the year is outside 2 to 9998", "Use a year from 1970 to 2200.")
    compiled = compile_schedule(schedule, timezone=timezone, calendars=calendars, created_at=after)
    items: list[PreviewItem] = []
    runs = compiled.iterate(after)
    for _ in range(_CANDIDATES):
        if len(items) >= count:
            break
        run = next(runs, None)
        if run is None:
            break
        if run.excluded_by is None:
            items.append(PreviewItem(compiled.local(run.at), run.at, run.notes, None))
    return Preview(items, sentence=compiled.sentence, warnings=compiled.warnings, timezone=compiled.timezone)
