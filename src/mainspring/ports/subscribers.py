"""Who is told of events in this process: the part of a `Bus`'s promise that every bus keeps in the same way."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable

from mainspring.model.events import Event
from mainspring.ports.bus import Subscriber
from mainspring.schedule import event_matches

logger = logging.getLogger("mainspring")


class Subscribers:
    """Subscribers by pattern, called in turn; one that fails is logged and does not keep the others from an event."""

    def __init__(self) -> None:
        self._entries: list[tuple[str, Subscriber]] = []

    def add(self, pattern: str, subscriber: Subscriber) -> Callable[[], None]:
        """Call ``subscriber`` from now on for events whose type matches; call the answer to end it.

        Raises `ScheduleError` for what is no pattern.
        """
        event_matches(pattern, "any")
        entry = (pattern, subscriber)
        self._entries.append(entry)
        return lambda: self._entries.remove(entry) if entry in self._entries else None

    def clear(self) -> None:
        """End every subscription."""
        self._entries.clear()

    async def tell(self, event: Event) -> None:
        """Call everyone whose pattern matches, and wait for those who are to be awaited."""
        for pattern, subscriber in list(self._entries):
            if not event_matches(pattern, event.type):
                continue
            try:
                answer = subscriber(event)
                if inspect.isawaitable(answer):
                    await answer
            except Exception:
                logger.exception("a subscriber of %s failed on event %s", pattern, event.id)
