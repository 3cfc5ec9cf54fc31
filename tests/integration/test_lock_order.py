"""No two transactions wait for each other: everybody waits in one order, so PostgreSQL finds no deadlock to undo."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta
from random import Random
from typing import Any

import psycopg

from mainspring.adapters.sql.postgres import PostgresSettings, PostgresStore
from mainspring.errors import MainspringError
from mainspring.model.execution import Actor, Execution, Status
from mainspring.model.node import Limit
from mainspring.model.outcome import Failed, Outcome, Snoozed, Succeeded
from mainspring.model.wire import definition_from_wire
from mainspring.moves.admit import promote
from mainspring.moves.cancel import cancel
from mainspring.moves.claim import claim
from mainspring.moves.end import Ended, settle_attempts
from mainspring.moves.enqueue import EnqueueRequest, enqueue, trigger
from mainspring.moves.events import publish
from mainspring.moves.jobs import create_jobs, pause_job, resume_job
from mainspring.moves.plan import plan_due
from mainspring.moves.reap import reap
from mainspring.moves.relay import mark_published, take_unpublished
from mainspring.moves.retain import Retention, retain
from mainspring.moves.schedules import Schedules
from mainspring.ports.store import ExecutionQuery, Tx
from tests.contracts.store_rows import a_job, add, add_job, an_execution, of_job
from tests.integration.postgres_rig import store, url
from tests.integration.test_postgres_pitfalls import Held, waiting
from tests.locks import WatchedStore

__all__ = ["store", "url"]

PLATFORMS = ("acme", "default")
#: Limits of each platform: what is queued or running in all, in its one queue, and under one key.
RUNNING, QUEUED, KEYED = 12, 10, 3
POLICIES = ("terminate_other", "cancel_other", "buffer_one", "skip", "buffer_all", "allow_all")
#: Jobs of which only one execution may be active; `allow_all` has no bound.
ONE_AT_A_TIME = frozenset(f"job-{n}" for n in range(12) if POLICIES[n % len(POLICIES)] != "allow_all")


def deadlocks(url: str) -> int:
    """How many deadlocks the server has found in this database; what others have counted is in by now."""
    with psycopg.connect(url, autocommit=True) as admin:
        others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        while admin.execute(others).fetchone() != (0,):
            pass  # a session hands in what it has counted when it ends
        row = admin.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()").fetchone()
        assert row is not None
        return int(row[0])


async def test_promoting_waits_for_a_job_that_is_planned_before_it_holds_what_planning_may_stop(
    store: PostgresStore, url: str
) -> None:
    """Once each locked first what the other came to want: planning the job, promoting the execution."""
    now = await store.read(lambda tx: tx.now)
    job = await add_job(store, a_job(now, overlap="terminate_other", next_run_at=now, handler="h"))
    due = an_execution(now, Status.RETRYING, **of_job(job))
    waits = an_execution(now, Status.PENDING, blocked_by="overlap", buffered=True, **of_job(job))
    await add(store, due, waits)

    planning = Held(lambda tx: tx.jobs.due(10))

    def plan(tx: Tx) -> Execution | None:
        assert [found.id for found in planning(tx)] == [job.id]
        return tx.executions.get(due.id, lock=True)

    planned = asyncio.create_task(store.write(plan))
    await asyncio.to_thread(planning.inside.wait, 30)
    promoting = asyncio.create_task(store.write(promote))
    await waiting(url)
    planning.leave.set()
    found = await planned
    assert found is not None
    assert found.status is Status.RETRYING, "promoting held nothing yet"
    assert await promoting == 1
    await store.close()
    assert deadlocks(url) == 0


async def test_of_two_that_promote_at_once_the_second_counts_what_the_first_has_let_through(
    store: PostgresStore, url: str
) -> None:
    now = await store.read(lambda tx: tx.now)
    job = await add_job(store, a_job(now, overlap="buffer_all", handler="h"))
    held = [an_execution(now, blocked_by="overlap", buffered=True, **of_job(job)) for _ in range(2)]
    await add(store, *held)
    first = Held(promote)
    one = asyncio.create_task(store.write(first))
    await asyncio.to_thread(first.inside.wait, 30)
    other = asyncio.create_task(store.write(promote))
    await waiting(url)
    first.leave.set()
    assert (await one, await other) == (1, 0)


async def test_two_who_use_the_same_keys_at_once_get_the_same_executions(store: PostgresStore, url: str) -> None:
    """The second is told what the first made, although the key was nobody's when it looked."""
    requests = [EnqueueRequest("h", {"n": n}, idempotency_key=key) for n, key in enumerate(("b", "a"))]
    first = Held(lambda tx: enqueue(tx, requests))
    one = asyncio.create_task(store.write(first))
    await asyncio.to_thread(first.inside.wait, 30)
    other = asyncio.create_task(store.write(lambda tx: enqueue(tx, requests[::-1])))
    await waiting(url)
    first.leave.set()
    assert [e.id for e in await one] == [e.id for e in reversed(await other)]
    assert len(await store.read(lambda tx: tx.executions.find(ExecutionQuery(handler="h")))) == 2


