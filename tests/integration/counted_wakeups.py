"""Wake-ups that say what each commit woke."""

from __future__ import annotations

from mainspring.adapters.memory import InProcessWakeups
from mainspring.adapters.sql.store import SqlStore


class CountedWakeups(InProcessWakeups):
    """Wakeups that remember each call, and pass it on."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[set[str]] = []

    def notify(self, *topics: str) -> None:
        self.calls.append(set(topics))
        super().notify(*topics)


async def all_told(store: SqlStore) -> None:
    """Return once every commit so far was told of: SQLite's writer tells of one before it makes the next."""
    await store.write(lambda _tx: None)
