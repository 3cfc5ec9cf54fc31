"""Concurrent enqueues share transactions, and none is lost, doubled or refused for another's sake."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime
from typing import Any

import pytest

from mainspring.adapters.memory.store import MemoryStore
from mainspring.app.enqueuing import Enqueuer, Enqueues
from mainspring.errors import IdempotencyConflictError, StoreUnavailableError
from mainspring.model.execution import Execution
from mainspring.moves.enqueue import EnqueueRequest
from mainspring.ports.store import ExecutionQuery
from mainspring.testing.clock import ManualClock


class CountedStore(MemoryStore):
    """A store that counts its transactions, and can be away."""

    def __init__(self) -> None:
        super().__init__(clock=ManualClock(datetime(2026, 3, 1, tzinfo=UTC)), random=random.Random(1))
        self.transactions = 0
        self.away = False

    async def write(self, work: Any) -> Any:
        self.transactions += 1
        await asyncio.sleep(0)
        if self.away:
            raise StoreUnavailableError("away")
        return await super().write(work)


@pytest.fixture
async def store() -> CountedStore:
    store = CountedStore()
    await store.open()
    return store


@pytest.fixture
async def enqueuer(store: CountedStore) -> Enqueuer:
    return Enqueuer(store, asyncio.get_running_loop(), Enqueues())


def numbered(number: int, **options: Any) -> EnqueueRequest:
    return EnqueueRequest("h", {"n": number}, **options)


async def test_callers_at_once_share_a_transaction_and_each_gets_its_own(
    store: CountedStore, enqueuer: Enqueuer
) -> None:
    made = await asyncio.gather(*(enqueuer.enqueue(numbered(n)) for n in range(200)))
    assert [e.payload["n"] for e in made] == list(range(200))
    assert len({e.id for e in made}) == 200
    assert store.transactions <= 3
    found = await store.read(lambda tx: tx.executions.find(ExecutionQuery(limit=300)))
    assert {e.id for e in found} == {e.id for e in made}


async def test_one_that_is_refused_refuses_no_other(store: CountedStore, enqueuer: Enqueuer) -> None:
    await enqueuer.enqueue(numbered(0, idempotency_key="k"))
    calls = [enqueuer.enqueue(numbered(n, idempotency_key="k" if n == 2 else None)) for n in range(1, 5)]
    made = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(one) for one in made] == [Execution, IdempotencyConflictError, Execution, Execution]


async def test_the_same_key_twice_in_a_batch_makes_one(store: CountedStore, enqueuer: Enqueuer) -> None:
    made = await asyncio.gather(*(enqueuer.enqueue(numbered(1, idempotency_key="k")) for _ in range(5)))
    assert len({e.id for e in made}) == 1


async def test_a_cancelled_caller_takes_nobody_with_it(store: CountedStore, enqueuer: Enqueuer) -> None:
    first = asyncio.create_task(enqueuer.enqueue(numbered(1)))
    others = [asyncio.create_task(enqueuer.enqueue(numbered(n))) for n in (2, 3)]
    await asyncio.sleep(0)
    first.cancel()
    assert [e.payload["n"] for e in await asyncio.gather(*others)] == [2, 3]
    assert first.cancelled()


async def test_a_store_that_is_away_is_told_to_every_caller_and_comes_back(
    store: CountedStore, enqueuer: Enqueuer
) -> None:
    store.away = True
    told = await asyncio.gather(*(enqueuer.enqueue(numbered(n)) for n in range(5)), return_exceptions=True)
    assert {type(one) for one in told} == {StoreUnavailableError}
    store.away = False
    assert (await enqueuer.enqueue(numbered(9))).payload == {"n": 9}
