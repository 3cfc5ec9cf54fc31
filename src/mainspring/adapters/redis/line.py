"""What one worker has taken from one stream and not yet tried: a small buffer of entries."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mainspring.adapters.redis.streams import from_entry, stream_of
from mainspring.model.dispatch import Band

#: What a server returns of one entry: its id and its fields, None for one that was deleted meanwhile.
RawEntry = tuple[bytes | None, Mapping[bytes, bytes] | None]
#: Most entries asked for at once.
MOST_ENTRIES = 500


@dataclass(slots=True)
class Entry:
    """An entry that was delivered. ``waiting`` were not offered yet, ``trying`` are offered right now."""

    id: bytes
    waiting: deque[str]
    trying: int = 0


@dataclass(slots=True)
class Line:
    """The buffer of one stream. It wants more while it holds fewer ids than ``enough``."""

    queue: str
    band: Band
    enough: int
    held: dict[bytes, Entry] = field(default_factory=dict)
    waiting: int = 0
    hungry: asyncio.Event = field(default_factory=asyncio.Event)
    #: Ids per entry lately, to ask for about as many as are wanted.
    width: float = 1.0

    def __post_init__(self) -> None:
        self.hungry.set()

    @property
    def stream(self) -> str:
        """The stream's name."""
        return stream_of(self.queue, self.band)

    @property
    def wanted(self) -> int:
        """How many entries to ask for, at least one."""
        return max(1, min(MOST_ENTRIES, math.ceil((self.enough - self.waiting) / self.width)))

    def put(self, entries: Iterable[RawEntry]) -> tuple[int, int, list[bytes]]:
        """Take delivered entries; return how many ids they named, how many words were none, and what is of no use."""
        named, ignored, useless = 0, 0, []
        for entry_id, fields in entries:
            if entry_id is None or entry_id in self.held:
                continue
            ids, garbage = from_entry(fields)
            ignored += garbage
            if not ids:
                useless.append(entry_id)
                continue
            self.held[entry_id] = Entry(entry_id, deque(ids))
            self.width += (len(ids) - self.width) / 8
            named += len(ids)
        self._count(named)
        return named, ignored, useless

    def take(self, most: int) -> list[tuple[Entry, str]]:
        """Take up to ``most`` ids to try, oldest first."""
        taken: list[tuple[Entry, str]] = []
        for entry in self.held.values():
            while entry.waiting and len(taken) < most:
                taken.append((entry, entry.waiting.popleft()))
                entry.trying += 1
            if len(taken) >= most:
                break
        self._count(-len(taken))
        return taken

    def put_back(self, entry: Entry, execution_id: str) -> None:
        """Take back an id that could not be tried."""
        entry.trying -= 1
        entry.waiting.appendleft(execution_id)
        self._count(1)

    def tried(self, entry: Entry) -> bool:
        """Note that one id of an entry was tried; True when it was the last, and the entry is let go of."""
        entry.trying -= 1
        if entry.trying or entry.waiting:
            return False
        del self.held[entry.id]
        return True

    def _count(self, more: int) -> None:
        self.waiting += more
        if self.waiting < self.enough:
            self.hungry.set()
        else:
            self.hungry.clear()
