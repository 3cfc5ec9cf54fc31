"""What an adapter of one engine has to offer, and the commands the benchmark gives it.

An adapter is a program of its own that runs in its engine's own environment: `python -m benchmarks.adapters.saq work`.
What it finds out it prints as one line of JSON. Standard library only.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, NoReturn

from benchmarks import tally
from benchmarks.errors import BenchmarkError

#: A hundred bytes of JSON.
PAYLOAD = {"text": "x" * 89}
#: Seconds to wait for one job of an idle worker: far more than the slowest poll.
PATIENCE = 60.0

#: Seconds after each whole one at which this peer's schedules are due. Each has its own, so that peers measured at the
#: same time do not wait for each other.
MOMENT = float(os.environ.get("BENCH_MOMENT", "0"))

_tally = tally.Tally(Path(os.environ.get("BENCH_TALLY", ".")))
#: What every handler does, and all it does.
hit = _tally.hit


def url(name: str) -> str:
    """Return the address of a server the benchmark started: ``postgres`` or ``redis``."""
    return os.environ[f"BENCH_{name.upper()}_URL"]


def directory() -> Path:
    """Return a directory of this run's own, for files."""
    return Path(os.environ["BENCH_DIRECTORY"])


class Adapter:
    """One engine. A client has been opened before anything is asked of it but `prepare` and `work`."""

    #: Calls of `enqueue` in flight where an engine has no call for many jobs.
    in_flight = 200

    async def prepare(self) -> None:
        """Make the tables, once, in an empty database."""

    async def open(self) -> None:
        """Connect as a client."""

    async def open_embedded(self) -> None:
        """Connect, and start the engine in this process; `close` ends it as well."""
        self._lacks("an engine inside the client's process")

    async def close(self) -> None:
        """Let go of what `open` took."""

    async def enqueue(self) -> None:
        """Enqueue one job; return when the engine's own call says that it has it."""
        self._lacks("a call for one job")

    async def enqueue_many(self, jobs: int) -> None:
        """Enqueue jobs by the engine's fastest public way."""
        for begin in range(0, jobs, self.in_flight):
            await asyncio.gather(*(self.enqueue() for _ in range(min(self.in_flight, jobs - begin))))

    async def schedule(self, schedules: int) -> None:
        """Have that many schedules run the job each second from now on, `MOMENT` after the whole one."""
        self._lacks("schedules")

    async def create(self, schedules: int) -> None:
        """Create schedules that are far from due, by the engine's fastest public way."""
        self._lacks("schedules")

    async def store(self, schedules: int) -> None:
        """Have schedules that are far from due lie in the database, however they get there."""
        self._lacks("schedules in a database")

    async def due_at(self, instant: float, schedules: int) -> None:
        """Have schedules that are due once, all at the same instant (Unix time)."""
        self._lacks("schedules for one instant")

    async def planning_ms(self) -> float:
        """Return how long one look for what is due takes."""
        self._lacks("a look for what is due to time")

    async def history(self, executions: int) -> None:
        """Have executions that have ended lie in the database, however they get there."""
        self._lacks("a history")

    async def succeeded(self) -> int:
        """Return how many executions have ended well."""
        self._lacks("a count of what ended well")

    async def undecided(self) -> bool:
        """Return whether an instant is due for which no decision is recorded yet."""
        self._lacks("a record of decisions")

    async def outstanding(self) -> int:
        """Return how many jobs have no final record yet; raise where one ended other than well."""
        return 0

    def work(self, fill: int) -> None:
        """Work until SIGTERM.

        Where the queue dies with the process, first put ``fill`` jobs into it, say the seconds that took, and wait for
        the word.
        """
        self._lacks("a worker of its own")

    def _lacks(self, what: str) -> NoReturn:
        raise BenchmarkError(f"{type(self).__name__} has not {what}: the catalogue is not to ask it for that")


def main(adapter: Adapter) -> None:
    """Obey the command line."""
    command, *numbers = sys.argv[1:]
    given = [int(number) for number in numbers]
    if command == "work":
        adapter.work(*given or [0])
    elif command == "prepare":
        asyncio.run(adapter.prepare())
    else:
        say(asyncio.run(_as_client(adapter, command, given)))


def wait_for_word() -> None:
    """Wait until the benchmark says go."""
    sys.stdin.readline()


def say(found: dict[str, Any]) -> None:
    """Give the benchmark a finding."""
    print(json.dumps(found), flush=True)


async def _as_client(adapter: Adapter, command: str, numbers: list[int]) -> dict[str, Any]:
    await (adapter.open_embedded() if command.startswith("embedded") else adapter.open())
    try:
        return await COMMANDS[command](adapter, *numbers)
    finally:
        await adapter.close()


async def _fill(adapter: Adapter, jobs: int) -> dict[str, Any]:
    begun = time.perf_counter()
    await adapter.enqueue_many(jobs)
    return {"seconds": time.perf_counter() - begun}


