"""Ids: UUIDv7 (RFC 9562), so that sorting by id is sorting by creation. Time and chance are passed in.

The instant inside an id is for people and for paging; nothing is decided by it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from random import Random

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_TAIL_BITS = 74  # what version and variant leave of the 80 bits after the milliseconds
_LOW = (1 << 62) - 1  # those of them after the variant
_UPPER = 1 << _TAIL_BITS - 1  # the half of all tails that `Ids.tails` are of, and that no id begins anew in
_VERSION_AND_VARIANT = 7 << 76 | 2 << 62


def uuid7(at: datetime, random: Random) -> str:
    """Return a new UUIDv7 of ``at`` in its canonical text, which sorts as the number does.

    >>> uuid7(datetime(2026, 3, 1, 9, tzinfo=UTC), Random(1))
    '019ca8a0-3e80-7d8e-91b7-584a2265b1f5'
    """
    return _texts(_milliseconds(at), [random.getrandbits(_TAIL_BITS)])[0]


def id_time(id: str) -> datetime:
    """Return the instant inside a UUIDv7, cut to the millisecond.

    >>> id_time("019ca8a0-3e80-7d8e-91b7-584a2265b1f5").isoformat()
    '2026-03-01T09:00:00+00:00'
    """
    return _EPOCH + int(id[:8] + id[9:13], 16) * _MILLISECOND


def id_floor(at: datetime) -> str:
    """Return a bound below every id of ``at`` or later, and above every id of an earlier millisecond.

    >>> id_floor(datetime(2026, 3, 1, 9, tzinfo=UTC))
    '019ca8a0-3e80-7000-8000-000000000000'
    """
    return _texts(_milliseconds(at), [0])[0]


class Ids:
    """A source of ids that ascend within the process, whatever the clock does. Safe from any thread.

    Within one millisecond, or after the clock went back, the last id is counted on by a random step instead of drawing
    a new one; its instant then stays where it was.

    >>> ids, at = Ids(Random(1)), datetime(2026, 3, 1, 9, tzinfo=UTC)
    >>> ids.new(at) < ids.new(at) < ids.new(at - timedelta(hours=1)) < ids.new(at + timedelta(hours=1))
    True
    """

    def __init__(self, random: Random) -> None:
        self._random = random
        self._last = (-1, 0)
        self._tail = 0  # the highest that was handed out: other threads have those up to it under way
        self._lock = threading.Lock()

    def new(self, at: datetime) -> str:
        """Return an id of ``at`` that sorts after every id returned before."""
        return self.several(at, 1)[0]

    def several(self, at: datetime, count: int) -> list[str]:
        """Return ids of ``at``, each of which sorts after the one before it and after every id returned before."""
        wanted, draw, drawn = _milliseconds(at), self._random.getrandbits, []
        with self._lock:
            milliseconds, tail = self._last
            tail = tail if tail < _UPPER else self._tail
            for _ in range(count):
                if wanted > milliseconds:
                    # The top bit stays free: counting on then has room for 2 ** 41 steps, which no process takes.
                    milliseconds, tail = wanted, draw(_TAIL_BITS - 1)
                else:
                    tail += 1 + draw(32)
                drawn.append(tail)
            self._last, self._tail = (milliseconds, tail), max(self._tail, tail)
        return _texts(milliseconds, drawn)

    def tails(self, count: int) -> tuple[int, list[str]]:
        """Return the second halves of ids in ascending order, for a store that puts its own instant in front of them.

        Besides, the milliseconds since the epoch before which that may not be. What came of it is to be told, `made`.

        >>> ids = Ids(Random(1))
        >>> first, at = ids.new(datetime(2026, 3, 1, 9, tzinfo=UTC)), ids.tails(1)
        >>> f"{at[0]:012x}"[8:], first[14:] < at[1][0]
        ('3e80', True)
        """
        with self._lock:
            tail = self._tail if self._tail >= _UPPER else _UPPER | self._random.getrandbits(_TAIL_BITS - 2)
            drawn = [tail := tail + 1 + self._random.getrandbits(32) for _ in range(count)]
            self._tail = tail
            return max(self._last[0], 0), [_tail_text(tail) for tail in drawn]

    def made(self, id: str) -> None:
        """Take note of the last id that was made of `tails`: all that come from now on sort after it."""
        with self._lock:
            self._last = max(self._last, (int(id[:8] + id[9:13], 16), self._tail))


def _milliseconds(at: datetime) -> int:
    return (at - _EPOCH) // _MILLISECOND


def _texts(milliseconds: int, tails: Iterable[int]) -> list[str]:
    """Return the canonical texts of ids of one millisecond, the first half of which they share."""
    head = f"{milliseconds:012x}"
    head = f"{head[:8]}-{head[8:]}-"
    return [head + _tail_text(tail) for tail in tails]


def _tail_text(tail: int) -> str:
    rest = (tail >> 62 << 64 | tail & _LOW | _VERSION_AND_VARIANT).to_bytes(10, "big").hex()
    return f"{rest[:4]}-{rest[4:8]}-{rest[8:]}"