class Fleet:
    """Everybody who writes, each in a loop of its own, as often as it can."""

    def __init__(self, stores: list[WatchedStore]) -> None:
        self.stores, self.random = stores, random.Random(7)
        self.schedules = Schedules()
        self.done: dict[str, int] = {}
        self.stopping = False
        self._did = asyncio.Event()
        self.looks = 0

    async def run(self, times: int) -> None:
        """Let all of them loose on each other until each has done its work so many times."""
        loops = [
            self._loop(name, self.stores[n % len(self.stores)], work)
            for n, (name, work) in enumerate(self._works() * 2)
        ]
        async with asyncio.TaskGroup() as group:
            for loop in loops:
                group.create_task(loop)
            while any(self.done.get(name, 0) < times for name, _ in self._works()):
                await self._did.wait()
                self._did.clear()
            self.stopping = True

    async def _loop(self, name: str, store: WatchedStore, work: Callable[[WatchedStore], Awaitable[Any]]) -> None:
        while not self.stopping:
            try:
                await work(store)
            except MainspringError as error:
                if error.code in ("store_error", "store_unavailable"):
                    raise
            self.done[name] = self.done.get(name, 0) + 1
            self._did.set()

    def _works(self) -> list[tuple[str, Callable[[WatchedStore], Awaitable[Any]]]]:
        return [
            ("plan", lambda s: s.write(lambda tx: plan_due(tx, self.schedules, "d", limit=30))),
            ("promote", lambda s: s.write(lambda tx: promote(tx, 30))),
            ("work", self._work),
            ("reap", lambda s: s.write(lambda tx: reap(tx, grace=timedelta(0), draws=[0.5]))),
            ("relay", lambda s: s.write(self._relay)),
            ("trigger", lambda s: s.write(lambda tx: trigger(tx, self._platform(), self._name()))),
            ("publish", lambda s: s.write(lambda tx: publish(tx, self._platform(), "thing.happened"))),
            ("cancel", self._cancel),
            ("pause", self._pause),
            ("enqueue", lambda s: s.write(self._enqueue)),
            ("look", self._look),
            ("retain", lambda s: s.write(lambda tx: retain(tx, Retention(executions=timedelta(0))))),
        ]

    async def _look(self, store: WatchedStore) -> None:
        """See in one snapshot that no limit and no job's slots are passed at any moment, whoever admits meanwhile."""
        query = [Status.QUEUED, Status.RUNNING, Status.RETRYING, Status.WAITING]

        def work(tx: Tx) -> None:
            for platform in PLATFORMS:
                found = tx.executions.find(ExecutionQuery(platform, statuses=tuple(query), limit=5_000))
                occupying = [e for e in found if e.status in (Status.QUEUED, Status.RUNNING)]
                assert len(occupying) <= RUNNING
                assert sum(e.queue == "default" for e in occupying) <= QUEUED
                assert sum(e.concurrency_key == "k" for e in occupying) <= KEYED
                active = Counter(e.job_name for e in found if e.job_name in ONE_AT_A_TIME)
                assert max(active.values(), default=0) <= 1, active

        await store.read(work)
        self.looks += 1

    def _platform(self) -> str:
        return self.random.choice(PLATFORMS)

    def _name(self) -> str:
        return f"job-{self.random.randrange(12)}"

    async def _work(self, store: WatchedStore) -> None:
        worker = f"w{self.random.randrange(4)}"
        claimed = await store.write(
            lambda tx: claim(tx, worker, queues={"default": 40}, handlers=["h"], limit=40, lease=timedelta(seconds=1))
        )
        outcomes: list[Outcome] = [
            Succeeded(1),
            Succeeded(1, {"tokens": 1}),
            Failed({"type": "E", "message": "m", "traceback": ""}),
            Snoozed(timedelta(milliseconds=50)),
        ]
        ended = [Ended(e, self.random.choice(outcomes), 0.0) for e in claimed if self.random.random() < 0.9]
        self.random.shuffle(ended)
        await store.write(lambda tx: tx.executions.renew(worker, tx.now + timedelta(seconds=1)))
        await store.write(lambda tx: settle_attempts(tx, ended, Actor.WORKER))

    def _relay(self, tx: Tx) -> None:
        mark_published(tx, self.schedules, take_unpublished(tx, 40))

    def _enqueue(self, tx: Tx) -> None:
        requests = [
            EnqueueRequest(
                "h",
                platform_id=self._platform(),
                concurrency_key=self.random.choice([None, "k"]),
                concurrency_limit=None,
                idempotency_key=self.random.choice([None, f"key-{self.random.randrange(1000)}"]),
            )
            for _ in range(5)
        ]
        enqueue(tx, requests)

    async def _cancel(self, store: WatchedStore) -> None:
        query = ExecutionQuery(statuses=(Status.PENDING, Status.QUEUED, Status.RUNNING, Status.RETRYING), limit=20)
        live = await store.read(lambda tx: tx.executions.find(query))
        if live:
            chosen, force = self.random.choice(live).id, self.random.random() < 0.5
            await store.write(lambda tx: cancel(tx, chosen, force=force))

    async def _pause(self, store: WatchedStore) -> None:
        platform, name = self._platform(), self._name()
        await store.write(lambda tx: pause_job(tx, self.schedules, platform, name, reason="test"))
        await store.write(lambda tx: resume_job(tx, self.schedules, platform, name, catch_up=True))


