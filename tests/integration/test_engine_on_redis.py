"""Two workers and a dispatcher over PostgreSQL and Redis Streams, whose server forgets everything again and again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from random import Random

import pytest
import redis

from mainspring import Mainspring
from mainspring.adapters.sql.postgres import PostgresStore
from mainspring.model.execution import Execution
from mainspring.moves.enqueue import EnqueueRequest, enqueue
from mainspring.ports.store import ExecutionQuery
from tests import servers
from tests.waiting import PATIENCE, auntil

pytestmark = [pytest.mark.servers, pytest.mark.slow, pytest.mark.timeout(300)]

#: Seconds for what a fleet has to do while its server of streams forgets everything.
WITHIN = 240.0

APP = """
    import asyncio, os, sys
    from mainspring import Context, Mainspring
    from mainspring.app.wiring import Roles

    ms = Mainspring(
        os.environ["URL"], redis_url=os.environ["REDIS"], lease_ms=3000, heartbeat_ms=800, reap_ms=300,
        reconcile_ms=500, queues="default:20,mail:5",
    )

    def note(*words):
        with open("ledger.txt", "a") as file:
            file.write(" ".join(map(str, words)) + "\\n")

    @ms.handler()
    async def work(ctx: Context, n: int) -> int:
        note("start", n, ctx.fence)
        await asyncio.sleep(0.005)
        return n

    @ms.handler()
    async def mail(ctx: Context, n: int) -> int:
        note("start", n, ctx.fence)
        return n

    if __name__ == "__main__":
        ms.run(Roles(dispatcher=sys.argv[1] == "dispatcher", worker=sys.argv[1] == "worker"))
"""


class Fleet:
    """The processes of one test, their database, and the ledger their handlers write."""

    def __init__(self, where: Path, environ: dict[str, str], store: PostgresStore) -> None:
        self._where, self._environ, self.store = where, environ, store
        self.nodes: list[subprocess.Popen[bytes]] = []
        self.spawned: list[subprocess.Popen[bytes]] = []

    async def start(self, role: str) -> subprocess.Popen[bytes]:
        """Start a node and wait until it runs; one that cannot start is started again, as a supervisor would."""
        before = await self._running()
        node = self._spawn(role)

        async def runs() -> bool:
            nonlocal node
            if node.poll() is not None:
                node = self._spawn(role)
            return await self._running() > before

        await auntil(f"one more {role} runs", runs, WITHIN)
        self.nodes.append(node)
        return node

    def _spawn(self, role: str) -> subprocess.Popen[bytes]:
        self.spawned.append(subprocess.Popen([sys.executable, "app.py", role], cwd=self._where, env=self._environ))
        return self.spawned[-1]

    async def _running(self) -> int:
        return await self.store.read(lambda tx: len(tx.nodes.workers()) + len(tx.nodes.dispatchers()))

    def ledger(self) -> list[list[str]]:
        file = self._where / "ledger.txt"
        return [line.split() for line in file.read_text().splitlines()] if file.exists() else []

    def started(self) -> int:
        return sum(row[0] == "start" for row in self.ledger())

    async def put(self, first: int, count: int) -> None:
        requests = [
            EnqueueRequest("mail", {"n": n}, queue="mail", priority=n % 10)
            if n % 5 == 0
            else EnqueueRequest("work", {"n": n}, priority=n % 10)
            for n in range(first, first + count)
        ]
        await self.store.write(partial(enqueue, requests=requests))

    async def executions(self) -> list[Execution]:
        query = ExecutionQuery(limit=10_000)
        return await self.store.read(lambda tx: tx.executions.find(query))

    async def done(self, count: int) -> bool:
        found = await self.executions()
        return Counter(execution.status for execution in found) == {"success": count}

    def nothing_lost_or_doubled(self, executions: list[Execution], count: int) -> None:
        assert sorted(execution.result for execution in executions) == list(range(count))
        starts = [(row[1], row[2]) for row in self.ledger() if row[0] == "start"]
        assert max(Counter(starts).values()) == 1, "no fence started twice"
        tries = Counter(n for n, _ in starts)
        assert all(tries[str(execution.result)] <= 1 + execution.losses for execution in executions)


@pytest.fixture
def valkey() -> Iterator[servers.Server]:
    with servers.valkey() as server:
        yield server


@pytest.fixture
async def fleet(postgres18_url: str, valkey: servers.Server, tmp_path: Path) -> AsyncIterator[Fleet]:
    (tmp_path / "app.py").write_text(textwrap.dedent(APP))
    with servers.new_database(postgres18_url) as url:
        store = PostgresStore(url, random=Random(1))
        await store.migrate()
        ms = Mainspring(url, redis_url=valkey.url)
        assert ms.settings.chosen_transport == "redis"
        announcing = PostgresStore(url, random=Random(1), announcer=ms.transport)
        await announcing.open()
        await ms.transport.open()
        fleet = Fleet(tmp_path, {**os.environ, "URL": url, "REDIS": valkey.url}, announcing)
        try:
            yield fleet
        finally:
            for node in fleet.spawned:
                if node.poll() is None:
                    node.kill()
                node.wait()
            await announcing.close()
            await ms.close()


async def test_a_server_that_is_flushed_again_and_again_loses_and_doubles_nothing(
    fleet: Fleet, valkey: servers.Server
) -> None:
    for role in ("worker", "worker", "dispatcher"):
        await fleet.start(role)
    with contextlib.closing(redis.Redis.from_url(valkey.url)) as client:
        for batch in range(10):
            await fleet.put(batch * 80, 80)
            client.flushall()
            await asyncio.sleep(0.1)
            client.flushall()
        await auntil("800 are done", partial(fleet.done, 800), WITHIN)
        await fleet.put(800, 1)
        await auntil("801 are done", partial(fleet.done, 801), WITHIN)
        assert client.exists("stream:scheduler:job.dispatch"), "the streams were used to the end"
    for node in fleet.nodes:
        node.send_signal(signal.SIGTERM)
    assert [node.wait(PATIENCE) for node in fleet.nodes] == [0, 0, 0]
    fleet.nothing_lost_or_doubled(await fleet.executions(), 801)


async def test_a_server_that_is_killed_and_a_worker_that_is_killed_with_it_lose_nothing(
    fleet: Fleet, valkey: servers.Server
) -> None:
    doomed = await fleet.start("worker")
    for role in ("worker", "dispatcher"):
        await fleet.start(role)
    await fleet.put(0, 200)
    await auntil("20 have started", lambda: fleet.started() > 20, WITHIN)
    valkey.kill()
    doomed.kill()
    await fleet.put(200, 200)
    await auntil("200 have started", lambda: fleet.started() > 200, WITHIN)
    valkey.start()
    await fleet.put(400, 100)
    await auntil("500 are done", partial(fleet.done, 500), WITHIN)
    fleet.nothing_lost_or_doubled(await fleet.executions(), 500)
