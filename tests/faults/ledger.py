"""The handlers' own ledger, read by the test: a file of lines the product knows nothing of."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Line:
    """One thing a handler did. ``at`` is wall time, ``mono`` the machine's monotonic clock, as the process saw them."""

    what: str
    id: str
    attempt: int
    fence: int
    key: str
    job: str | None
    due: datetime | None
    at: float
    mono: float
    pid: int
    n: int


class Ledger:
    """The lines so far."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read, self._lines = 0, list[Line]()

    def lines(self, *whats: str, id: str | None = None) -> list[Line]:
        """Return the lines, oldest first; only those of these kinds and of one execution, where given."""
        self._lines += self._fresh()
        return [ln for ln in self._lines if (not whats or ln.what in whats) and id in (None, ln.id)]

    def _fresh(self) -> Iterator[Line]:
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            file.seek(self._read)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.splitlines():
            wire = json.loads(line)
            yield Line(**{**wire, "due": datetime.fromisoformat(wire["due"]) if wire["due"] else None})
