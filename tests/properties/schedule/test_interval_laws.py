"""Laws of grids and calendar steps."""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from mainspring.schedule import compile_schedule
from tests.properties.schedule.oracle import examples, load
from tests.properties.schedule.strategies import ZONES

INSTANTS = st.datetimes(datetime(2015, 1, 1), datetime(2035, 1, 1)).map(lambda at: at.replace(tzinfo=UTC))
EVERY = st.one_of(st.integers(1_000, 120_000), st.integers(1_000, 400 * 86_400_000))


@examples(200)
@given(EVERY, INSTANTS, INSTANTS)
def test_a_grid_names_anchor_plus_whole_steps_and_nothing_else(every: int, anchor: datetime, after: datetime) -> None:
    schedule = compile_schedule({"every_ms": every, "anchor_at": anchor})
    anchor = anchor.replace(microsecond=anchor.microsecond // 1000 * 1000)
    step = timedelta(milliseconds=every)
    found = schedule.next(after)
    assert found is not None
    assert found.at > after
    assert found.at >= anchor
    assert (found.at - anchor) % step == timedelta(0)
    assert found.at - step <= after or found.at == anchor
    before = schedule.previous(found.at)
    assert (before.at if before else None) == (found.at - step if found.at > anchor else None)


@examples(200)
@given(st.integers(1_000, 3_600_000), INSTANTS, INSTANTS, st.integers(0, 3_600 * 30))
def test_counting_a_grid_is_visiting_it(every: int, anchor: datetime, after: datetime, seconds: int) -> None:
    schedule = compile_schedule({"every_ms": every, "anchor_at": anchor})
    until = after + timedelta(seconds=seconds)
    visited = 0
    for occurrence in schedule.iterate(after):
        if occurrence.at > until or visited > 500:
            break
        visited += 1
    counted = schedule.count_between(after, until, limit=1)
    assert counted is not None
    assert counted == visited or visited > 500


def _stepped(anchor: datetime, unit: str, number: int) -> datetime:
    if unit in ("days", "weeks"):
        return anchor + timedelta(**{unit: number})
    months = anchor.year * 12 + anchor.month - 1 + number * (12 if unit == "years" else 1)
    year, month = divmod(months, 12)
    return anchor.replace(year=year, month=month + 1, day=min(anchor.day, monthrange(year, month + 1)[1]))


def _instant(wall: datetime, zone: str) -> datetime:
    """The first pass of a wall time; the first instant after the gap that holds it."""
    first, second = (wall.replace(tzinfo=load(zone), fold=fold).astimezone(UTC) for fold in (0, 1))
    if first.astimezone(load(zone)).replace(tzinfo=None) == wall:
        return first
    # In a gap the two readings enclose the change.
    low, high = second, first
    before = low.astimezone(load(zone)).utcoffset()
    while high - low > timedelta(seconds=1):
        middle = low + (high - low) / 2
        middle = middle.replace(microsecond=0)
        low, high = (middle, high) if middle.astimezone(load(zone)).utcoffset() == before else (low, middle)
    return high


@examples(200)
@given(
    st.sampled_from([("days", 40), ("weeks", 9), ("months", 30), ("years", 5)]).flatmap(
        lambda pair: st.tuples(st.just(pair[0]), st.integers(1, pair[1]))
    ),
    st.datetimes(datetime(2015, 1, 1), datetime(2030, 1, 1)).map(lambda at: at.replace(microsecond=0)),
    st.sampled_from(ZONES),
    st.integers(0, 60),
)
def test_calendar_steps_keep_the_wall_time_of_their_anchor(
    step: tuple[str, int], anchor: datetime, zone: str, number: int
) -> None:
    unit, size = step
    schedule = compile_schedule({"every": {unit: size}, "anchor_at": anchor}, timezone=zone)
    wanted = [_instant(_stepped(anchor, unit, size * index), zone) for index in range(number, number + 4)]
    found, at = [], wanted[0] - timedelta(milliseconds=1)
    for _ in wanted:
        occurrence = schedule.next(at)
        assert occurrence is not None
        at = occurrence.at
        found.append(at)
    assert found == wanted
    for index, at in enumerate(wanted[1:]):
        earlier = schedule.previous(at)
        assert earlier is not None
        assert earlier.at == wanted[index]


@examples(100)
@given(st.text(min_size=1, max_size=40), INSTANTS, st.integers(1, 86_400_000))
def test_jitter_keeps_order_stays_below_its_bound_and_repeats(key: str, after: datetime, jitter: int) -> None:
    one, other = (compile_schedule({"cron": "*/20 * * * *", "jitter_ms": jitter}) for _ in range(2))
    at, last = after, None
    for _ in range(5):
        occurrence = one.next(at)
        assert occurrence is not None
        at = occurrence.at
        fire = one.fire_at(at, key=key)
        assert at <= fire <= at + timedelta(milliseconds=jitter)
        assert fire == other.fire_at(at, key=key)
        assert last is None or fire > last
        last = fire
