"""The store in a SQLite file keeps the promises of the port, and a few of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from mainspring.adapters.sql.store import SqlStore
from mainspring.errors import StoreError
from mainspring.model.execution import Actor, Move, Status
from mainspring.testing.clock import ManualClock
from tests.contracts.store_contract import StoreContract
from tests.contracts.store_rows import an_execution


class TestSqliteStore(StoreContract):
    """`SqlStore` on SQLite."""

    @pytest.fixture
    async def store(self, clock: ManualClock, told: dict[str, Any], tmp_path: Path) -> AsyncIterator[SqlStore]:
        url = f"sqlite:///{tmp_path}/jobs.db"
        store = SqlStore(url, clock=clock, random=Random(1), record_transitions=True, **told)
        await store.open()
        yield store
        await store.close()

    async def test_transitions_are_not_recorded_unless_asked_for(self, clock: ManualClock, tmp_path: Path) -> None:
        store = SqlStore(tmp_path / "jobs.db", clock=clock, random=Random(1))
        await store.open()
        execution = an_execution(clock.now())
        move = Move(execution.id, Status.PENDING, Status.QUEUED, Actor.DISPATCHER)
        await store.write(lambda tx: tx.executions.add([execution]))
        await store.write(lambda tx: tx.executions.move([move]))
        assert await store.read(lambda tx: tx.executions.transitions()) == []
        await store.close()

    async def test_closing_and_opening_again_keeps_what_is_stored(self, store: SqlStore) -> None:
        await store.write(lambda tx: tx.platforms.put_note("colour", "green"))
        await store.close()
        await store.open()
        assert await store.read(lambda tx: tx.platforms.note("colour")) == "green"

    async def test_a_read_that_writes_is_told_so(self, store: SqlStore) -> None:
        with pytest.raises(StoreError, match="tried to write"):
            await store.read(lambda tx: tx.platforms.put_note("colour", "green"))

    async def test_the_store_s_clock_never_goes_back(self, store: SqlStore, clock: ManualClock) -> None:
        before = await store.write(lambda tx: tx.now)
        clock.set(before.replace(year=2020))
        assert await store.write(lambda tx: tx.now) == before
        assert await store.read(lambda tx: tx.now) == before
