"""Where events go: to subscribers in this process, or to Redis Streams; what webhooks are owed is in the record."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from mainspring.model.events import Event

Subscriber = Callable[[Event], Awaitable[None] | None]


class Bus(Protocol):
    """Takes events in order. Subscribers may see one twice and tell by its id."""

    async def publish(self, events: Sequence[Event]) -> None:
        """Hand events over, in order; returns once the bus has them.

        Raises `BusUnavailableError` or what went wrong if it has not: the relay then tries again.
        """

    def subscribe(self, pattern: str, subscriber: Subscriber) -> Callable[[], None]:
        """Call ``subscriber`` for each event from now on whose type matches ``pattern``; call the answer to end it.

        To be called inside the event loop that is to call it. One that fails is logged, and the others go on.
        """

    async def close(self) -> None:
        """End every subscription and let go of connections."""
