"""Time and chance, asked for and never taken."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """Says what time it is. The store's clock decides; a process's own clock is only for people."""

    def now(self) -> datetime:
        """Return the present instant, aware and in UTC."""


class Listener(Protocol):
    """One waiter's ear. What is notified between two waits is not lost: the next wait returns at once."""

    async def wait(self, timeout: float | None) -> bool:
        """Wait until notified or for ``timeout`` seconds (None: for ever); True when notified."""

    def close(self) -> None:
        """Stop listening."""


class Wakeups(Protocol):
    """Tells loops of this process that there may be something to do. A hint: losing one costs a poll, never work.

    Topics: ``jobs`` (a schedule changed), ``pending`` (an execution waits to be promoted), ``queued`` (work to claim),
    ``ended`` (an execution ended), ``cancel`` (a cancel was asked for), ``outbox`` (an event to publish),
    ``deliveries`` (a webhook is owed something), ``left:HANDLER`` (queued work was offered to a worker without it).
    """

    def notify(self, *topics: str) -> None:
        """Wake whoever listens to one of ``topics``. Safe from any thread."""

    def listen(self, *topics: str) -> Listener:
        """Start listening to ``topics``; to be called inside the event loop that will wait."""

    def when_heard(self, then: Callable[[], None]) -> None:
        """Call ``then`` as somebody begins to listen, in whatever thread that is; at once where somebody has before."""