async def _one_at_a_time(adapter: Adapter, jobs: int, callers: int) -> dict[str, Any]:
    """Enqueue by concurrent callers, each waiting for its own call before the next."""

    async def caller() -> None:
        for _ in range(jobs // callers):
            await adapter.enqueue()

    await adapter.enqueue()
    begun = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(callers)))
    return {"seconds": time.perf_counter() - begun, "jobs": jobs // callers * callers}


async def _latency(adapter: Adapter, jobs: int) -> dict[str, Any]:
    """Enqueue one job at a time to an idle worker, from before the call to the handler's first line."""
    for _ in range(20):
        await _one_latency(adapter)
    return {"ms": [await _one_latency(adapter) for _ in range(jobs)]}


async def _one_latency(adapter: Adapter) -> float:
    place = Path(os.environ["BENCH_TALLY"])
    await asyncio.sleep(random.uniform(0.002, 0.02))
    before, begun = tally.total(place), time.monotonic_ns()
    await adapter.enqueue()
    while tally.total(place) <= before:
        if time.monotonic_ns() - begun > PATIENCE * 1e9:
            raise TimeoutError(f"no worker began the job within {PATIENCE:.0f} s")
        await asyncio.sleep(0.0005)
    return (tally.starts(place)[-1] - begun) / 1e6


async def _settled(adapter: Adapter) -> dict[str, Any]:
    """Say when the last record became final; starts looking at a word on standard input."""
    await adapter.outstanding()
    print("ready", flush=True)
    await asyncio.to_thread(wait_for_word)
    while await adapter.outstanding():  # noqa: ASYNC110 - another process works it off
        await asyncio.sleep(0.002)
    return {"at_ns": time.monotonic_ns()}


async def _decided(adapter: Adapter) -> dict[str, Any]:
    """Say when the last due instant had its decision; starts looking at a word, which comes when they are due."""
    await adapter.undecided()
    print("ready", flush=True)
    await asyncio.to_thread(wait_for_word)
    while await adapter.undecided():  # noqa: ASYNC110 - another process decides it
        await asyncio.sleep(0.01)  # seldom enough to take nothing from those it watches
    return {"at_ns": time.monotonic_ns()}


async def _through(adapter: Adapter, jobs: int) -> dict[str, Any]:
    """Enqueue jobs while the engine in this process works them off; return the time to the last final record."""
    begun, cpu = time.perf_counter(), time.process_time()
    await adapter.enqueue_many(jobs)
    while await adapter.outstanding():  # noqa: ASYNC110 - looked at from outside, as a user would
        await asyncio.sleep(0.02)
    return {"seconds": time.perf_counter() - begun, "cpu_seconds": time.process_time() - cpu}


async def _late(adapter: Adapter, schedules: int, seconds: int) -> dict[str, Any]:
    """Run schedules that are due each second; return how late each run began, in milliseconds."""
    await adapter.schedule(schedules)
    await asyncio.sleep(2)  # what the start itself delays is not asked about
    place, begun = Path(os.environ["BENCH_TALLY"]), time.monotonic_ns()
    await asyncio.sleep(seconds)
    return {"late_ms": [lateness(at) for at in tally.starts(place) if at > begun]}


async def _create(adapter: Adapter, schedules: int) -> dict[str, Any]:
    begun = time.perf_counter()
    await adapter.create(schedules)
    return {"seconds": time.perf_counter() - begun}


async def _store(adapter: Adapter, schedules: int) -> dict[str, Any]:
    await adapter.store(schedules)
    return {}


async def _due(adapter: Adapter, schedules: int, seconds: int) -> dict[str, Any]:
    """Have schedules due at one whole second, at least some seconds after the last of them has been stored."""
    instant = float(int(time.time()) + seconds + schedules // 1000)
    await adapter.due_at(instant, schedules)
    if time.time() > instant - 2:
        raise RuntimeError(f"storing {schedules} schedules took too long: none is due in the future any more")
    return {"at_ns": round(instant * 1e9) - time.time_ns() + time.monotonic_ns()}


async def _planning(adapter: Adapter) -> dict[str, Any]:
    return {"ms": sorted([await adapter.planning_ms() for _ in range(21)])[10]}


async def _history(adapter: Adapter, executions: int) -> dict[str, Any]:
    await adapter.history(executions)
    return {}


async def _succeeded(adapter: Adapter) -> dict[str, Any]:
    return {"executions": await adapter.succeeded()}


def lateness(at: int) -> float:
    """Return how long after the peer's moment of a second an instant of the monotonic clock was, in milliseconds."""
    return (at + time.time_ns() - time.monotonic_ns() - round(MOMENT * 1e9)) % 1_000_000_000 / 1e6


COMMANDS: dict[str, Callable[..., Coroutine[Any, Any, dict[str, Any]]]] = {
    "fill": _fill,
    "one": _one_at_a_time,
    "latency": _latency,
    "embedded-latency": _latency,
    "settled": _settled,
    "decided": _decided,
    "embedded-through": _through,
    "late": _late,
    "embedded-late": _late,
    "create": _create,
    "store": _store,
    "due": _due,
    "planning": _planning,
    "history": _history,
    "succeeded": _succeeded,
}
