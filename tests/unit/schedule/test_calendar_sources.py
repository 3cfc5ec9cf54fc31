"""Where calendars come from: iCalendar text and the holidays package."""

from __future__ import annotations

import importlib.util
import sys
from datetime import date

import pytest

from mainspring.schedule import Calendar, ScheduleError


def ics(*lines: str) -> str:
    return "\r\n".join(["BEGIN:VCALENDAR", "VERSION:2.0", "BEGIN:VEVENT", *lines, "END:VEVENT", "END:VCALENDAR", ""])


@pytest.mark.parametrize(
    ("lines", "days"),
    [
        (["DTSTART;VALUE=DATE:20260423"], [(4, 23)]),
        (["DTSTART;VALUE=DATE:20260423", "DTEND;VALUE=DATE:20260424"], [(4, 23)]),
        (["DTSTART;VALUE=DATE:20260430", "DTEND;VALUE=DATE:20260502"], [(4, 30), (5, 1)]),
        (["DTSTART:20260423T090000Z", "DTEND:20260423T170000Z"], [(4, 23)]),
        (["DTSTART;TZID=Asia/Tokyo:20260423T220000", "DTEND;TZID=Asia/Tokyo:20260424T020000"], [(4, 23), (4, 24)]),
        (["DTSTART:20260423T090000", "DTEND:20260424T000000"], [(4, 23)]),
        (["SUMMARY:Folded", " line", "DTSTART;VALUE=DATE:2026", " 0423"], [(4, 23)]),
        (["DTSTART;VALUE=DATE:20260423", "BEGIN:VALARM", "DURATION:PT15M", "END:VALARM"], [(4, 23)]),
    ],
)
def test_the_days_an_event_covers(lines: list[str], days: list[tuple[int, int]]) -> None:
    assert sorted(Calendar.from_ics(ics(*lines), "c").dates) == [date(2026, month, day) for month, day in days]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "BEGIN:VEVENT",
        "BEGIN:VEVENT\nDTSTART;VALUE=DATE:20260423",
        "BEGIN:VCALENDAR\nEND:VCALENDAR",
        "BEGIN:VEVENT\nEND:VCALENDAR",
        ics("SUMMARY:no start"),
        ics("DTSTART;VALUE=DATE:20260230"),
        ics("DTSTART:soon"),
        ics("DTSTART;VALUE=DATE:20260423", "DTEND;VALUE=DATE:20260422"),
        ics("DTSTART;VALUE=DATE:20260101", "DTEND;VALUE=DATE:20280101"),
        ics("DTSTART;VALUE=DATE:20260423", "RRULE:FREQ=YEARLY"),
        ics("DTSTART;VALUE=DATE:20260423", "RDATE;VALUE=DATE:20260424"),
        ics("DTSTART;VALUE=DATE:20260423", "DURATION:P2D"),
        "x" * (4 * 1024 * 1024 + 1),
    ],
    ids=lambda text: repr(text[:40]),
)
def test_text_that_is_not_a_list_of_days_is_refused(text: str) -> None:
    with pytest.raises(ScheduleError) as caught:
        Calendar.from_ics(text, "c")
    assert caught.value.fix


@pytest.mark.parametrize("name", ["", " ", "a b", "-a", "a" * 129, None, 5])
def test_a_calendar_needs_a_name(name: object) -> None:
    with pytest.raises(ScheduleError):
        Calendar(name, frozenset())  # type: ignore[arg-type]


def test_without_the_holidays_package_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "holidays", None)
    with pytest.raises(ScheduleError, match="pip install holidays"):
        Calendar.from_holidays("TR", [2026])


@pytest.mark.skipif(importlib.util.find_spec("holidays") is None, reason="the holidays package is optional")
def test_holidays_of_a_country() -> None:
    calendar = Calendar.from_holidays("TR", [2026])
    assert calendar.name == "tr-holidays"
    assert date(2026, 4, 23) in calendar.dates
    with pytest.raises(ScheduleError):
        Calendar.from_holidays("XX", [2026])
