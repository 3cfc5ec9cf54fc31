"""Durations counted in buckets: small to keep, exact to add up, and within 5 % when a percentile is asked.

A histogram is plain data, a mapping from bucket to count. Bucket ``n`` holds durations over ``1.1 ** (n - 1)`` and up
to ``1.1 ** n`` milliseconds, bucket 0 those of at most one; ``sum`` is their total in milliseconds. The bounds are the
same everywhere: histograms of different minutes, jobs and processes add up without any loss.

Source: C. Masson et al., "DDSketch" (2019), without the collapsing of buckets, which a week in milliseconds needs not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from math import ceil, log

#: The quotient of two neighbouring bounds.
GROWTH = 1.1
_LOG = log(GROWTH)
_SUM = "sum"

Histogram = Mapping[str, int]


@lru_cache(4096)
def bucket(milliseconds: int) -> str:
    """Return the bucket of a duration.

    >>> bucket(0), bucket(1), bucket(2), bucket(1000)
    ('0', '0', '8', '73')
    """
    return str(max(0, ceil(log(milliseconds) / _LOG - 1e-9))) if milliseconds > 1 else "0"


def observe(into: dict[str, int], milliseconds: Iterable[int]) -> None:
    """Count durations; those that are equal, as most of a batch are, take one step.

    >>> counted: dict[str, int] = {}
    >>> observe(counted, [5, 1, 5])
    >>> counted
    {'17': 2, 'sum': 11, '0': 1}
    """
    for duration, times in Counter(milliseconds).items():
        name = bucket(duration)
        into[name] = into.get(name, 0) + times
        into[_SUM] = into.get(_SUM, 0) + duration * times


def merge(into: dict[str, int], more: Histogram) -> None:
    """Add another histogram."""
    for name, count in more.items():
        into[name] = into.get(name, 0) + count


def count_of(histogram: Histogram) -> int:
    """Return how many durations were counted."""
    return sum(count for name, count in histogram.items() if name != _SUM)


def sum_of(histogram: Histogram) -> int:
    """Return the sum of what was counted, in milliseconds; exact."""
    return histogram.get(_SUM, 0)


def percentile(histogram: Histogram, percent: float) -> int | None:
    """Return a percentile by nearest rank, in milliseconds, within 5 % of the exact one; None for an empty one.

    >>> counted: dict[str, int] = {}
    >>> observe(counted, range(1, 1001))
    >>> percentile(counted, 50), percentile(counted, 99)
    (514, 1001)
    """
    wanted = max(1, ceil(count_of(histogram) * percent / 100))
    seen = 0
    for number, count in _ordered(histogram):
        seen += count
        if seen >= wanted:
            return round(_middle(number))
    return None


def cumulative(histogram: Histogram, bounds: Sequence[float]) -> list[int]:
    """Return how many durations were at most each of ``bounds``, ascending milliseconds; within 5 % at the bounds.

    >>> counted: dict[str, int] = {}
    >>> observe(counted, (5, 50, 500))
    >>> cumulative(counted, [10, 100, 1000])
    [1, 2, 3]
    """
    ordered = _ordered(histogram)
    return [sum(count for number, count in ordered if _middle(number) <= bound) for bound in bounds]


def _ordered(histogram: Histogram) -> list[tuple[int, int]]:
    return sorted((int(name), count) for name, count in histogram.items() if name != _SUM)


def _middle(number: int) -> float:
    """The duration that is off by the same share from both bounds of a bucket."""
    return 2 * GROWTH**number / (GROWTH + 1) if number else 1.0
