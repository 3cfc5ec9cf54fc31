"""How the past is laid out: it is not. Rows lie together in dictionaries, and are deleted one by one."""

from __future__ import annotations

from mainspring.ports.store import Dropped, KeptSince


class MemoryHistoryTable:
    """`HistoryTable` that has no partitions."""

    def prepare(self, days: int) -> list[str]:
        return []

    def drop(self, since: KeptSince) -> Dropped:
        return Dropped()
