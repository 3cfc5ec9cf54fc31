"""The whole engine as a process on one SQLite file: killed, stopped, taken over. Its handlers keep their own ledger."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from pathlib import Path

import pytest

from mainspring import Mainspring
from mainspring.app.node import Node
from mainspring.model.execution import Status
from mainspring.moves.enqueue import EnqueueRequest, enqueue
from mainspring.ports.store import ExecutionQuery
from tests.waiting import PATIENCE, auntil

APP = """
    import asyncio, os, sys, time
    from mainspring import Context, Mainspring

    ms = Mainspring("sqlite:///jobs.db", lease_ms=1500, heartbeat_ms=300, reap_ms=200, poll_ms=100)

    def note(*words):
        # One write of one line to a file opened for appending: what is there was done, whoever is killed after it.
        with open("ledger.txt", "a") as file:
            file.write(" ".join(map(str, words)) + "\\n")

    @ms.handler()
    async def work(ctx: Context, n: int) -> int:
        note("start", n, ctx.attempt, ctx.fence)
        await asyncio.sleep(0.01)
        note("end", n, ctx.attempt, ctx.fence)
        return n

    @ms.handler()
    def slow(ctx: Context, seconds: float) -> str:
        note("slow", ctx.attempt)
        until = time.monotonic() + seconds
        while time.monotonic() < until and not ctx.cancelled:
            time.sleep(0.02)
        return "cut short" if ctx.cancelled else "done"

    @ms.every("1s")
    async def tick(ctx: Context) -> None:
        note("tick", ctx.scheduled_at.isoformat())

    if __name__ == "__main__":
        note("up", os.getpid())
        ms.run()
"""


class House:
    """A directory with an app, and the processes that run it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "app.py").write_text(textwrap.dedent(APP))
        self.processes: list[subprocess.Popen[str]] = []

    def start(self) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "app.py"], cwd=self.path, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
        )
        self.processes.append(process)
        return process

    def ledger(self) -> list[list[str]]:
        file = self.path / "ledger.txt"
        return [line.split() for line in file.read_text().splitlines()] if file.exists() else []

    def has(self, lines: int) -> bool:
        return len(self.ledger()) >= lines

    def app(self) -> Mainspring:
        return Mainspring(self.path / "jobs.db", lease_ms=1500, heartbeat_ms=300)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    for process in house.processes:
        if process.poll() is None:
            process.kill()
        process.wait()
        if process.stderr is not None:
            process.stderr.close()


async def live_count(ms: Mainspring) -> int:
    store = await ms.open()
    return sum((await store.read(lambda tx: tx.executions.counts("default", 10_000))).values())


async def test_nothing_acknowledged_is_lost_or_recorded_twice_when_the_engine_is_killed_again_and_again(house, seed):
    import random

    chance = random.Random(seed)
    ms = house.app()
    store = await ms.open()
    requests = [EnqueueRequest("work", {"n": n}) for n in range(300)]
    made = await store.write(lambda tx: enqueue(tx, requests))
    for _ in range(2):  # what is lost a third time ends as poisoned
        process, before = house.start(), len(house.ledger())
        await auntil("it works", partial(house.has, before + chance.randint(20, 150)))
        process.kill()
        process.wait()
    house.start()
    ids = {e.id for e in made}

    async def all_ended() -> bool:
        found = await store.read(lambda tx: tx.executions.find(ExecutionQuery(handler="work", limit=1000)))
        return {e.id for e in found if e.status is Status.SUCCESS} == ids

    await auntil("all have ended", all_ended, 100)
    found = await store.read(lambda tx: tx.executions.find(ExecutionQuery(handler="work", limit=1000)))
    assert sorted(e.result for e in found) == list(range(300))
    starts = Counter(row[1] for row in house.ledger() if row[0] == "start")
    for execution in found:
        # Started again only where an attempt was lost with its process; each such loss is on record.
        assert starts[str(execution.payload["n"])] <= 1 + execution.losses
    fences = Counter((row[1], row[3]) for row in house.ledger() if row[0] == "start")
    assert max(fences.values()) == 1, "no two attempts share a fence"
    await ms.close()


async def test_each_due_instant_is_decided_once_across_a_kill(house):
    ms = house.app()
    first = house.start()
    await auntil("two ticks", lambda: sum(row[0] == "tick" for row in house.ledger()) >= 2)
    first.kill()
    first.wait()
    killed_after = len(house.ledger())
    house.start()
    await auntil("two more", lambda: sum(row[0] == "tick" for row in house.ledger()[killed_after:]) >= 2)
    store = await ms.open()
    job = await store.read(lambda tx: tx.jobs.get("default", "tick"))
    decisions = (await store.read(lambda tx: tx.decisions.find(job.id, limit=1000)))[::-1]
    at = job.created_at
    for decision in decisions:
        assert (decision.scheduled_at - at).total_seconds() == 1.0, "none left out, none twice"
        at = decision.until_at or decision.scheduled_at
    await ms.close()


