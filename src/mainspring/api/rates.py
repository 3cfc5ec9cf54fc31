"""How often a key, and a platform, may ask: token buckets in this process, looked at before any work is done."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

#: Buckets kept; the one used longest ago goes first, and starts full again.
_MOST = 10_000


@dataclass(frozen=True, slots=True)
class Rate:
    """``per_second`` on the long run, ``burst`` at once."""

    per_second: float
    burst: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """``wait`` is 0 where it is allowed, else how many seconds until it is; ``left`` tokens of ``rate`` remain."""

    wait: float
    left: int
    rate: Rate


class Rates:
    """Buckets by name. ``time`` is the event loop's, in seconds.

    >>> now = 0.0
    >>> rates = Rates(lambda: now)
    >>> [rates.take("key", Rate(1, 2)).wait for _ in range(3)]
    [0.0, 0.0, 1.0]
    """

    def __init__(self, time: Callable[[], float]) -> None:
        self._time = time
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, name: str, rate: Rate) -> Verdict:
        """Take one token of a bucket if there is one."""
        now = self._time()
        tokens, at = self._buckets.get(name, (float(rate.burst), now))
        tokens = min(float(rate.burst), tokens + (now - at) * rate.per_second)
        wait = 0.0 if tokens >= 1 else (1 - tokens) / rate.per_second
        if not wait:
            tokens -= 1
        self._buckets[name] = (tokens, now)
        self._buckets.move_to_end(name)
        if len(self._buckets) > _MOST:
            self._buckets.popitem(last=False)
        return Verdict(wait, math.floor(tokens), rate)
