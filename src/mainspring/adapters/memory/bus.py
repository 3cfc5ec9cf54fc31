"""The bus within one process: subscribers are called in turn, and one that fails does not keep the others from it."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Sequence

from mainspring.model.events import Event
from mainspring.ports.bus import Subscriber
from mainspring.schedule import event_matches

logger = logging.getLogger("mainspring")


class InProcessBus:
    """`Bus` for one process. Nothing is kept: who is not subscribed when an event is published does not see it."""

    def __init__(self) -> None:
        self._subscribers: list[tuple[str, Subscriber]] = []

    async def publish(self, events: Sequence[Event]) -> None:
        """Call every subscriber whose pattern matches, event by event; a failing one is logged."""
        for event in events:
            for pattern, subscriber in list(self._subscribers):
                if not event_matches(pattern, event.type):
                    continue
                try:
                    answer = subscriber(event)
                    if inspect.isawaitable(answer):
                        await answer
                except Exception:
                    logger.exception("a subscriber of %s failed on event %s", pattern, event.id)

    def subscribe(self, pattern: str, subscriber: Subscriber) -> Callable[[], None]:
        """Subscribe; call the answer to end it."""
        entry = (pattern, subscriber)
        self._subscribers.append(entry)
        return lambda: self._subscribers.remove(entry) if entry in self._subscribers else None

    async def close(self) -> None:
        """End every subscription."""
        self._subscribers.clear()
