"""Health and live figures: of one platform, or of the whole fleet."""

from __future__ import annotations

import random
from datetime import timedelta
from functools import partial

from mainspring.adapters.memory import MemoryStore
from mainspring.control.health import check_health, collect_metrics
from mainspring.moves.enqueue import EnqueueRequest, enqueue
from mainspring.testing.clock import ManualClock


async def test_a_platform_s_queue_lags_by_its_own_work_and_the_fleet_s_by_anybody_s() -> None:
    clock = ManualClock()
    store = MemoryStore(clock, random=random.Random(1))
    await store.open()
    await store.write(lambda tx: enqueue(tx, [EnqueueRequest("work", platform_id="loud")]))
    clock.advance(timedelta(seconds=61))
    await store.write(lambda tx: enqueue(tx, [EnqueueRequest("work", platform_id="quiet")]))
    clock.advance(timedelta(seconds=1))

    async def lag(name: str) -> float:
        found: float = (await store.read(partial(collect_metrics, platform_id=name)))["queue_lag_s"]
        return found

    async def status(name: str | None) -> str:
        health = await store.read(partial(check_health, platform_id=name))
        return str(health.checks["queue_lag_s"]["status"])

    assert [await lag("loud"), await lag("quiet")] == [62.0, 1.0]
    assert [await status("loud"), await status("quiet"), await status(None)] == ["fail", "pass", "fail"]
    await store.close()
