"""Recurrence rules against python-dateutil, on naive times, and RFC 5545's clock rules around changes."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import islice

from dateutil.rrule import rrulestr
from hypothesis import assume, given
from hypothesis import strategies as st

from mainspring.schedule import compile_schedule
from mainspring.schedule.instants import from_wall, to_wall
from mainspring.schedule.rrule import RecurrenceWalls
from mainspring.schedule.rrule_text import WEEKDAYS, parse_rrule
from tests.properties.schedule.oracle import examples, load
from tests.properties.schedule.strategies import ZONES

COUNT = 12


def some(values: list[object], most: int = 3) -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(values), min_size=1, max_size=most, unique=True).map(
        lambda chosen: ",".join(map(str, chosen))
    )


@st.composite
def rules(draw: st.DrawFn) -> str:
    """A valid rule that fires often enough for dateutil, which searches to the year 9999 when one does not."""
    frequency = draw(st.sampled_from(["YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY", "MINUTELY"]))
    parts = [f"FREQ={frequency}"]

    def maybe(tenths: int) -> bool:
        return draw(st.integers(0, 9)) < tenths

    if maybe(6):
        parts.append(f"INTERVAL={draw(st.sampled_from([1, 2, 3, 5, 7, 12, 24, 90]))}")
    if maybe(3):
        parts.append(f"WKST={draw(st.sampled_from(WEEKDAYS))}")
    by_month = maybe(3)
    if by_month:
        parts.append(f"BYMONTH={draw(some(list(range(1, 13))))}")
    by_week = frequency == "YEARLY" and not by_month and maybe(2)
    if by_week:
        # dateutil misses days of a last week that lies in the next year; the next test asks the standard library.
        parts.append(f"BYWEEKNO={draw(some([2, 20, 40, 50]))}")
    by_month_day = frequency in ("YEARLY", "MONTHLY", "DAILY") and not by_week and maybe(3)
    if by_month_day:
        parts.append(f"BYMONTHDAY={draw(some([1, 2, 13, 15, 28, 29, 30, 31, -1, -2, -31]))}")
    if frequency == "YEARLY" and not (by_month or by_week or by_month_day) and maybe(3):
        parts.append(f"BYYEARDAY={draw(some([1, 59, 60, 61, 100, 365, 366, -1, -366, -365]))}")
    elif by_week or (not by_month_day and maybe(5)):
        if frequency in ("YEARLY", "MONTHLY") and not by_week and maybe(5):
            places = [1, 2, 4, -1, -2] if frequency == "MONTHLY" or by_month else [1, 5, 20, 52, 53, -1, -53]
            days = st.tuples(st.sampled_from(places), st.sampled_from(WEEKDAYS)).map(lambda it: f"{it[0]}{it[1]}")
            parts.append(f"BYDAY={','.join(draw(st.lists(days, min_size=1, max_size=3, unique=True)))}")
        else:
            parts.append(f"BYDAY={draw(some(list(WEEKDAYS), 5))}")
    if frequency not in ("HOURLY", "MINUTELY"):
        if maybe(3):
            parts.append(f"BYHOUR={draw(some(list(range(24))))}")
        if maybe(3):
            parts.append(f"BYMINUTE={draw(some(list(range(60))))}")
        if maybe(2):
            parts.append(f"BYSECOND={draw(some(list(range(60))))}")
    # In a partial first week dateutil counts positions from DTSTART, the RFC from the start of the week.
    if len(parts) > 3 and frequency != "WEEKLY" and any(part[:2] == "BY" for part in parts) and maybe(3):
        parts.append(f"BYSETPOS={draw(some([1, 2, 3, -1, -2, 10]))}")
    if maybe(2):
        parts.append(f"COUNT={draw(st.integers(1, 20))}")
    elif maybe(2):
        parts.append(f"UNTIL={draw(st.integers(2021, 2026))}0615T120000")
    return ";".join(parts)


STARTS = st.datetimes(datetime(2019, 1, 1), datetime(2022, 1, 1)).map(lambda at: at.replace(microsecond=0))


def forward(walls: RecurrenceWalls, start: datetime) -> list[datetime]:
    found: list[datetime] = []
    at = to_wall(start)
    while len(found) < COUNT and (wall := walls.next_wall(at)) is not None:
        found.append(from_wall(wall))
        at = wall + 1
    return found


@examples(300)
@given(rules(), STARTS)
def test_a_rule_names_what_dateutil_names_forward_and_back(text: str, start: datetime) -> None:
    rule = parse_rrule(text)
    walls = RecurrenceWalls(rule, to_wall(start))
    found = forward(walls, start)
    assume(found and found[-1].year < 2100)
    if rule.count is not None:
        found = found[: rule.count]
    # Ask for as many only: beyond the last match dateutil may look for thousands of years.
    assert list(islice(rrulestr(text, dtstart=start), len(found))) == found
    back, at = [], to_wall(found[-1])
    while (wall := walls.previous_wall(at)) is not None:
        back.append(from_wall(wall))
        at = wall - 1
    assert back[::-1] == found


@examples(150)
@given(rules(), STARTS, st.integers(0, 8 * 365 * 86_400))
def test_asking_late_in_the_life_of_a_rule_gives_the_same_as_walking_there(
    text: str, start: datetime, later: int
) -> None:
    assume("COUNT" not in text and "MINUTELY" not in text)
    walls = RecurrenceWalls(parse_rrule(text), to_wall(start))
    asked = start + timedelta(seconds=later)
    found = walls.next_wall(to_wall(asked))
    assume(found is not None and from_wall(found).year < 2100)
    assert found is not None
    assert from_wall(found) == rrulestr(text, dtstart=start).after(asked, inc=True)


@examples(60)
@given(st.sets(st.integers(1, 53) | st.integers(-53, -1), min_size=1, max_size=3), st.sampled_from(WEEKDAYS))
def test_week_numbers_are_those_of_the_standard_library(weeks: set[int], weekday: str) -> None:
    text = f"FREQ=YEARLY;BYWEEKNO={','.join(map(str, weeks))};BYDAY={weekday}"
    walls = RecurrenceWalls(parse_rrule(text), to_wall(datetime(2015, 1, 1)))
    found, wall = set(), walls.next_wall(0)
    while wall is not None and from_wall(wall).year < 2035:
        found.add(from_wall(wall).date())
        wall = walls.next_wall(wall + 1)
    wanted = set()
    for index in range((date(2035, 1, 1) - date(2015, 1, 1)).days):
        day = date(2015, 1, 1) + timedelta(days=index)
        year, week, iso_weekday = day.isocalendar()
        weeks_of_year = date(year, 12, 28).isocalendar().week
        if WEEKDAYS[iso_weekday % 7] == weekday and weeks & {week, week - weeks_of_year - 1}:
            wanted.add(day)
    assert found == wanted


def _rfc_instant(wall: datetime, zone: str) -> datetime:
    """RFC 5545, 3.3.5: the offset before the change, in a gap as in a fold. That is what ``fold=0`` means."""
    return wall.replace(tzinfo=load(zone), fold=0).astimezone(UTC)


@examples(40)
@given(
    st.sampled_from(["FREQ=HOURLY", "FREQ=MINUTELY;INTERVAL=30", "FREQ=DAILY;BYHOUR=0,1,2,3;BYMINUTE=15,45"]),
    st.sampled_from([name for name in ZONES if name != "Pacific/Apia"]),
    st.datetimes(datetime(2024, 1, 1), datetime(2027, 1, 1)).map(lambda at: at.replace(microsecond=0)),
)
def test_clock_changes_follow_the_rfc(text: str, zone: str, start: datetime) -> None:
    schedule = compile_schedule({"rrule": text, "dtstart": start}, timezone=zone)
    end = start + timedelta(days=120)
    named = {_rfc_instant(wall, zone) for wall in rrulestr(text, dtstart=start).between(start, end, inc=True)}
    low, high = _rfc_instant(start, zone) + timedelta(days=1), _rfc_instant(end, zone) - timedelta(days=1)
    wanted = sorted(at for at in named if low < at <= high)
    found, at = [], low
    for occurrence in schedule.iterate(low):
        if occurrence.at > high:
            break
        found.append(occurrence.at)
    assert found == wanted
    back, at = [], high + timedelta(milliseconds=1)
    while (earlier := schedule.previous(at)) is not None and earlier.at > low:
        at = earlier.at
        back.append(at)
    assert back[::-1] == wanted
