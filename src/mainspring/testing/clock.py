"""A clock that stands still until a test moves it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
"""Where a clock starts unless told otherwise: a Monday morning, far from any change of clocks."""


class ManualClock:
    """A `Clock` in a test's hand.

    >>> clock = ManualClock()
    >>> clock.advance(timedelta(minutes=5)).isoformat()
    '2026-03-02T09:05:00+00:00'
    """

    def __init__(self, at: datetime = START) -> None:
        self.set(at)

    def now(self) -> datetime:
        """Return the instant last set."""
        return self._now

    def set(self, at: datetime) -> None:
        """Put the clock to an aware instant, earlier ones included: clocks do go back."""
        if at.tzinfo is None:
            raise ValueError(f"a clock needs an aware instant, got {at}")
        self._now = at.astimezone(UTC)

    def advance(self, by: timedelta) -> datetime:
        """Move the clock on and return the new instant."""
        self.set(self._now + by)
        return self._now
