"""What was announced and not yet sent: bounded, filled from any thread, emptied by whoever sends."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from mainspring.adapters.redis.streams import DEAD, RETRY, Named, stream_of, to_entries
from mainspring.model.dispatch import Announcement, Dispatch, GivenUp, RetryPlanned, band


@dataclass(slots=True)
class Batch:
    """What is sent together: executions by stream, and what became of others."""

    dispatches: dict[str, list[Named]] = field(default_factory=dict)
    notices: list[RetryPlanned | GivenUp] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.notices) + sum(map(len, self.dispatches.values()))

    def add(self, announcement: Announcement) -> None:
        """Put an announcement with its like."""
        if isinstance(announcement, Dispatch):
            stream = stream_of(announcement.queue, band(announcement.priority))
            self.dispatches.setdefault(stream, []).append((announcement.execution_id, announcement.trace))
        else:
            self.notices.append(announcement)

    def entries(self) -> list[tuple[str, dict[str, str]]]:
        """Return (stream, fields) of each entry to add."""
        found = [(stream, entry) for stream, named in self.dispatches.items() for entry in to_entries(named)]
        return found + [_notice(notice) for notice in self.notices]


class Outgoing:
    """Announcements on their way, at most ``limit``. Safe from any thread."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._batch = Batch()
        self._count = 0
        self._lock = threading.Lock()

    def put(self, announcements: Sequence[Announcement]) -> int:
        """Take announcements; return how many there was no room for."""
        with self._lock:
            taken = announcements[: max(0, self._limit - self._count)]
            for announcement in taken:
                self._batch.add(announcement)
            self._count += len(taken)
        return len(announcements) - len(taken)

    def take(self) -> Batch:
        """Return everything there is, which is then gone."""
        with self._lock:
            batch, self._batch, self._count = self._batch, Batch(), 0
        return batch

    def __bool__(self) -> bool:
        return self._count > 0


def _notice(notice: RetryPlanned | GivenUp) -> tuple[str, dict[str, str]]:
    fields = {"execution_id": notice.execution_id, "platform_id": notice.platform_id}
    if isinstance(notice, RetryPlanned):
        return RETRY, {**fields, "available_at": notice.available_at.isoformat()}
    return DEAD, fields
