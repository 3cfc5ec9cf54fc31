"""Events, as API, CLI, dashboard and code publish and try them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mainspring.control.match import Match, match_event
from mainspring.control.service import PlatformService
from mainspring.model.events import Event
from mainspring.model.trace import headers
from mainspring.moves import events
from mainspring.moves.events import Published
from mainspring.ports.store import Tx


class EventService(PlatformService):
    """What people ask of the events of one platform."""

    async def handle_event(
        self,
        type: str,
        data: Mapping[str, Any] | None = None,
        *,
        id: str | None = None,
        source: str = "mainspring",
        subject: str | None = None,
        chain_depth: int = 0,
    ) -> Published:
        """Accept an event once, and run the event jobs that match it; it carries on the trace it is made in."""
        extensions = headers()  # here: the transaction runs in a thread of its own
        return await self._change(
            "event.publish",
            type,
            lambda tx: events.publish(
                tx,
                self.platform_id,
                type,
                data,
                event_id=id,
                source=source,
                subject=subject,
                chain_depth=chain_depth,
                extensions=extensions,
                schedules=self._schedules,
            ),
            after=lambda done: {"id": done.event.id, "source": source, "executions": [e.id for e in done.executions]},
        )

    async def match_event(
        self,
        name: str,
        type: str,
        data: Mapping[str, Any] | None = None,
        *,
        id: str = "test",
        source: str = "mainspring",
        subject: str | None = None,
    ) -> Match:
        """Say whether an event would concern an event job, and if not, which condition fails. Nothing is published."""

        def work(tx: Tx) -> Match:
            event = Event(id, type, self.platform_id, tx.now, source, subject, dict(data or {}))
            return match_event(tx, self._schedules, name, event)

        return await self._store.read(work)
