"""Event jobs while many publish at once on a real database: one decision per event, and limits that hold exactly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest

from mainspring.adapters.sql.postgres import PostgresStore
from mainspring.adapters.sql.store import SqlStore
from mainspring.adapters.system import SystemClock
from mainspring.model.decision import Decision, Verdict
from mainspring.model.wire import definition_from_wire
from mainspring.moves.events import publish
from mainspring.moves.jobs import create_job
from mainspring.moves.plan import plan_due
from mainspring.moves.schedules import Schedules
from mainspring.ports.store import Store
from tests import servers
from tests.waiting import auntil

PUBLISHERS, EACH = 8, 15


@pytest.fixture(params=["sqlite", "postgres"])
async def stores(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[list[Store]]:
    """Two stores of one database, as two processes would have them."""
    if request.param == "sqlite":
        made: list[Any] = [SqlStore(tmp_path / "a.db", clock=SystemClock(), random=Random(n)) for n in range(2)]
        for store in made:
            await store.open()
        yield made
    else:
        with servers.new_database(request.getfixturevalue("postgres18_url")) as url:
            made = [PostgresStore(url, random=Random(n)) for n in range(2)]
            await made[0].migrate()
            for store in made:
                await store.open()
            yield made
            for store in made:
                await store.close()
        return
    for store in made:
        await store.close()


async def put(store: Store, name: str, **schedule: Any) -> str:
    wire = {"name": name, "type": "event", "handler": "h", "overlap": "allow_all"}
    definition = definition_from_wire({**wire, "schedule": {"events": ["a.*"], **schedule}})
    changed = await store.write(lambda tx: create_job(tx, "default", definition))
    return changed.job.id


async def ledger(store: Store, job_id: str) -> list[Decision]:
    return await store.read(lambda tx: tx.decisions.find(job_id, limit=10_000))


async def test_limits_hold_and_every_event_is_decided_once_whoever_publishes(stores: list[Store]) -> None:
    limited = await put(stores[0], "limited", max_executions=7)
    throttled = await put(stores[0], "throttled", throttle={"limit": 5, "per_ms": 3_600_000})
    debounced = await put(stores[0], "debounced", debounce_ms=50)
    filtered = await put(stores[0], "filtered", filter={"data": {"n": [{"numeric": ["<", 10]}]}})

    async def publisher(number: int) -> None:
        store, schedules = stores[number % 2], Schedules()
        for n in range(EACH):
            # Every event is published by two, of whom one is told that it is a duplicate.
            name = f"{number // 2}-{n}"
            await store.write(
                partial(
                    publish, platform_id="default", event_type="a.b", data={"n": n}, event_id=name, schedules=schedules
                )
            )

    stopping = asyncio.Event()

    async def planner(store: Store) -> None:
        while not stopping.is_set():
            await store.write(lambda tx: plan_due(tx, Schedules(), "d"))
            await asyncio.sleep(0.01)

    planners = [asyncio.create_task(planner(store)) for store in stores]
    await asyncio.gather(*(publisher(number) for number in range(PUBLISHERS)))

    async def decided() -> bool:
        return not await stores[0].read(lambda tx: tx.inbox.pending([debounced]))

    await auntil("every event is decided", decided)
    stopping.set()
    await asyncio.gather(*planners)

    every = {f"mainspring#{p}-{n}" for p in range(PUBLISHERS // 2) for n in range(EACH)}
    assert sum(d.decision.runs for d in await ledger(stores[0], limited)) == 7
    assert len(await ledger(stores[0], limited)) == 7, "it is completed, and hears nothing more"
    of_throttled = await ledger(stores[0], throttled)
    assert {d.key for d in of_throttled} == every
    assert sum(d.decision.runs for d in of_throttled) == 5
    of_debounced = await ledger(stores[0], debounced)
    assert {d.key for d in of_debounced} == every
    assert len(of_debounced) == len(every)
    ran = [d for d in of_debounced if d.decision is Verdict.DISPATCHED]
    assert ran
    # By itself, and not from one to the next: an event whose transaction began before that run and waited for the job
    # until after it was not there to be seen, and is a burst of its own.
    assert all(d.decided_at - d.scheduled_at >= timedelta(milliseconds=50) for d in ran)
    assert {d.key for d in await ledger(stores[0], filtered)} == {k for k in every if int(k.split("-")[1]) < 10}
