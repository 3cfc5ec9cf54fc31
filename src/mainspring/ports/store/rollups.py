"""Rollups: figures kept as work goes on (see `mainspring.model.rollup`)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from mainspring.model.rollup import Rollup, Span


class RollupTable(Protocol):
    """Figures by span of time."""

    def hold(self, blanks: Sequence[Rollup]) -> dict[str, Rollup]:
        """Return the stored rollups with the keys of these by key, or else these themselves.

        Nobody else reads them to write them until this transaction ends.
        """

    def put(self, rollups: Sequence[Rollup]) -> None:
        """Write rollups that were held, whole."""

    def series(
        self, span: Span, platform_id: str, *, since: datetime, until: datetime, job_id: str = "", limit: int
    ) -> list[Rollup]:
        """Return rollups that began at or after ``since`` and before ``until``, oldest first."""

    def totals(self, limit: int) -> list[Rollup]:
        """Return the totals of the fleet, by queue and handler."""

    def known(self, keys: Sequence[str]) -> set[str]:
        """Return those of the keys there is a rollup of."""

    def delete(self, span: Span, before: datetime, limit: int) -> int:
        """Delete rollups of spans that began before an instant; return how many."""
