"""Figures kept as work goes on, so that no chart ever reads the past: counts and durations by span of time.

Four kinds of rows, each small in number whatever there is of history:

- ``minute``: a platform, kept for two days; what a chart of the last hours shows.
- ``quarter``: one job in a quarter of an hour, by the instant it was due; a quarter, because the clocks of all zones
  differ by whole quarters, so that a day by anybody's clock is a number of these.
- ``hour``: a queue and handler of a platform.
- ``total``: a queue and handler of the whole fleet, since the first; what a metric's counter shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache

from mainspring.model.value import Value


class Span(StrEnum):
    """What span of time a rollup stands for."""

    MINUTE = "minute"
    QUARTER = "quarter"
    HOUR = "hour"
    TOTAL = "total"

    @property
    def length(self) -> timedelta:
        """How long it is; nothing for a total, which has no end."""
        return _LENGTHS[self]

    def floor(self, at: datetime) -> datetime:
        """Return when the span that holds an instant began.

        >>> Span.QUARTER.floor(datetime(2026, 3, 1, 9, 44, 59, tzinfo=UTC)).isoformat()
        '2026-03-01T09:30:00+00:00'
        """
        return at - (at - EPOCH) % self.length if self.length else EPOCH


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LENGTHS = {
    Span.MINUTE: timedelta(minutes=1),
    Span.QUARTER: timedelta(minutes=15),
    Span.HOUR: timedelta(hours=1),
    Span.TOTAL: timedelta(0),
}


@dataclass(frozen=True)
class Rollup(Value):
    """Figures of one span, about a platform, a job, or a queue and handler; what does not apply is "".

    ``counts`` are of executions ended by outcome (``success``, ``failed``, ``cancelled``, ``expired``), of attempts
    that are retried (``retry``), of dead letters (``dead``), of due instants that ran (``ran``), and of those skipped,
    by decision. ``durations`` are of successful and failed executions, ``delays`` from when a first attempt could have
    started until it did (see `mainspring.model.histogram`). ``first_at`` and ``last_at`` bound the instants that ran.
    """

    key: str
    span: Span
    platform_id: str
    job_id: str
    queue: str
    handler: str
    at: datetime
    counts: Mapping[str, int] = field(default_factory=dict)
    durations: Mapping[str, int] = field(default_factory=dict)
    delays: Mapping[str, int] = field(default_factory=dict)
    first_at: datetime | None = None
    last_at: datetime | None = None


def blank(
    span: Span, at: datetime, *, platform_id: str = "", job_id: str = "", queue: str = "", handler: str = ""
) -> Rollup:
    """Return the empty rollup of the span that holds an instant.

    >>> blank(Span.MINUTE, datetime(2026, 3, 1, 9, 0, 30, tzinfo=UTC), platform_id="acme").key
    'minute/29539260/acme///'
    """
    start, number = _start(span, at)
    return Rollup(
        f"{span}/{number}/{platform_id}/{job_id}/{queue}/{handler}", span, platform_id, job_id, queue, handler, start
    )


@lru_cache(256)  # a batch of events speaks of few instants
def _start(span: Span, at: datetime) -> tuple[datetime, int]:
    """When the span that holds an instant began, and the number of its first minute."""
    start = span.floor(at)
    return start, (start - EPOCH) // timedelta(minutes=1)
