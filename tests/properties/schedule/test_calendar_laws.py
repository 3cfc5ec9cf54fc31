"""Calendars over schedules, against moving every run by hand."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from itertools import takewhile

from hypothesis import given
from hypothesis import strategies as st

from mainspring.schedule import Calendar, CompiledSchedule, compile_schedule
from tests.properties.schedule.oracle import examples, load
from tests.properties.schedule.strategies import changes
from tests.properties.schedule.test_interval_laws import _instant

ZONES = ("UTC", "America/New_York", "Europe/Berlin", "America/Santiago", "Australia/Lord_Howe", "Africa/Cairo")
TEXTS = (
    "0 9 * * *",
    "30 0,1,2 * * *",
    "0 */6 * * *",
    "*/45 1-3 * * *",
    "15 23 * * 1-5",
    "0 12 1,15 * *",
    "30 2 * * 6",
)


@st.composite
def cases(draw: st.DrawFn) -> tuple[str, str, date, frozenset[date]]:
    """Zone, expression, a day near a clock change where there is one, and dates excluded around it."""
    zone = draw(st.sampled_from(ZONES))
    near = changes(zone, 2024, 2027) or [1_770_000_000]
    day = datetime.fromtimestamp(draw(st.sampled_from(near)), UTC).date() + timedelta(days=draw(st.integers(-6, 6)))
    offsets = draw(st.sets(st.integers(-6, 12), max_size=12))
    return zone, draw(st.sampled_from(TEXTS)), day, frozenset(day + timedelta(days=offset) for offset in offsets)


def _plain(schedule: CompiledSchedule, start: datetime, end: datetime) -> list[tuple[datetime, datetime]]:
    """(instant, wall named) of every run in ``(start, end]``."""
    return [
        (run.at, run.wall)
        for run in takewhile(lambda run: run.at <= end, schedule.iterate(start))
        if run.wall is not None
    ]


def _rolled(at: datetime, wall: datetime, zone: str, allowed: Callable[[date], bool], step: int) -> datetime | None:
    shown = at.astimezone(load(zone)).date()
    if allowed(shown):
        return at
    for _ in range(60):
        shown += timedelta(days=step)
        if allowed(shown):
            return _instant(datetime.combine(shown, wall.time()), zone)
    return None


@examples(250)
@given(
    cases(),
    st.sampled_from([("next", 1), ("previous", -1)]),
    st.sampled_from(["exclude", "include"]),
    st.integers(0, 86_400),
)
def test_rolled_runs_are_those_moved_by_hand_in_order_and_once(
    case: tuple[str, str, date, frozenset[date]], direction: tuple[str, int], how: str, second: int
) -> None:
    zone, text, day, dates = case
    on_excluded, step = direction
    calendars = {"off": Calendar("off", dates)}
    plain = compile_schedule({"cron": text}, timezone=zone)
    spec = {"cron": text, "calendars": {how: ["off"], "on_excluded": on_excluded}}
    schedule = compile_schedule(spec, timezone=zone, calendars=calendars)
    start = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(seconds=second)
    low, high = start - timedelta(days=4), start + timedelta(days=4)
    every = _plain(plain, low - timedelta(days=25), high + timedelta(days=25))
    moved = {_rolled(at, wall, zone, lambda day: (day in dates) is (how == "include"), step) for at, wall in every}
    wanted = sorted(at for at in moved if at is not None and low < at <= high)
    found, at = [], low
    while (run := schedule.next(at)) is not None and run.at <= high:
        assert run.at > at
        at = run.at
        found.append(at)
    assert found == wanted
    back, at = [], high + timedelta(milliseconds=1)
    while (run := schedule.previous(at)) is not None and run.at > low:
        assert run.at < at
        at = run.at
        back.append(at)
    assert back[::-1] == wanted


@examples(100)
@given(cases())
def test_skipped_runs_keep_their_instants_and_say_why(case: tuple[str, str, date, frozenset[date]]) -> None:
    zone, text, day, dates = case
    plain = compile_schedule({"cron": text}, timezone=zone)
    spec = {"cron": text, "calendars": {"exclude": ["off"]}}
    schedule = compile_schedule(spec, timezone=zone, calendars={"off": Calendar("off", dates)})
    start = datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(days=8)
    end = start + timedelta(days=20)
    runs = list(takewhile(lambda run: run.at <= end, schedule.iterate(start)))
    assert [run.at for run in runs] == [at for at, _ in _plain(plain, start, end)]
    for run in runs:
        excluded = run.at.astimezone(load(zone)).date() in dates
        assert run.excluded_by == ("calendar:off" if excluded else None)
