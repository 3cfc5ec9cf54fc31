"""Events that go out and come in, and what the end of an execution has started."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from mainspring.model.chain import Chained
from mainspring.model.events import Event, PendingEvent


class OutboxTable(Protocol):
    """Events on their way out."""

    def add(self, events: Sequence[Event]) -> None:
        """Insert events, in order."""

    def unpublished(self, limit: int) -> list[Event]:
        """Return the oldest unpublished events, oldest first, without a gap: an earlier one is never left out.

        Events of one execution are therefore first published in the order in which they happened, whoever publishes.
        """

    def mark_published(self, event_ids: Sequence[str]) -> set[str]:
        """Mark events published; return those this call marked and that were not marked applied before."""

    def unapplied(self, limit: int) -> list[Event]:
        """Return the oldest unpublished events that are not marked applied, oldest first."""

    def mark_applied(self, event_ids: Sequence[str]) -> set[str]:
        """Mark unpublished events applied: what follows from them is done; return those this call marked."""

    def oldest_unpublished_at(self) -> datetime | None:
        """Return when the oldest unpublished event was made."""

    def delete_published(self, before: datetime, limit: int) -> int:
        """Delete events published before an instant; return how many."""


class ChainTable(Protocol):
    """What ended executions have started."""

    def add(self, links: Sequence[Chained]) -> None:
        """Insert links. A second one of the same execution and job is an error: `ConflictError`."""

    def of(self, execution_id: str) -> list[Chained]:
        """Return what the end of an execution started, by name of job."""

    def delete(self, before: datetime, limit: int) -> int:
        """Delete links older than an instant; return how many."""


class InboxTable(Protocol):
    """Events that came in: each (platform, source, id) is accepted once, for ever."""

    def accept(self, event: Event) -> bool:
        """Store an event; False when this platform has one of this source and id already."""

    def get(self, platform_id: str, source: str, event_id: str) -> Event | None:
        """Return an accepted event."""

    def pending(self, job_ids: Sequence[str]) -> dict[str, PendingEvent]:
        """Return the events jobs wait out, by job id; jobs that wait for none are left out."""

    def put_pending(self, pending: Sequence[PendingEvent]) -> None:
        """Insert or replace the event each of these jobs waits out."""

    def settle_pending(self, job_ids: Sequence[str]) -> None:
        """Forget what these jobs wait out: it has been decided."""
