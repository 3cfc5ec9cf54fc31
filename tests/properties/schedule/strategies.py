"""Generated cron expressions, zones and starts; most starts lie near a clock change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from mainspring.schedule.zones import zone

ZONES = (
    "America/New_York", "Europe/London", "Australia/Lord_Howe", "America/Sao_Paulo", "Asia/Kathmandu",
    "Africa/Casablanca", "Pacific/Apia", "Antarctica/Troll", "Europe/Dublin", "Europe/Berlin", "America/St_Johns",
    "Pacific/Chatham", "Africa/Cairo", "America/Asuncion", "America/Havana", "Asia/Beirut", "Atlantic/Azores",
    "America/Santiago", "Asia/Kolkata", "Europe/Istanbul", "Asia/Gaza", "America/Scoresbysund", "UTC",
)  # fmt: skip


def field(low: int, high: int, *, stars: int = 2, names: tuple[str, ...] = ()) -> st.SearchStrategy[str]:
    """One field of the plain dialect."""
    number = st.integers(low, high)
    spread = st.tuples(number, number).map(sorted)
    terms = [
        number.map(str),
        spread.map(lambda pair: f"{pair[0]}-{pair[1]}"),
        st.tuples(spread, st.integers(1, high)).map(lambda it: f"{it[0][0]}-{it[0][1]}/{it[1]}"),
        st.tuples(number, st.integers(1, high)).map(lambda it: f"{it[0]}/{it[1]}"),
    ]
    if names:
        terms.append(st.sampled_from(names))
    term = st.one_of(terms)
    listed = st.lists(term, min_size=1, max_size=3).map(",".join)
    stepped = st.integers(1, high).map(lambda step: f"*/{step}")
    return st.one_of(*[st.just("*")] * stars, stepped, term, listed)


EXPRESSIONS = st.tuples(
    field(0, 59, stars=1),
    field(0, 23),
    field(1, 31, stars=4),
    field(1, 12, stars=6, names=("jan", "MAR", "Oct", "nov")),
    field(0, 7, stars=4, names=("sun", "MON", "Fri")),
).map(" ".join)


def changes(name: str, first_year: int, last_year: int) -> list[int]:
    """Seconds of every change of offset in those years."""
    place = zone(name)
    at = int(datetime(first_year, 1, 1, tzinfo=UTC).timestamp())
    end = int(datetime(last_year + 1, 1, 1, tzinfo=UTC).timestamp())
    found = []
    segment = place.segment_at(at)
    while segment.end < end:
        earlier, segment = segment, place.segment_at(segment.end)
        if segment.offset != earlier.offset:
            found.append(segment.start)
    return found


@st.composite
def places(draw: st.DrawFn) -> tuple[str, datetime]:
    """A zone and a whole UTC minute, most of them within 36 hours of a change."""
    name = draw(st.sampled_from(ZONES))
    near = changes(name, 2005, 2028)
    if near and draw(st.integers(0, 9)) < 7:
        base = draw(st.sampled_from(near)) + draw(st.integers(-36 * 60, 36 * 60)) * 60
    else:
        base = draw(st.integers(1_104_537_600 // 60, 1_830_000_000 // 60)) * 60
    return name, datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=base // 60 * 60)
