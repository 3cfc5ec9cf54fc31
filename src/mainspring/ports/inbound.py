"""Events that come in from elsewhere: taken, accepted in the record, and only then let go of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Incoming:
    """One entry: its place, and what it holds as parsed JSON; or, where it holds none, ``problem`` says why."""

    place: str
    content: Any = None
    problem: str | None = None


class Inbound(Protocol):
    """A source of events that several processes share: each entry is taken by one of them at a time.

    What was taken and neither done nor refused is taken again later, by whoever is alive. All methods raise
    `BusUnavailableError` while the source is away.
    """

    async def take(self, limit: int) -> list[Incoming]:
        """Return up to ``limit`` entries, oldest first, after waiting a moment for the first; empty when none came."""

    async def done(self, places: Sequence[str]) -> None:
        """Let go of entries whose events are in the record."""

    async def refuse(self, incoming: Incoming, reason: str) -> None:
        """Put an entry that can never be accepted aside, with the reason, and let go of it."""

    async def close(self) -> None:
        """Let go of connections. What is still held is taken by others."""
