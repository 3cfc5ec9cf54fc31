"""Chains, rollups and the relay on real databases: exactly once with two at work, whoever dies in between."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mainspring.adapters.memory.wakeups import InProcessWakeups
from mainspring.adapters.sql.postgres import PostgresStore
from mainspring.adapters.sql.store import SqlStore
from mainspring.adapters.system import SystemClock
from mainspring.engine.relay import Relay
from mainspring.errors import BusUnavailableError
from mainspring.model.events import Event
from mainspring.model.execution import Actor, Cause, Execution
from mainspring.model.outcome import Succeeded
from mainspring.model.wire import definition_from_wire
from mainspring.moves.claim import claim
from mainspring.moves.end import Ended, settle_attempts
from mainspring.moves.enqueue import trigger
from mainspring.moves.jobs import create_job
from mainspring.moves.relay import TURN
from mainspring.moves.schedules import Schedules
from mainspring.ports.bus import Subscriber
from mainspring.ports.store import ExecutionQuery, Store
from tests import servers

MANY = 40


class Bus:
    """Remembers what it was given, in order; dies at times, before or after it has taken a part."""

    def __init__(self, seed: int, *, dies: float = 0.0) -> None:
        self.events: list[Event] = []
        self._random, self._dies = random.Random(seed), dies

    async def publish(self, events: Sequence[Event]) -> None:
        await asyncio.sleep(0)
        dies = self._random.random() < self._dies
        self.events += events[: self._random.randrange(len(events) + 1)] if dies else events
        if dies:
            kind = ConnectionError if self._random.random() < 0.5 else BusUnavailableError
            raise kind("the publisher died")

    def subscribe(self, pattern: str, subscriber: Subscriber) -> Callable[[], None]:
        raise AssertionError("nobody subscribes here")

    async def close(self) -> None:
        """Nothing to close."""


@asynccontextmanager
async def two_stores(kind: str, request: pytest.FixtureRequest, path: Path) -> AsyncIterator[list[Any]]:
    if kind == "sqlite":
        made: list[Any] = [SqlStore(path / "a.db", clock=SystemClock(), random=random.Random(n)) for n in range(2)]
        for store in made:
            await store.open()
        yield made
        for store in made:
            await store.close()
        return
    with servers.new_database(request.getfixturevalue(f"{kind}_url")) as url:
        made = [PostgresStore(url, random=random.Random(n), wakeups=InProcessWakeups()) for n in range(2)]
        await made[0].migrate()
        for store in made:
            await store.open()
        yield made
        for store in made:
            await store.close()


@pytest.fixture(params=["sqlite", "postgres16", "postgres18"])
async def stores(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[list[Store]]:
    """Two stores of one database, as two processes would have them."""
    async with two_stores(request.param, request, tmp_path) as made:
        yield made


async def put(store: Store, name: str, **fields: Any) -> str:
    wire = {"name": name, "type": "manual", "handler": "h", "overlap": "allow_all", **fields}
    changed = await store.write(lambda tx: create_job(tx, "default", definition_from_wire(wire)))
    return changed.job.id


async def run(store: Store, name: str, times: int) -> list[Execution]:
    """Trigger, claim and settle executions of a job, each end in a transaction of its own."""
    for _ in range(times):
        await store.write(lambda tx: trigger(tx, "default", name))
    lease = timedelta(seconds=60)
    claimed = await store.write(
        lambda tx: claim(tx, "w", queues={"default": times}, handlers=["h"], limit=times, lease=lease)
    )

    def settle(execution: Execution) -> Callable[[Any], Any]:
        return lambda tx: settle_attempts(tx, [Ended(execution, Succeeded())], Actor.WORKER)

    for execution in claimed:
        await store.write(settle(execution))
    return claimed


async def relay_until_done(relays: list[Relay], stores: list[Any]) -> None:
    """Let several relays work at once until nothing is unpublished; each may fail, as its bus does."""

    async def work(relay: Relay, store: Store) -> None:
        while await store.read(lambda tx: tx.outbox.unpublished(1)):
            try:
                # Now and then the turn is another's, as if its holder had died: both then publish.
                await store.write(lambda tx: tx.platforms.lease("relay", "nobody", tx.now))
                await relay.step()
            except (ConnectionError, BusUnavailableError):
                await asyncio.sleep(0.001)

    async with asyncio.timeout(60):
        await asyncio.gather(*(work(relay, store) for relay, store in zip(relays, stores, strict=True)))


async def test_chains_and_rollups_happen_once_and_events_keep_their_order(stores: list[Store]) -> None:
    first = await put(stores[0], "first", on_success=["second", "missing"])
    second = await put(stores[0], "second", handler="other")
    ended = await run(stores[0], "first", MANY)
    assert len(ended) == MANY
    buses = [Bus(n, dies=0.4) for n in range(2)]
    relays = [Relay(stores[n], buses[n], Schedules(), holder=f"d{n}", batch=7) for n in range(2)]
    await relay_until_done(relays, stores)

    found = await stores[1].read(lambda tx: tx.executions.find(ExecutionQuery(job_id=second, limit=1000)))
    causes = Counter((e.cause, (e.event or {})["execution"]["id"]) for e in found)
    assert causes == Counter((Cause.CHAIN, e.id) for e in ended)
    stats = await stores[1].read(lambda tx: tx.jobs.stats([first]))
    assert (stats[first].total, stats[first].success) == (MANY, MANY)
    for execution in ended:
        links = await stores[1].read(lambda tx, of=execution.id: tx.chains.of(of))  # type: ignore[misc]
        assert [(link.job, link.problem is None) for link in links] == [("missing", False), ("second", True)]

    subjects = {event.subject for bus in buses for event in bus.events}
    assert subjects >= {execution.id for execution in ended}
    assert TURN.total_seconds() < 10, "another dispatcher relays within the bound of recovery"