async def test_sigterm_finishes_what_runs_and_a_second_one_gives_it_back(house):
    ms = house.app()
    store = await ms.open()
    process = house.start()
    (quick,) = await store.write(lambda tx: enqueue(tx, [EnqueueRequest("slow", {"seconds": 0.5})]))
    await auntil("it runs", lambda: ["slow", "1"] in house.ledger())
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 0
    assert (await store.read(lambda tx: tx.executions.get(quick.id))).result == "done"

    process, ups = house.start(), len(house.ledger())
    (long,) = await store.write(lambda tx: enqueue(tx, [EnqueueRequest("slow", {"seconds": 60})]))
    await auntil("it runs", lambda: ["slow", "1"] in house.ledger()[ups:])
    process.send_signal(signal.SIGTERM)
    workers = lambda: store.read(lambda tx: tx.nodes.workers())  # noqa: E731
    await auntil("it drains", lambda: _draining(workers))
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 0
    after = await store.read(lambda tx: tx.executions.get(long.id))
    # A thread can only be told: this one looked, and ended; what it returned counts.
    assert after.status in (Status.SUCCESS, Status.QUEUED)
    assert (after.attempt, after.failures, after.losses) in ((1, 0, 0), (0, 0, 0))
    await ms.close()


async def _draining(workers) -> bool:
    return any(worker.status == "draining" for worker in await workers())


async def test_a_second_engine_says_who_is_there_and_leaves(house):
    first = house.start()
    await auntil("a tick", lambda: any(row[0] == "tick" for row in house.ledger()))
    second = house.start()
    _, complaint = second.communicate(timeout=PATIENCE)
    assert second.returncode != 0
    assert f"process {first.pid}" in complaint
    assert first.poll() is None


async def test_on_standby_another_process_takes_over_when_the_engine_dies(house):
    first = house.start()
    await auntil("a tick", lambda: any(row[0] == "tick" for row in house.ledger()))
    ms = Mainspring(house.path / "jobs.db", lease_ms=1500, heartbeat_ms=300, poll_ms=50)
    ran = asyncio.Event()

    @ms.handler()
    async def tick() -> None:
        ran.set()

    async with ms.running():
        assert not ran.is_set()
        first.send_signal(signal.SIGKILL)
        async with asyncio.timeout(PATIENCE):
            await ran.wait()
    assert os.path.exists(house.path / "jobs.db")


async def test_the_only_engine_decides_nothing_while_it_drains(tmp_path: Path) -> None:
    """Found by a newcomer: what a draining engine decided nobody ran, and so the next instant was skipped."""
    ms = Mainspring(tmp_path / "jobs.db", poll_ms=50)
    busy, done = asyncio.Event(), asyncio.Event()

    @ms.every("1s")
    async def tick() -> None: ...

    @ms.handler()
    async def long() -> None:
        busy.set()
        await done.wait()

    async def next_due() -> datetime:
        found = await ms.store.read(lambda tx: tx.jobs.next_due_at())
        assert found is not None
        return found

    async def is_up() -> bool:
        return nodes[0].dispatcher is not None and busy.is_set()

    async def is_draining() -> bool:
        return nodes[0].dispatcher is not None and nodes[0].dispatcher.held

    async def is_due() -> bool:
        return await ms.store.read(lambda tx: tx.now) > due

    async def is_decided() -> bool:
        return (await ms.scheduler().get_job("tick")).job.cursor_at >= due

    stop = asyncio.Event()
    nodes: list[Node] = []
    serving = asyncio.create_task(ms.serve(stop=stop, on_node=nodes.append))
    run = await long.aenqueue()
    await auntil("it is up", is_up)
    stop.set()
    await auntil("it drains", is_draining)
    due = await next_due()
    await auntil("the next instant is due", is_due)
    dispatcher = nodes[0].dispatcher
    assert dispatcher is not None
    assert await dispatcher.planning.step() is None
    assert await next_due() == due, "it is still to be decided"
    done.set()
    await serving
    assert (await run.arefresh()).status is Status.SUCCESS

    async with ms.running():
        await auntil("it is decided", is_decided)
        decided = await ms.scheduler().decisions("tick", since=due)
    assert (decided[-1].scheduled_at, decided[-1].decision) == (due, "dispatched")
