"""Which partitions are missing: all time asked for is covered once, and what is there stays."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from mainspring.adapters.sql.partitions import Span, missing

DAY = timedelta(days=1)
FIRST = datetime(2026, 1, 1, tzinfo=UTC)
days = st.integers(0, 60)


@st.composite
def apart(draw: st.DrawFn) -> list[Span]:
    edges = sorted(draw(st.sets(days, max_size=8)))
    spans = [Span(FIRST + low * DAY, FIRST + high * DAY) for low, high in pairwise(edges)]
    return draw(st.permutations([span for span in spans if draw(st.booleans())]))


@given(there=apart(), low=st.integers(0, 60 * 24), length=st.integers(0, 40 * 24), period=st.integers(1, 31))
def test_every_instant_is_covered_exactly_once(there: list[Span], low: int, length: int, period: int) -> None:
    since = FIRST + low * timedelta(hours=1)
    until = since + length * timedelta(hours=1)
    spans = [*there, *missing(there, since, until, period)]
    for hour in range(length + 1):
        at = since + hour * timedelta(hours=1)
        assert sum(span.low <= at < span.high for span in spans) == 1
    ordered = sorted(spans)
    assert all(a.high <= b.low for a, b in pairwise(ordered)), "none overlaps another"


@given(low=days, period=st.integers(1, 31))
def test_a_second_time_nothing_is_missing(low: int, period: int) -> None:
    since = FIRST + low * DAY
    made = missing([], since, since + 3 * period * DAY, period)
    assert missing(made, since, since + 3 * period * DAY, period) == []
    assert all(span.high - span.low == period * DAY for span in made)
