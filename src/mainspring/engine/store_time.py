"""At which time of the event loop an instant of the store's clock comes."""

from __future__ import annotations

from collections import deque
from datetime import datetime

#: Seconds over which transactions are compared, and by which one may differ and still have met the same clock.
RECENT, TOLERANCE = 5.0, 0.05
#: Most that are compared.
MOST = 8


class StoreTime:
    """Learns from each transaction that read the store's clock when it had been asked for.

    That is earlier than the clock was read, by the way there. Of several transactions the quickest tells best, and
    leaves just that way: whoever wakes at the time told here and then asks is there as the instant comes. Who took
    each transaction by itself would be there before it as often as the way takes longer than usual.

    >>> from datetime import UTC, datetime, timedelta
    >>> noon, time = datetime(2026, 3, 1, 12, tzinfo=UTC), StoreTime()
    >>> time.keep(100.0, noon + timedelta(milliseconds=4))
    >>> time.keep(101.0, noon + timedelta(seconds=1, milliseconds=1))
    >>> round(time.at(noon + timedelta(seconds=2)), 3)
    101.999
    """

    def __init__(self) -> None:
        self._kept: deque[tuple[float, float]] = deque(maxlen=MOST)

    def keep(self, asked: float, now: datetime) -> None:
        """Keep at which time of the loop a transaction was asked for that then read ``now``."""
        lead, kept = asked - now.timestamp(), self._kept
        if kept and abs(kept[-1][1] - lead) > TOLERANCE:
            kept.clear()  # the clock has stepped, or one of the two took uncommonly long
        while kept and kept[0][0] < asked - RECENT:
            kept.popleft()  # clocks drift apart
        kept.append((asked, lead))

    def at(self, instant: datetime) -> float:
        """Return the time of the loop at which to ask for what is due at an instant. Something must be kept."""
        return instant.timestamp() + max(lead for _, lead in self._kept)
