"""Counts for people to see: exact up to a bound, and "at least so many" beyond it.

Counting reads what it counts. A screen that is looked at every two seconds must not read a million waiting executions
to say how many they are.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

#: The most that is counted where nobody asks for more.
BOUND = 10_000


def capped(found: Mapping[str, int]) -> tuple[dict[str, int], list[str]]:
    """Return counts that were made up to one more than the bound, cut to it, and the names of those that were more.

    >>> capped({"queued": 7, "pending": 10_001})
    ({'queued': 7, 'pending': 10000}, ['pending'])
    """
    return {name: min(count, BOUND) for name, count in found.items()}, sorted(n for n, c in found.items() if c > BOUND)


def shown(count: int, name: str, at_least: Collection[str]) -> str:
    """Return a count as people read it.

    >>> shown(10_000, "pending", ["pending"]), shown(10_000, "queued", ["pending"])
    ('10,000+', '10000')
    """
    return f"{count:,}+" if name in at_least else str(count)