def definitions() -> list[dict[str, Any]]:
    """Twelve jobs of every overlap policy, which start each other and hear the same events."""
    made: list[dict[str, Any]] = []
    for number in range(12):
        fields: dict[str, Any] = {
            "name": f"job-{number}",
            "handler": "h",
            "overlap": POLICIES[number % len(POLICIES)],
            "retry": {"max_retries": 2, "retry_delay_ms": 10},
            "on_success": [f"job-{(number + 5) % 12}"] if number % 4 == 0 else [],
            "pause_after_failures": 3 if number % 5 == 0 else None,
            "type": "event" if number % 3 == 0 else "recurring",
            "schedule": {"events": ["thing.*"]} if number % 3 == 0 else {"every_ms": 1000},
        }
        made.append({key: value for key, value in fields.items() if value is not None})
    return made


async def test_everybody_at_once_meets_no_deadlock_and_passes_no_limit(url: str) -> None:
    """Planning, promoting, working, reaping, relaying and people, on the same few jobs under the same limits."""
    stores = [PostgresStore(url, random=Random(n), settings=PostgresSettings(pool_size=6)) for n in range(2)]
    for each in stores:
        await each.open()
    watches = [WatchedStore(store) for store in stores]

    def set_up(tx: Tx) -> None:
        for platform in PLATFORMS:
            create_jobs(tx, platform, [definition_from_wire(fields) for fields in definitions()])
            tx.platforms.put_limit(Limit(platform, "key", "k", max_running=KEYED))
            tx.platforms.put_limit(Limit(platform, "platform", max_running=RUNNING))
            tx.platforms.put_limit(Limit(platform, "queue", "default", max_running=QUEUED, rate=500, rate_per=1.0))

    await stores[0].write(set_up)
    fleet = Fleet(watches)
    async with asyncio.timeout(100):
        await fleet.run(40)
    for each in stores:
        await each.close()
    assert [wrong for watch in watches for wrong in watch.wrong] == []
    assert deadlocks(url) == 0
