"""The store in dictionaries keeps the promises of the port, and a few of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from random import Random
from typing import Any

import pytest

from mainspring.adapters.memory import MemoryStore
from mainspring.errors import StoreError
from mainspring.model.execution import Actor, Move, Status
from mainspring.ports.store import Tx
from mainspring.testing.clock import ManualClock
from tests.contracts.store_contract import StoreContract
from tests.contracts.store_rows import an_execution


class TestMemoryStore(StoreContract):
    """`MemoryStore`."""

    @pytest.fixture
    async def store(self, clock: ManualClock, told: dict[str, Any]) -> AsyncIterator[MemoryStore]:
        store = MemoryStore(clock, random=Random(1), record_transitions=True, **told)
        await store.open()
        yield store
        await store.close()

    async def test_without_options_no_transition_is_recorded_and_nobody_woken(self, clock: ManualClock) -> None:
        store = MemoryStore(clock, random=Random(1))
        await store.open()
        execution = an_execution(clock.now())
        move = Move(execution.id, Status.PENDING, Status.QUEUED, Actor.DISPATCHER)
        await store.write(lambda tx: tx.executions.add([execution]))
        await store.write(lambda tx: tx.executions.move([move]))
        await store.write(lambda tx: tx.wake("queued"))  # and nobody to tell
        assert await store.read(lambda tx: tx.executions.transitions()) == []

    async def test_closing_and_opening_again_keeps_what_is_stored(self, store: MemoryStore) -> None:
        await store.write(lambda tx: tx.platforms.put_note("colour", "green"))
        await store.close()
        await store.open()
        assert await store.read(lambda tx: tx.platforms.note("colour")) == "green"

    async def test_a_read_that_writes_is_told_so(self, store: MemoryStore) -> None:
        with pytest.raises(StoreError):
            await store.read(lambda tx: tx.platforms.put_note("colour", "green"))

    async def test_a_transaction_kept_after_its_work_cannot_write(self, store: MemoryStore) -> None:
        kept: list[Tx] = []
        await store.write(kept.append)
        with pytest.raises(StoreError):
            kept[0].platforms.put_note("colour", "green")

    async def test_work_that_calls_its_own_store_is_told_so(self, store: MemoryStore) -> None:
        def nested(tx: Tx) -> None:
            tx.platforms.put_note("colour", "green")
            store.write_blocking(lambda inner: inner.platforms.put_note("colour", "red"))

        with pytest.raises(StoreError):
            await store.write(nested)
        assert await store.read(lambda tx: tx.platforms.note("colour")) is None

    async def test_the_same_seed_gives_the_same_ids(self, clock: ManualClock) -> None:
        async def ids() -> list[str]:
            store = MemoryStore(clock, random=Random(5))
            await store.open()
            return await store.write(lambda tx: tx.new_ids(3))

        assert await ids() == await ids()
