"""Named sets of dates, and the two places they come from: an iCalendar file and the ``holidays`` package.

A calendar is filled by an administrator and reviewed, then stored; it is never asked of a library when a job is due,
because two workers on two releases of that library would disagree about tomorrow.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta

from mainspring.errors import ScheduleError
from mainspring.schedule.instants import describe

NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]{0,127}", re.ASCII)

_MOST_DATES = 100_000
_MOST_ICS = 4 * 1024 * 1024
_LONGEST_EVENT = 366
_EVENT_KEYS = ("DTSTART", "DTEND", "RRULE", "RDATE", "DURATION")


@dataclass(frozen=True, slots=True)
class Calendar:
    """A named set of dates, in whatever zone the schedule that uses it has.

    Attributes:
        name: As in ``calendars: {"exclude": [name]}``; letters, digits, dot, dash and underscore.
        dates: The days, at most 100,000.

    Raises:
        ScheduleError: If the name is not such a name, or there are too many dates.

    >>> date(2026, 4, 23) in Calendar("tr-holidays", frozenset({date(2026, 4, 23)})).dates
    True
    """

    name: str
    dates: frozenset[date]

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not NAME.fullmatch(self.name):
            fix = "Use letters, digits, dot, dash and underscore, at most 128."
            raise ScheduleError("calendar.name", describe(self.name), "not a calendar name", fix)
        object.__setattr__(self, "dates", frozenset(self.dates))
        if len(self.dates) > _MOST_DATES:
            fix = f"Keep at most {_MOST_DATES}."
            raise ScheduleError("calendar.dates", f"{len(self.dates)} dates", "too many dates", fix)

    @classmethod
    def from_ics(cls, text: str, name: str) -> Calendar:
        r"""Return the days covered by the events of an iCalendar file (RFC 5545).

        Only what a list of days needs is read: DTSTART and DTEND of each VEVENT. A dated event covers DTSTART up to,
        not including, DTEND, or one day without DTEND; a timed event covers the dates of its start and its end.

        Raises:
            ScheduleError: If the text is not iCalendar, is longer than 4 MiB, holds an event with a recurrence rule
                (write its dates out) or one longer than 366 days.

        >>> text = "BEGIN:VEVENT\nDTSTART;VALUE=DATE:20260423\nEND:VEVENT"
        >>> sorted(Calendar.from_ics(text, "tr").dates)
        [datetime.date(2026, 4, 23)]
        """
        return cls(name, frozenset(_event_days(text)))

    @classmethod
    def from_holidays(cls, country: str, years: Iterable[int], subdiv: str | None = None) -> Calendar:
        """Return the public holidays of a country as the ``holidays`` package of this machine knows them.

        Args:
            country: ISO 3166 code, for example ``TR``.
            years: At most 100, from 1970 to 2200.
            subdiv: Code of a state or province in that package, for example ``BY``.

        Raises:
            ScheduleError: If the package is not installed, or does not know the country or the subdivision.
        """
        try:
            # Optional, and 8 MB: loaded by those who ask for it.
            import holidays  # type: ignore[import-not-found,unused-ignore]
        except ImportError as error:
            fix = "Install it (pip install holidays), or give the dates or an .ics file."
            raise ScheduleError("calendar", "holidays", "the holidays package is not installed", fix) from error
        wanted = sorted(set(years))
        if not 1 <= len(wanted) <= 100 or not all(isinstance(year, int) and 1970 <= year <= 2200 for year in wanted):
            raise ScheduleError("calendar.years", describe(str(wanted)), "unusable years", "Use 1 to 100 years.")
        try:
            found = holidays.country_holidays(country, subdiv=subdiv, years=wanted)
        except (NotImplementedError, KeyError, TypeError, ValueError) as error:
            fix = 'Use an ISO 3166 code such as "TR", and a subdivision the holidays package lists for it.'
            raise ScheduleError("calendar.country", f"{country} {subdiv or ''}".strip(), "not known", fix) from error
        name = "-".join(part.lower() for part in (country, subdiv, "holidays") if part)
        return cls(name, frozenset(found))


def _event_days(text: str) -> Iterable[date]:
    if not isinstance(text, str) or len(text) > _MOST_ICS:
        size = f"{len(text)} characters" if isinstance(text, str) else describe(text)
        raise ScheduleError("calendar.ics", size, "expected text of at most 4 MiB", "Split the file.")
    event: dict[str, str] = {}
    open_parts: list[str] = []
    found = False
    for line in _unfolded(text):
        head, _, value = line.partition(":")
        key, value = head.split(";", 1)[0].upper(), value.strip()
        if key == "BEGIN":
            open_parts.append(value.upper())
            if value.upper() == "VEVENT":
                event = {}
        elif key == "END":
            if not open_parts or open_parts.pop() != value.upper():
                open_parts = ["unbalanced"]
                break
            if value.upper() == "VEVENT":
                found = True
                yield from _days_of(event)
        elif open_parts and open_parts[-1] == "VEVENT" and key in _EVENT_KEYS:
            # An alarm inside an event has a DURATION of its own: only the innermost part counts.
            event[key] = value
    if open_parts or not found:
        fix = "Give an iCalendar file in which each BEGIN:VEVENT has its END:VEVENT."
        raise ScheduleError("calendar.ics", text[:60], "no complete VEVENT in it", fix)


def _unfolded(text: str) -> list[str]:
    """Lines, with those that continue on the next line (which then starts with a blank) put together."""
    return re.sub(r"\r?\n[ \t]", "", text).splitlines()


def _days_of(event: dict[str, str]) -> Iterable[date]:
    for key in ("RRULE", "RDATE", "DURATION"):
        if key in event:
            fix = "Export the calendar with every date written out."
            raise ScheduleError("calendar.ics", f"{key}:{event[key]}", f"{key} is not expanded", fix)
    if "DTSTART" not in event:
        raise ScheduleError("calendar.ics", str(event), "an event has no DTSTART", "Give each event a start.")
    start, timed = _ics_date(event["DTSTART"])
    last = start
    if "DTEND" in event:
        end, end_timed = _ics_date(event["DTEND"])
        # The end is exclusive: a dated one names the day after; midnight belongs to the day before.
        midnight = event["DTEND"][9:15] == "000000"
        last = end if timed and end_timed and not (midnight and end > start) else max(start, end - timedelta(days=1))
        if end < start:
            raise ScheduleError("calendar.ics", event["DTEND"], "an event ends before it starts", "Mend its DTEND.")
    if (last - start).days >= _LONGEST_EVENT:
        raise ScheduleError("calendar.ics", event["DTEND"], "an event is longer than 366 days", "Split it.")
    return [start + timedelta(days=index) for index in range((last - start).days + 1)]


def _ics_date(text: str) -> tuple[date, bool]:
    match = re.fullmatch(r"([0-9]{4})([0-9]{2})([0-9]{2})(T[0-9]{6}Z?)?", text.strip())
    try:
        if match is None:
            raise ValueError("not a date")
        year, month, day, time = match.groups()
        return date(int(year), int(month), int(day)), time is not None
    except ValueError as error:
        fix = "Write 20260423 or 20260423T090000."
        raise ScheduleError("calendar.ics", text, f"not an iCalendar date: {error}", fix) from error
