"""A schedule, ready to be asked: the one object behind preview, dispatcher, simulation and ``explain``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Any

from mainspring.schedule.bounds import Bounds
from mainspring.schedule.instants import ceil_ms, from_ms, to_ms
from mainspring.schedule.occurrence import Occurrence
from mainspring.schedule.recurring import ElapsedGrid
from mainspring.schedule.rules import Rule
from mainspring.schedule.shapes import Shape
from mainspring.schedule.zones import Zone

_MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True, eq=False)
class CompiledSchedule:
    """The instants a schedule names. Immutable, cheap to keep, safe to share between threads.

    Make one with :func:`mainspring.schedule.compile_schedule`.

    Attributes:
        spec: The schedule as given, untouched.
        zone: The zone its wall times are in.
        rule: Its instants, without regard to its bounds.
        shape: What its own kind knows of it.
        bounds: Where it begins and ends, how many executions it makes, and its jitter.
    """

    spec: Mapping[str, Any]
    zone: Zone
    rule: Rule = field(repr=False)
    shape: Shape = field(repr=False)
    bounds: Bounds

    @property
    def timezone(self) -> str:
        """IANA name of the zone its wall times are in."""
        return self.zone.name

    @property
    def follows_wall_clock(self) -> bool:
        """Whether new zone data can move its instants.

        False for elapsed grids, for instants, and for wildcard expressions that name every hour of every day.
        """
        return self.shape.follows_wall_clock or "calendars" in self.spec

    @property
    def start_at(self) -> datetime | None:
        """First nominal instant allowed, in UTC; None: no bound."""
        return self.bounds.start_at

    @property
    def end_at(self) -> datetime | None:
        """Last nominal instant allowed, in UTC; None: no bound."""
        return self.bounds.end_at

    @property
    def jitter(self) -> timedelta:
        """Upper bound of what :meth:`fire_at` adds; never negative."""
        return self.bounds.jitter

    @property
    def max_executions(self) -> int | None:
        """How many executions the schedule may make, for its keeper to count; None: no limit."""
        return self.bounds.max_executions

    @property
    def sentence(self) -> str:
        """The schedule in plain English: ``At 09:00, Monday to Friday, Europe/Istanbul``."""
        return self.shape.sentence()

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the author may not have meant; empty when there is nothing to say."""
        return tuple(dict.fromkeys(self.shape.warnings()))

    def next(self, after: datetime) -> Occurrence | None:
        """Return the first occurrence strictly after ``after``; None when the schedule has no more.

        Skipped instants are returned too, with ``excluded_by`` set: each of them is decided once, like any other.

        Args:
            after: The cursor: the last nominal instant decided. Any aware datetime; never "now".

        Raises:
            ScheduleError: If ``after`` is naive.

        >>> from datetime import UTC
        >>> from mainspring.schedule import compile_schedule
        >>> daily = compile_schedule({"cron": "30 2 * * *"}, timezone="America/New_York")
        >>> daily.next(datetime(2026, 3, 7, 12, tzinfo=UTC)).notes
        ('dst_gap: 02:30 does not exist on 2026-03-08; runs at 03:00',)
        """
        instant = to_ms(after)
        bounds = self.bounds
        if bounds.start_at is not None:
            instant = max(instant, ceil_ms(bounds.start_at) - 1)
        found = self.rule.next(instant)
        if found is None or (bounds.end_at is not None and found.at > bounds.end_at):
            return None
        if found.at <= after:
            raise AssertionError(f"{self.spec!r} in {self.timezone} does not move forward: {found.at} after {after}")
        return found

    def previous(self, before: datetime) -> Occurrence | None:
        """Return the last occurrence strictly before ``before``; None when there is none. The inverse of :meth:`next`.

        Catch-up counts back from now with it, so its cost does not follow the length of an outage.

        Raises:
            ScheduleError: If ``before`` is naive.

        >>> from datetime import UTC
        >>> from mainspring.schedule import compile_schedule
        >>> hourly = compile_schedule({"cron": "@hourly"})
        >>> hourly.previous(datetime(2026, 1, 1, tzinfo=UTC)).at.isoformat()
        '2025-12-31T23:00:00+00:00'
        """
        instant = ceil_ms(before)
        if self.end_at is not None:
            instant = min(instant, to_ms(self.end_at) + 1)
        found = self.rule.previous(instant)
        if found is None or (self.start_at is not None and found.at < self.start_at):
            return None
        if found.at >= before:
            raise AssertionError(f"{self.spec!r} in {self.timezone} does not move back: {found.at} before {before}")
        return found

    def at(self, instant: datetime) -> Occurrence | None:
        """Return the occurrence at exactly ``instant``, or None when the schedule does not name it.

        >>> from datetime import UTC
        >>> from mainspring.schedule import compile_schedule
        >>> compile_schedule({"cron": "@hourly"}).at(datetime(2026, 1, 1, 0, 1, tzinfo=UTC)) is None
        True
        """
        found = self.next(instant - _MILLISECOND)
        return found if found is not None and found.at == instant else None

    def iterate(self, after: datetime) -> Iterator[Occurrence]:
        """Yield the occurrences strictly after ``after``, in order, skipped ones included; may never end."""
        found = self.next(after)
        while found is not None:
            yield found
            found = self.next(found.at)

    def count_between(self, after: datetime, until: datetime, *, limit: int) -> int | None:
        """Return the number of occurrences in ``(after, until]``; None when they are more than ``limit``.

        Elapsed grids are counted without visiting them, so they are counted exactly whatever the limit.

        >>> from datetime import UTC
        >>> from mainspring.schedule import compile_schedule
        >>> grid = compile_schedule({"every_ms": 1000, "anchor_at": "2026-01-01T00:00:00Z"})
        >>> grid.count_between(datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC), limit=10)
        31536000
        """
        if isinstance(self.rule, ElapsedGrid):
            low, high = to_ms(after), to_ms(until)
            if self.start_at is not None:
                low = max(low, ceil_ms(self.start_at) - 1)
            if self.end_at is not None:
                high = min(high, to_ms(self.end_at))
            return self.rule.count(low, high)
        count = 0
        for occurrence in self.iterate(after):
            if occurrence.at > until:
                break
            count += 1
            if count > limit:
                return None
        return count

    def fire_at(self, occurrence_at: datetime, *, key: str) -> datetime:
        """Return when the nominal instant ``occurrence_at`` is to fire: itself plus a stable jitter.

        The jitter is 0 to J milliseconds, J the smaller of the jitter and the distance to the next nominal
        instant less one millisecond, so order is kept. It is a BLAKE2b hash of key and instant: the same on every
        node, in every process, after every restart.

        Args:
            occurrence_at: A nominal instant of this schedule.
            key: What tells this schedule from others with the same text: the job's id.

        >>> from datetime import UTC
        >>> from mainspring.schedule import compile_schedule
        >>> spread = compile_schedule({"cron": "@hourly", "jitter_ms": 60000})
        >>> spread.fire_at(datetime(2026, 1, 1, tzinfo=UTC), key="job-1").isoformat()
        '2026-01-01T00:00:48.944000+00:00'
        """
        if not self.jitter:
            return occurrence_at
        nominal = to_ms(occurrence_at)
        most = self.jitter // _MILLISECOND
        following = self.next(occurrence_at)
        if following is not None:
            most = min(most, to_ms(following.at) - nominal - 1)
        return from_ms(nominal + stable_offset(key, nominal, most))

    def local(self, instant: datetime) -> datetime:
        """Return ``instant`` as an aware datetime in the schedule's zone."""
        return instant.astimezone(self.zone.info)


def stable_offset(key: str, nominal: int, most: int) -> int:
    """Return a number from 0 to ``most`` that depends on ``key`` and ``nominal`` only.

    >>> stable_offset("job-1", 0, 0)
    0
    """
    # A BLAKE2b key holds 64 bytes: fold any text into that first.
    secret = blake2b(key.encode(), digest_size=32).digest()
    digest = blake2b(nominal.to_bytes(8, "big", signed=True), key=secret, digest_size=8).digest()
    return int.from_bytes(digest, "big") % (most + 1)
