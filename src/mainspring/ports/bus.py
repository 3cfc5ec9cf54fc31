"""Where events go: in this process, to Redis Streams, to webhooks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from mainspring.model.events import Event

Subscriber = Callable[[Event], Awaitable[None] | None]


class Bus(Protocol):
    """Takes events in order. Subscribers may see one twice and tell by its id."""

    async def publish(self, events: Sequence[Event]) -> None:
        """Hand events over; returns once the bus has them. Raises if it has not: the relay then tries again."""

    def subscribe(self, pattern: str, subscriber: Subscriber) -> Callable[[], None]:
        """Call ``subscriber`` for each event whose type matches ``pattern``; call the answer to end it."""
