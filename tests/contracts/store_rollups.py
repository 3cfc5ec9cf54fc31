"""What a store promises of rollups."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from mainspring.model.rollup import Rollup, Span, blank
from mainspring.ports.store import Store, Tx
from tests.contracts.store_rows import HOUR, MINUTE, PLATFORM


class RollupContract:
    """`RollupTable`."""

    async def test_rollups_are_held_and_written_whole(self, store: Store, now: datetime) -> None:
        first, other = blank(Span.MINUTE, now, platform_id=PLATFORM), blank(Span.TOTAL, now, queue="q", handler="h")
        filled = replace(
            first, counts={"success": 2}, durations={"sum": 5, "3": 2}, delays={"0": 1}, first_at=now, last_at=now
        )
        assert await put(store, filled, other) == {first.key: first, other.key: other}
        assert await put(store, first) == {first.key: filled}
        assert await store.read(lambda tx: tx.rollups.known([first.key, "none"])) == {first.key}
        assert await store.read(lambda tx: tx.rollups.totals(10)) == [other]

    async def test_what_two_count_at_once_adds_up(self, store: Store, now: datetime) -> None:
        empty = blank(Span.MINUTE, now, platform_id=PLATFORM)

        def count(tx: Tx) -> None:
            kept = tx.rollups.hold([empty])[empty.key]
            tx.rollups.put([replace(kept, counts={"success": kept.counts.get("success", 0) + 1})])

        await asyncio.gather(*(store.write(count) for _ in range(20)))
        assert (await store.write(lambda tx: tx.rollups.hold([empty])))[empty.key].counts == {"success": 20}

    async def test_a_series_is_one_platforms_or_jobs_within_bounds_and_in_order(
        self, store: Store, now: datetime
    ) -> None:
        at = Span.HOUR.floor(now)
        mine = [blank(Span.QUARTER, at + n * HOUR, platform_id=PLATFORM, job_id="job") for n in (0, 1, 2)]
        others = [
            blank(Span.QUARTER, at, platform_id=PLATFORM, job_id="other"),
            blank(Span.QUARTER, at, platform_id="foreign", job_id="job"),
            blank(Span.MINUTE, at, platform_id=PLATFORM),
        ]
        await put(store, *mine[::-1], *others)

        async def series(since: datetime, until: datetime, limit: int = 10) -> list[Rollup]:
            return await store.read(
                lambda tx: tx.rollups.series(
                    Span.QUARTER, PLATFORM, since=since, until=until, job_id="job", limit=limit
                )
            )

        assert await series(at, at + 3 * HOUR) == mine
        assert await series(at + MINUTE, at + 2 * HOUR) == mine[1:2]
        assert await series(at, at + 3 * HOUR, limit=2) == mine[:2]

    async def test_old_rollups_of_one_span_are_deleted_in_batches(self, store: Store, now: datetime) -> None:
        rows = [blank(Span.MINUTE, now - n * MINUTE, platform_id=PLATFORM) for n in range(5)]
        await put(store, *rows, blank(Span.HOUR, now - 5 * HOUR, platform_id=PLATFORM))

        async def delete(limit: int) -> int:
            return await store.write(lambda tx: tx.rollups.delete(Span.MINUTE, rows[1].at, limit))

        assert [await delete(2), await delete(2), await delete(2)] == [2, 1, 0]


async def put(store: Store, *rollups: Rollup) -> dict[str, Rollup]:
    """Hold the rollups as a batch does, write these, and return what was there."""

    def work(tx: Tx) -> dict[str, Rollup]:
        found = tx.rollups.hold(_blanks(rollups))
        tx.rollups.put(rollups)
        return found

    return await store.write(work)


def _blanks(rollups: Sequence[Rollup]) -> list[Rollup]:
    return [replace(rollup, counts={}, durations={}, delays={}, first_at=None, last_at=None) for rollup in rollups]
