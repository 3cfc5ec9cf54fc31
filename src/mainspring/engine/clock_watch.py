"""Notice when the store's clock steps: it is measured against this process's own count of seconds, which never does.

The store's clock decides everything, so a step is nothing to correct. But leases were promised for so many seconds,
not until so-and-so late by a clock that was set since: for them alone a step has to be made up for.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

#: A difference this small is a busy machine, a slow transaction, or a clock being adjusted bit by bit.
TOLERANCE = timedelta(seconds=2)


@dataclass(slots=True)
class ClockWatch:
    """Compares two looks at the store's clock with the seconds that passed between them.

    >>> from datetime import UTC
    >>> noon, watch = datetime(2026, 3, 1, 12, tzinfo=UTC), ClockWatch()
    >>> watch.look(noon, 100.0), watch.look(noon + timedelta(seconds=5), 105.1)
    (datetime.timedelta(0), datetime.timedelta(0))
    >>> watch.look(noon + timedelta(hours=1, seconds=6), 106.1)
    datetime.timedelta(seconds=3600)
    """

    _last: tuple[datetime, float] | None = None

    def look(self, now: datetime, seconds: float) -> timedelta:
        """Return by how much the store's clock has stepped since the last look; zero within `TOLERANCE`.

        Args:
            now: The store's clock.
            seconds: A monotonic clock of this process, read when ``now`` was.
        """
        last, self._last = self._last, (now, seconds)
        if last is None:
            return timedelta(0)
        step = (now - last[0]) - timedelta(seconds=seconds - last[1])
        return step if abs(step) > TOLERANCE else timedelta(0)
