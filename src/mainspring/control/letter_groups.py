"""What went wrong alike: open dead letters in groups, from a bounded number of the newest."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mainspring.model.execution import DeadLetter
from mainspring.model.filters import Compare
from mainspring.model.nouns import Noun
from mainspring.model.wire import instant
from mainspring.ports.search import Order, Search
from mainspring.ports.store import Tx

ROWS = 5_000


@dataclass(frozen=True, slots=True)
class LetterGroup:
    """Open dead letters that failed alike."""

    fingerprint: str
    handler: str
    count: int
    oldest_at: datetime
    newest_at: datetime
    newest_execution_id: str
    error: Mapping[str, Any] | None
    jobs: tuple[str, ...]

    def to_wire(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "fingerprint": self.fingerprint,
            "handler": self.handler,
            "count": self.count,
            "oldest_at": instant(self.oldest_at),
            "newest_at": instant(self.newest_at),
            "newest_execution_id": self.newest_execution_id,
            "error": None
            if self.error is None
            else {"type": self.error.get("type"), "message": str(self.error.get("message", ""))[:500]},
            "jobs": list(self.jobs),
        }


def letter_groups(tx: Tx, platform_id: str) -> tuple[list[LetterGroup], bool]:
    """Return open dead letters by what went wrong, the largest group first, and whether all were looked at."""
    order = (Order("execution_id", descending=True),)
    search = Search(Noun.DEAD_LETTERS, platform_id, Compare("status", "=", "open"), order, limit=ROWS + 1)
    letters: list[DeadLetter] = tx.search.find(search)
    groups: dict[tuple[str, str], list[DeadLetter]] = defaultdict(list)
    for letter in letters[:ROWS]:
        groups[letter.fingerprint, letter.handler].append(letter)
    told = [
        LetterGroup(
            fingerprint,
            handler,
            len(of_group),
            of_group[-1].created_at,
            of_group[0].created_at,
            of_group[0].execution_id,
            of_group[0].error,
            tuple(sorted({letter.job_name for letter in of_group if letter.job_name})[:20]),
        )
        for (fingerprint, handler), of_group in groups.items()
    ]
    return sorted(told, key=lambda group: (-group.count, group.fingerprint)), len(letters) <= ROWS
