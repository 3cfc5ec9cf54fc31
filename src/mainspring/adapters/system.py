"""The real clock and the real source of chance: the only place that asks the machine for either."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from random import Random


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the present instant, aware and in UTC."""
        return datetime.now(UTC)


def system_random() -> Random:
    """Return a generator of its own, seeded from the operating system: two processes never draw the same ids."""
    return Random(os.urandom(32))
