"""Bounds that people set: what no bound can be is refused before anything is written."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest

from mainspring.adapters.memory.store import MemoryStore
from mainspring.control.operations import Bulk, OperationService
from mainspring.control.scheduler import SchedulerService
from mainspring.errors import ValidationError
from mainspring.model.node import Limit
from mainspring.model.nouns import Noun
from mainspring.testing.clock import ManualClock


@pytest.fixture
async def store() -> AsyncIterator[MemoryStore]:
    store = MemoryStore(ManualClock(datetime(2026, 3, 2, tzinfo=UTC)), random=Random(1))
    await store.open()
    yield store
    await store.close()


@pytest.mark.parametrize(
    "bound",
    [
        {"max_running": -1},
        {"max_pending": -5},
        {"max_jobs": -1},
        {"min_interval_ms": -1},
        {"rate": 0},
        {"rate": 10_000_000},
        {"rate": 1, "rate_per": 0.0},
        {"rate": 1, "rate_per": -1.0},
        {"rate": True},
    ],
)
async def test_a_bound_that_no_count_can_be_is_refused(store: MemoryStore, bound: dict[str, Any]) -> None:
    """A queue with max_running -1 took no enqueue any more: PostgreSQL refused the count up to it."""
    with pytest.raises(ValidationError) as refused:
        await SchedulerService(store).put_limit(Limit("default", "queue", "reports", **bound))
    assert refused.value.field in bound
    assert await store.read(lambda tx: tx.platforms.limits("default")) == []


async def test_nothing_may_run_on_a_queue_whose_bound_is_zero(store: MemoryStore) -> None:
    await SchedulerService(store).put_limit(Limit("default", "queue", "reports", max_running=0))
    (limit,) = await store.read(lambda tx: tx.platforms.limits("default"))
    assert limit.max_running == 0


@pytest.mark.parametrize("rate", [0, -1, 1_001])
async def test_an_operation_does_so_many_a_second_or_is_refused(store: MemoryStore, rate: int) -> None:
    """0 a second was taken for as fast as it goes."""
    with pytest.raises(ValidationError, match="from 1 to 1000"):
        await OperationService(store).submit(Bulk(Noun.DEAD_LETTERS, "redrive", ids=("x",), per_second=rate))
