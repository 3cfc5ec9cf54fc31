"""Events: the outbox on their way out, the inbox for those that came in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import count

from mainspring.adapters.memory.journal import Journal
from mainspring.adapters.memory.values import each_isolated, isolated
from mainspring.errors import ConflictError
from mainspring.model.events import Event, PendingEvent


class MemoryOutboxTable:
    """`OutboxTable` in dictionaries."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._numbers = count()
        self._unpublished: dict[str, tuple[int, Event]] = {}
        self._published: dict[str, tuple[datetime, Event]] = {}
        self._applied: dict[str, bool] = {}

    def add(self, events: Sequence[Event]) -> None:
        for event in events:
            if event.id in self._unpublished or event.id in self._published:
                raise ConflictError(f"event {event.id} is in the outbox already")
            self._journal.put(self._unpublished, event.id, (next(self._numbers), isolated(event)))

    def unpublished(self, limit: int) -> list[Event]:
        return each_isolated(self._in_order()[:limit])

    def mark_published(self, event_ids: Sequence[str]) -> set[str]:
        marked = {event_id for event_id in event_ids if event_id in self._unpublished}
        for event_id in marked:
            _, event = self._unpublished[event_id]
            self._journal.drop(self._unpublished, event_id)
            self._journal.put(self._published, event_id, (self._journal.now, event))
        fresh = {event_id for event_id in marked if event_id not in self._applied}
        for event_id in marked - fresh:
            self._journal.drop(self._applied, event_id)
        return fresh

    def unapplied(self, limit: int) -> list[Event]:
        return each_isolated([event for event in self._in_order() if event.id not in self._applied][:limit])

    def mark_applied(self, event_ids: Sequence[str]) -> set[str]:
        marked = {e for e in event_ids if e in self._unpublished and e not in self._applied}
        for event_id in marked:
            self._journal.put(self._applied, event_id, True)
        return marked

    def oldest_unpublished_at(self) -> datetime | None:
        return min((event.at for _, event in self._unpublished.values()), default=None)

    def delete_published(self, before: datetime, limit: int) -> int:
        old = sorted(event_id for event_id, (at, _) in self._published.items() if at < before)[:limit]
        for event_id in old:
            self._journal.drop(self._published, event_id)
        return len(old)

    def undelivered_subjects(self) -> set[str | None]:
        """Return what the unpublished events are about."""
        return {event.subject for _, event in self._unpublished.values()}

    def every(self) -> Iterable[Event]:
        """Return every event there is, published or not."""
        yield from (event for _, event in self._published.values())
        yield from (event for _, event in self._unpublished.values())

    def _in_order(self) -> list[Event]:
        return [event for _, event in sorted(self._unpublished.values(), key=lambda row: row[0])]


class MemoryInboxTable:
    """`InboxTable` in a dictionary."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._events: dict[tuple[str, str, str], Event] = {}
        self._pending: dict[str, PendingEvent] = {}

    def accept(self, event: Event) -> bool:
        key = (event.platform_id, event.source, event.id)
        if key in self._events:
            return False
        self._journal.put(self._events, key, isolated(event))
        return True

    def every(self) -> Iterable[Event]:
        """Return every event that was accepted."""
        return self._events.values()

    def get(self, platform_id: str, source: str, event_id: str) -> Event | None:
        event = self._events.get((platform_id, source, event_id))
        return None if event is None else isolated(event)

    def pending(self, job_ids: Sequence[str]) -> dict[str, PendingEvent]:
        return {job_id: self._pending[job_id] for job_id in job_ids if job_id in self._pending}

    def put_pending(self, pending: Sequence[PendingEvent]) -> None:
        for row in pending:
            self._journal.put(self._pending, row.job_id, row)

    def settle_pending(self, job_ids: Sequence[str]) -> None:
        for job_id in job_ids:
            self._journal.drop(self._pending, job_id)
