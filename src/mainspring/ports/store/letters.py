"""Dead letters: executions given up on, kept for a person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from mainspring.model.execution import DeadLetter, Failure


@dataclass(frozen=True, slots=True)
class LetterQuery:
    """Which dead letters; every field given must match. ``since`` inclusive and ``until`` exclusive: when they died."""

    job_id: str | None = None
    handler: str | None = None
    failure: Failure | None = None
    fingerprint: str | None = None
    since: datetime | None = None
    until: datetime | None = None


class DeadLetterTable(Protocol):
    """Executions given up on."""

    def add(self, letters: Sequence[DeadLetter]) -> None:
        """Insert dead letters."""

    def get(self, execution_id: str, *, lock: bool = False) -> DeadLetter | None:
        """Return one."""

    def hold(self, execution_ids: Sequence[str]) -> None:
        """Lock those of these that there are, in order of id, until the transaction ends."""

    def find(
        self,
        platform_id: str,
        *,
        status: str | None = "open",
        job_id: str | None = None,
        handler: str | None = None,
        fingerprint: str | None = None,
        before_id: str | None = None,
        limit: int = 50,
    ) -> list[DeadLetter]:
        """Return dead letters, newest execution id first."""

    def open(
        self, platform_id: str, query: LetterQuery, *, after_id: str | None = None, limit: int, lock: bool = False
    ) -> list[DeadLetter]:
        """Return open dead letters, oldest execution id first, after one; with ``lock`` others' locks are skipped."""

    def resolve(
        self, execution_id: str, *, status: str, reason: str | None = None, redriven_as: str | None = None
    ) -> bool:
        """Close an open one; False when it is not open."""

    def count(self, platform_id: str, most: int) -> int:
        """Count the open ones, up to ``most``."""
