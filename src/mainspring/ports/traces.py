"""Traces: whole traces counted and deleted by age, one platform at a time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class TraceScope:
    """Whose traces. There is no scope of all platforms: a delete that forgets the tenant cannot be written."""

    platform_id: str


@dataclass(frozen=True, slots=True)
class TraceAge:
    """Which traces are old: ended before ``before``, those with a failed span only if before ``failed_before``."""

    before: datetime
    failed_before: datetime


@dataclass(frozen=True, slots=True)
class DeleteStep:
    """What one bounded step deleted. ``more``: there may be something left to delete."""

    traces: int
    spans: int
    more: bool


class TraceStore(Protocol):
    """Keeps traces. Those on hold are neither counted nor deleted."""

    async def count(self, scope: TraceScope, age: TraceAge) -> int:
        """Return how many traces are old."""

    async def delete_older(self, scope: TraceScope, age: TraceAge, *, limit: int) -> DeleteStep:
        """Delete old traces with all their spans, oldest first, in one step of at most ``limit`` spans and traces.

        A trace with more spans than that goes in several steps. Calling again goes on; a step cut off half-way has
        deleted nothing.
        """
