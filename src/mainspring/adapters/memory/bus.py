"""The bus within one process: whoever is subscribed is told at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mainspring.model.events import Event
from mainspring.ports.bus import Subscriber
from mainspring.ports.subscribers import Subscribers


class InProcessBus:
    """`Bus` for one process. Nothing is kept: who is not subscribed when an event is published does not see it."""

    def __init__(self) -> None:
        self._subscribers = Subscribers()

    async def publish(self, events: Sequence[Event]) -> None:
        """Tell every subscriber whose pattern matches, event by event."""
        for event in events:
            await self._subscribers.tell(event)

    def subscribe(self, pattern: str, subscriber: Subscriber) -> Callable[[], None]:
        """Subscribe; call the answer to end it."""
        return self._subscribers.add(pattern, subscriber)

    async def close(self) -> None:
        """End every subscription."""
        self._subscribers.clear()
