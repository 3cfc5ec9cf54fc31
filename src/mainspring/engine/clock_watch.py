"""Notice when the store's clock steps: it is measured against this process's own count of seconds, which never does.

The store's clock decides everything, so a step is nothing to correct. But a lease, a timeout and a retry's delay were
meant as so many seconds, not until so-and-so late by a clock that was set since: for these a step is made up for.
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
    >>> watch.keep(noon, 100.0)
    >>> watch.step(noon + timedelta(seconds=5), 105.1), watch.step(noon + timedelta(hours=1, seconds=5), 105.0)
    (datetime.timedelta(0), datetime.timedelta(seconds=3600))
    """

    _last: tuple[datetime, float] | None = None

    def step(self, now: datetime, seconds: float) -> timedelta:
        """Return by how much the store's clock has stepped since the look kept last; zero within `TOLERANCE`.

        Args:
            now: The store's clock.
            seconds: A monotonic clock of this process, read when ``now`` was.
        """
        if self._last is None:
            return timedelta(0)
        at, then = self._last
        step = (now - at) - timedelta(seconds=seconds - then)
        return step if abs(step) > TOLERANCE else timedelta(0)

    @property
    def seen(self) -> datetime | None:
        """The store's clock at the look kept last."""
        return None if self._last is None else self._last[0]

    def keep(self, now: datetime, seconds: float) -> None:
        """Keep a look for the next one to be compared with."""
        self._last = (now, seconds)
