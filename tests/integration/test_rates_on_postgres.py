"""The rate of a queue while many admit at once: no span of its length holds more than it allows, wherever it begins."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from mainspring.adapters.sql.postgres import PostgresSettings, PostgresStore
from mainspring.model.node import Limit
from mainspring.moves.admit import promote
from mainspring.moves.enqueue import EnqueueRequest, enqueue
from mainspring.ports.store import Tx
from tests.integration.postgres_rig import url

__all__ = ["url"]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
RATE, SPAN = 7, timedelta(milliseconds=200)
#: How much is let through before the test looks: the rate is used up again and again meanwhile.
ENOUGH = 12 * RATE


class Fleet:
    """Dispatchers that promote and callers that enqueue, who note what has been let through, and when."""

    def __init__(self, stores: list[PostgresStore]) -> None:
        self.stores = stores
        #: (when, how many), of every transaction that let something through.
        self.admitted: set[tuple[datetime, int]] = set()
        self.asked = 0

    @property
    def total(self) -> int:
        return sum(count for _, count in self.admitted)

    async def run(self) -> None:
        """Go on until enough has been let through."""
        async with asyncio.TaskGroup() as group:
            for store in self.stores:
                group.create_task(self._again(store, lambda tx: promote(tx, 50)))
                group.create_task(self._again(store, self._enqueue))

    async def _again(self, store: PostgresStore, work: Callable[[Tx], Any]) -> None:
        def noted(tx: Tx) -> set[tuple[datetime, int]]:
            work(tx)
            return set(admissions(tx))  # the limit is still held: nobody has forgotten any of it yet

        while self.total < ENOUGH:
            self.admitted |= await store.write(noted)

    def _enqueue(self, tx: Tx) -> None:
        if self.asked < 2 * ENOUGH:  # more than is let through, and no more than that
            self.asked += 3
            enqueue(tx, [EnqueueRequest("h") for _ in range(3)])


def admissions(tx: Tx) -> list[tuple[datetime, int]]:
    """Return what the record says of the queue's rate."""
    connection: sa.Connection = tx.platforms._session.connection  # type: ignore[attr-defined]
    rows = connection.execute(sa.text("SELECT at, count FROM admissions ORDER BY at")).all()
    return [(EPOCH + timedelta(microseconds=at), count) for at, count in rows]


@pytest.mark.servers
async def test_no_span_of_time_holds_more_than_the_rate_whoever_admits(url: str) -> None:
    settings = PostgresSettings(pool_size=2)
    stores = [PostgresStore(url, random=Random(n), settings=settings) for n in range(3)]
    for store in stores:
        await store.open()
    limit = Limit("default", "queue", "default", rate=RATE, rate_per=SPAN.total_seconds())
    await stores[0].write(lambda tx: tx.platforms.put_limit(limit))
    fleet = Fleet(stores)
    async with asyncio.timeout(100):
        await fleet.run()
    for store in stores:
        await store.close()

    found = sorted(fleet.admitted)
    assert len(found) > 12, "let through in many transactions"
    for until, _ in found:
        held = sum(count for at, count in found if until - SPAN <= at <= until)
        assert held <= RATE, f"{held} let through in the {SPAN} up to {until}"
    with psycopg.connect(url) as connection:
        queued = connection.execute("SELECT count(*) FROM executions WHERE status = 'queued'").fetchone()
    assert queued == (fleet.total,), "each that was let through is queued, and no other"
