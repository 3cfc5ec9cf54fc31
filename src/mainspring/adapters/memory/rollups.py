"""Rollups in a dictionary, by key."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from mainspring.adapters.memory.journal import Journal
from mainspring.adapters.memory.values import each_isolated, isolated
from mainspring.model.rollup import Rollup, Span


class MemoryRollupTable:
    """`RollupTable` in a dictionary."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._rollups: dict[str, Rollup] = {}

    def hold(self, blanks: Sequence[Rollup]) -> dict[str, Rollup]:
        return {blank.key: isolated(self._rollups.get(blank.key, blank)) for blank in blanks}

    def put(self, rollups: Sequence[Rollup]) -> None:
        for rollup in rollups:
            self._journal.put(self._rollups, rollup.key, isolated(rollup))

    def series(
        self, span: Span, platform_id: str, *, since: datetime, until: datetime, job_id: str = "", limit: int
    ) -> list[Rollup]:
        about = (span, platform_id, job_id)
        found = [
            rollup
            for rollup in self._rollups.values()
            if (rollup.span, rollup.platform_id, rollup.job_id) == about and since <= rollup.at < until
        ]
        return each_isolated(sorted(found, key=lambda rollup: (rollup.at, rollup.key))[:limit])

    def totals(self, limit: int) -> list[Rollup]:
        found = [rollup for rollup in self._rollups.values() if rollup.span is Span.TOTAL]
        return each_isolated(sorted(found, key=lambda rollup: (rollup.queue, rollup.handler))[:limit])

    def known(self, keys: Sequence[str]) -> set[str]:
        return set(keys) & self._rollups.keys()

    def delete(self, span: Span, before: datetime, limit: int) -> int:
        old = [rollup for rollup in self._rollups.values() if rollup.span is span and rollup.at < before]
        for rollup in sorted(old, key=lambda rollup: rollup.at)[:limit]:
            self._journal.drop(self._rollups, rollup.key)
        return len(old[:limit])
