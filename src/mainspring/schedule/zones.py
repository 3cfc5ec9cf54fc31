"""Which instant is a wall time, and the other way round: the clock changes of a zone, from the pinned zone data only.

The zone data is that of the ``tzdata`` wheel, never the machine's: two base images with different files would disagree
about next winter. Nothing here knows about schedules.

A zone is cut into *segments*, stretches of constant UTC offset. Segments are found by sampling the offset once a day
and bisecting where it differs; they are computed per block of 2**25 seconds (388 days) on first use and kept.
Instants are whole seconds here (clock changes fall on whole seconds), wall times are wall seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib import resources
from itertools import pairwise
from zoneinfo import ZoneInfo

import tzdata  # type: ignore[import-untyped]  # the wheel ships no type information

from mainspring.errors import ScheduleError
from mainspring.model.nearest import nearest
from mainspring.schedule.instants import DAY, describe, from_wall

_BLOCK_BITS = 25
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# No clock change moves a wall by more than a day and a bit, so a fold reaches no further than this into its neighbours.
_REACH = 2 * DAY

# The offsets of all zones lie within this of UTC.
MAX_OFFSET = 26 * 3_600


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of constant offset: instants ``[start, end)``, walls ``[start + offset, end + offset)``.

    Attributes:
        start: First instant, in seconds: a clock change or the start of a block.
        end: First instant after it.
        offset: Wall minus instant, in seconds.
        gap: Wall seconds jumped over at ``start``, which follow no clock; 0 when none are:
            ``[start + offset - gap, start + offset)``.
        seen: Walls below this one already happened in an earlier segment: second passes of a fold.
        repeats: Walls from this one on happen again in a later segment: first passes of a fold.
    """

    start: int
    end: int
    offset: int
    gap: int
    seen: int
    repeats: int


class Zone:
    """A time zone by its IANA name. Immutable apart from its cache; safe to share between threads."""

    __slots__ = ("_blocks", "info", "name")

    def __init__(self, name: str, info: ZoneInfo) -> None:
        self.name = name
        self.info = info
        self._blocks: dict[int, tuple[Segment, ...]] = {}

    def segment_at(self, instant: int) -> Segment:
        """Return the segment that contains ``instant`` (seconds since 1970 UTC)."""
        number = instant >> _BLOCK_BITS
        block = self._blocks.get(number)
        if block is None:
            block = self._blocks[number] = self._cut(number)
        for segment in block:
            if instant < segment.end:
                return segment
        raise AssertionError(f"block {number} of {self.name} does not cover {instant}")

    def offset_at(self, instant: int) -> int:
        """Return wall minus instant, in seconds, as the zone's clocks show it at ``instant``."""
        return self.segment_at(instant).offset

    def wall_at(self, instant: int) -> tuple[int, int]:
        """Return the wall time shown at ``instant`` and its pass: 0, or 1 when that wall happened before."""
        segment = self.segment_at(instant)
        wall = instant + segment.offset
        return wall, int(wall < segment.seen)

    def instants_of(self, wall: int) -> tuple[int, ...]:
        """Return every instant at which the clocks show ``wall``: one; none in a gap; two in a fold, first pass first.

        >>> from mainspring.schedule.instants import to_wall
        >>> new_york = zone("America/New_York")
        >>> [len(new_york.instants_of(to_wall(datetime(2026, 3, 8, hour, 30)))) for hour in (1, 2, 3)]
        [1, 0, 1]
        """
        found = []
        segment = self.segment_at(wall - MAX_OFFSET)
        while True:
            instant = wall - segment.offset
            if segment.start <= instant < segment.end:
                found.append(instant)
            if segment.end > wall + MAX_OFFSET:
                return tuple(found)
            segment = self.segment_at(segment.end)

    def first_instant_of(self, wall: int) -> int:
        """Return the first instant of ``wall``; for one that does not exist, the first instant after its gap."""
        found = self.instants_of(wall)
        if found:
            return found[0]
        segment = self.segment_at(wall - MAX_OFFSET)
        while segment.start + segment.offset <= wall:
            segment = self.segment_at(segment.end)
        return segment.start

    def _offset(self, instant: int) -> int:
        # The only place that asks the zone file.
        offset = (_EPOCH + timedelta(0, instant)).astimezone(self.info).utcoffset()
        assert offset is not None
        return offset.days * DAY + offset.seconds

    def _changes(self, start: int, end: int) -> list[tuple[int, int, int]]:
        """Every change of offset in ``(start, end]``: its instant, the offset before, the offset after."""
        changes = []
        before = self._offset(start)
        # Daily steps: Ramadan suspends summer time for a month in some zones, and shorter spells existed.
        for day in range(start, end, DAY):
            after = self._offset(min(day + DAY, end))
            if after != before:
                changes.append((self._bisect(day, min(day + DAY, end)), before, after))
                before = after
        return changes

    def _bisect(self, low: int, high: int) -> int:
        old = self._offset(low)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._offset(middle) == old else (low, middle)
        return high

    def _cut(self, number: int) -> tuple[Segment, ...]:
        start, end = number << _BLOCK_BITS, (number + 1) << _BLOCK_BITS
        changes = self._changes(start - _REACH, end + _REACH)
        inside = [change for change in changes if start < change[0] < end]
        edges = [start, *(at for at, _, _ in inside), end]
        segments = []
        for low, high in pairwise(edges):
            offset = self._offset(low)
            seen = max((at + before for at, before, _ in changes if at <= low), default=low + offset)
            repeats = min((at + after for at, _, after in changes if at >= high), default=high + offset)
            gap = next((max(0, after - before) for at, before, after in changes if at == low), 0)
            segments.append(
                Segment(low, high, offset, gap, seen=max(seen, low + offset), repeats=min(repeats, high + offset))
            )
        return tuple(segments)


