"""Waiting for the instant at which to commit, in the thread that owns the connection."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta

from mainspring.ports.store import TooEarlyError

#: Times to look whether the instant has come: a clock that is slowed down meanwhile needs more than one.
LOOKS = 5


def is_near(seconds: float, lead: timedelta) -> bool:
    """Tell whether work may be done so many seconds ahead of its instant.

    >>> is_near(0.006, timedelta(milliseconds=5)), is_near(0.4, timedelta(milliseconds=5))
    (True, False)
    """
    return seconds <= 2 * lead.total_seconds()


def wait(left: Callable[[], float], lead: timedelta) -> None:
    """Wait until no seconds are ``left``. Raises `TooEarlyError` where that is far off, and if they do not pass."""
    for _ in range(LOOKS):
        seconds = left()
        if seconds <= 0:
            return
        if not is_near(seconds, lead):
            break
        time.sleep(seconds)  # noqa: TID251 - the machine's own time, to which the commit is owed
    raise TooEarlyError("the instant is far off")


def pause(seconds: float) -> None:
    """Let others have the processor for so long."""
    time.sleep(seconds)  # noqa: TID251 - nobody waits for what comes after it


def monotonic() -> float:
    """Return the seconds of a clock of this process, to measure those few that are left."""
    return time.monotonic()  # noqa: TID251 - set by the store's clock a few milliseconds before
