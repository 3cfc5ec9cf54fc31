"""Several engines on one PostgreSQL: any of them may die, and every instant and every execution is still had once."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from mainspring.adapters.sql.postgres import PostgresStore
from mainspring.errors import SchemaError
from mainspring.model.decision import Decision
from mainspring.moves.enqueue import EnqueueRequest, enqueue
from mainspring.ports.store import ExecutionQuery, Tx
from tests import servers
from tests.waiting import PATIENCE, auntil

APP = """
    import asyncio, os
    from mainspring import Context, Mainspring

    ms = Mainspring(os.environ["URL"], lease_ms=2000, heartbeat_ms=500, reap_ms=300, poll_ms=300, queues="default:50")

    def note(*words):
        with open("ledger.txt", "a") as file:
            file.write(" ".join(map(str, words)) + "\\n")

    @ms.handler()
    async def work(ctx: Context, n: int) -> int:
        note("start", n, ctx.fence)
        await asyncio.sleep(0.01)
        return n

    async def tick(ctx: Context) -> None:
        note("tick", ctx.job_name, ctx.scheduled_at.isoformat())

    handle = ms.handler("tick")(tick)
    for number in range(10):
        ms.every("1s", name=f"tick-{number}")(handle)

    if __name__ == "__main__":
        note("up")
        ms.run()
"""


def decisions_of(tx: Tx, job_id: str) -> list[Decision]:
    return tx.decisions.find(job_id, limit=1000)


@pytest.fixture
def url(postgres18_url: str) -> Iterator[str]:
    with servers.new_database(postgres18_url) as url:
        yield url


async def test_a_database_without_our_tables_is_told_so_and_migrating_it_twice_is_once(url):
    store = PostgresStore(url, random=random.Random(1))
    with pytest.raises(SchemaError, match="mainspring migrate"):
        await store.open()
    assert await store.migrate() is None
    assert await store.migrate() == await store.schema_version()
    await store.open()
    await store.close()


async def test_of_three_engines_one_is_killed_and_nothing_is_lost_or_doubled(url, tmp_path: Path):
    (tmp_path / "app.py").write_text(textwrap.dedent(APP))
    store = PostgresStore(url, random=random.Random(1))
    await store.migrate()
    await store.open()

    def ledger() -> list[list[str]]:
        file = tmp_path / "ledger.txt"
        return [line.split() for line in file.read_text().splitlines()] if file.exists() else []

    environ = {**os.environ, "URL": url}
    engines = [subprocess.Popen([sys.executable, "app.py"], cwd=tmp_path, env=environ) for _ in range(3)]
    try:

        def all_up() -> bool:
            return sum(row[0] == "up" for row in ledger()) == 3 and any(row[0] == "tick" for row in ledger())

        await auntil("three engines are up, and one works", all_up)
        for first in range(0, 1000, 200):
            requests = [EnqueueRequest("work", {"n": first + n}) for n in range(200)]
            await store.write(partial(enqueue, requests=requests))
        engines[0].kill()

        async def all_done() -> bool:
            found = await store.read(lambda tx: tx.executions.find(ExecutionQuery(handler="work", limit=2000)))
            return Counter(e.status for e in found) == {"success": 1000}

        await auntil("all is done", all_done)
        for engine in engines[1:]:
            engine.send_signal(signal.SIGTERM)
        assert [engine.wait(PATIENCE) for engine in engines[1:]] == [0, 0]
        found = await store.read(lambda tx: tx.executions.find(ExecutionQuery(handler="work", limit=2000)))
        assert sorted(e.result for e in found) == list(range(1000))
        starts = Counter(row[1] for row in ledger() if row[0] == "start")
        assert all(starts[str(e.payload["n"])] <= 1 + e.losses for e in found)
        assert max(Counter((row[1], row[2]) for row in ledger() if row[0] == "start").values()) == 1
        jobs = await store.read(lambda tx: tx.jobs.find("default", limit=100))
        assert len(jobs) == 10
        for job in jobs:
            at = job.created_at
            decisions = await store.read(partial(decisions_of, job_id=job.id))
            for decision in decisions[::-1]:
                assert (decision.scheduled_at - at).total_seconds() == 1.0, "none left out, none twice"
                at = decision.until_at or decision.scheduled_at
    finally:
        for engine in engines:
            if engine.poll() is None:
                engine.kill()
            engine.wait()
        await store.close()