def zone(name: object, *, field: str = "timezone") -> Zone:
    """Return the zone of an IANA name, from the pinned zone data; the same object every time.

    Raises:
        ScheduleError: For anything that is not such a name: an abbreviation (``EST``), a bare offset (``+03:00``), a
            machine's alias (``localtime``, ``posix/...``), a name in the wrong case, any other type.

    >>> zone("Europe/Istanbul").name
    'Europe/Istanbul'
    >>> zone("EST")
    Traceback (most recent call last):
        ...
    mainspring.errors.ScheduleError: timezone: not a zone name (got 'EST'). Use "America/New_York".
    """
    if isinstance(name, str) and name in zone_names():
        return _load(name)
    raise ScheduleError(field, describe(name), "not a zone name", _advice(name))


def tzdb_version() -> str:
    """Return the version of the zone data in use, for example ``2026f``: recorded beside what was computed with it."""
    return str(tzdata.IANA_VERSION)


@cache
def zone_names() -> frozenset[str]:
    """Return every zone name accepted: ``UTC``, ``Area/Place``, and country names such as ``Turkey``.

    >>> "Asia/Kolkata" in zone_names(), "EST5EDT" in zone_names()
    (True, False)
    """
    listed = resources.files("tzdata").joinpath("zones").read_text(encoding="ascii").split()
    # Upper case without a slash is an abbreviation: PST or CET says nothing about summer time, or too much.
    return frozenset(
        name for name in listed if name == "UTC" or "/" in name or (name not in _ALIASES and not name.isupper())
    )


_ALIASES = {
    "EST": "America/New_York",
    "EDT": "America/New_York",
    "EST5EDT": "America/New_York",
    "CST": "America/Chicago",
    "CDT": "America/Chicago",
    "CST6CDT": "America/Chicago",
    "MST": "America/Denver",
    "MDT": "America/Denver",
    "MST7MDT": "America/Denver",
    "PST": "America/Los_Angeles",
    "PDT": "America/Los_Angeles",
    "PST8PDT": "America/Los_Angeles",
    "HST": "Pacific/Honolulu",
    "BST": "Europe/London",
    "GB": "Europe/London",
    "GB-Eire": "Europe/London",
    "GMT": "UTC",
    "GMT0": "UTC",
    "GMT+0": "UTC",
    "GMT-0": "UTC",
    "UCT": "UTC",
    "Z": "UTC",
    "Zulu": "UTC",
    "Greenwich": "UTC",
    "Universal": "UTC",
    "WET": "Europe/Lisbon",
    "CET": "Europe/Brussels",
    "CEST": "Europe/Brussels",
    "MET": "Europe/Brussels",
    "EET": "Europe/Athens",
    "EEST": "Europe/Athens",
    "IST": "Asia/Kolkata",
    "JST": "Asia/Tokyo",
    "KST": "Asia/Seoul",
    "ROK": "Asia/Seoul",
    "PRC": "Asia/Shanghai",
    "ROC": "Asia/Taipei",
    "NZ": "Pacific/Auckland",
    "NZ-CHAT": "Pacific/Chatham",
    "MSK": "Europe/Moscow",
    "TRT": "Europe/Istanbul",
    "W-SU": "Europe/Moscow",
    "Factory": "UTC",
}


@cache
def _load(name: str) -> Zone:
    path = resources.files("tzdata").joinpath("zoneinfo", *name.split("/"))
    with path.open("rb") as file:
        return Zone(name, ZoneInfo.from_file(file, key=name))


def _advice(name: object) -> str:
    general = 'Use an IANA name such as "Europe/Istanbul", or "UTC".'
    if not isinstance(name, str) or not name or len(name) > 64 or not name.isascii():
        return general
    alias = _ALIASES.get(name) or _ALIASES.get(name.upper())
    if alias is not None:
        return f'Use "{alias}".'
    if name[0] in "+-0123456789" or name[:4] in ("UTC+", "UTC-", "GMT+", "GMT-"):
        return f"An offset is not a zone: it knows no clock changes. {general}"
    bare = name.removeprefix("posix/").removeprefix("right/").replace(" ", "_").lower()
    by_lower = {known.lower(): known for known in sorted(zone_names())}
    if bare in by_lower:
        return f'Use "{by_lower[bare]}".'
    near = [known for known in by_lower if known.rpartition("/")[2] == bare.rpartition("/")[2]]
    near = near[:3] or nearest(bare, by_lower, most=3, likeness=0.7)
    return "Use " + " or ".join(f'"{by_lower[known]}"' for known in near) + "." if near else general


def format_wall(wall: int) -> str:
    """Return a wall time for people: ``2026-03-08 02:30``, with seconds only when there are some.

    >>> from mainspring.schedule.instants import to_wall
    >>> format_wall(to_wall(datetime(2026, 3, 8, 2, 30)))
    '2026-03-08 02:30'
    """
    moment = from_wall(wall)
    return f"{moment:%Y-%m-%d %H:%M:%S}" if moment.second else f"{moment:%Y-%m-%d %H:%M}"
