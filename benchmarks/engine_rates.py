"""Executions a second through the whole record, and lateness of schedules, on SQLite at its defaults (FULL).

    python -m benchmarks.engine_rates                 # both
    python -m benchmarks.engine_rates --jobs 5000 --seconds 10

A no-op async handler with a 100-byte payload. Throughput counts from the first enqueue to the last recorded success,
dispatcher and worker in one process. Lateness is from the nominal instant to the handler's first line.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from mainspring import Context, Mainspring
from mainspring.moves.enqueue import EnqueueRequest, enqueue
from mainspring.ports.store import ExecutionQuery

PAYLOAD = {"text": "x" * 85}
BATCH = 500


async def throughput(directory: Path, jobs: int) -> dict[str, float]:
    """Enqueue in batches of 500 while the worker drains; return rates."""
    ms = Mainspring(directory / "throughput.db", queues="default:1000")

    @ms.handler()
    async def noop(text: str) -> None:
        return None

    async with ms.running():
        store = await ms.open()
        started, cpu = time.perf_counter(), time.process_time()
        requests = [EnqueueRequest("noop", PAYLOAD)] * BATCH
        _ = await asyncio.gather(*(store.write(lambda tx: enqueue(tx, requests)) for _ in range(jobs // BATCH)))
        enqueued = time.perf_counter() - started
        while await store.read(lambda tx: tx.executions.counts("default")):  # noqa: ASYNC110 - looked at from outside
            await asyncio.sleep(0.02)
        took, cpu = time.perf_counter() - started, time.process_time() - cpu
        done = await store.read(lambda tx: tx.executions.find(ExecutionQuery(limit=jobs + 1)))
        assert len(done) == jobs
        assert {e.status for e in done} == {"success"}
    return {
        "executions": jobs,
        "enqueued_per_s": jobs / enqueued,
        "executions_per_s": jobs / took,
        "cpu_us_per_execution": cpu / jobs * 1e6,
    }


async def latency(directory: Path, jobs: int) -> dict[str, float]:
    """Enqueue one at a time to an idle worker; return milliseconds from the call to the handler's first line."""
    ms = Mainspring(directory / "latency.db")
    started: asyncio.Queue[float] = asyncio.Queue()

    @ms.handler()
    async def noop(text: str) -> None:
        started.put_nowait(time.perf_counter())

    found = []
    async with ms.running():
        for _ in range(jobs):
            before = time.perf_counter()
            _ = await noop.aenqueue(**PAYLOAD)
            found.append((await started.get() - before) * 1e3)
            await asyncio.sleep(0.005)
    return {"enqueues": jobs, "latency_p50_ms": percentile(found, 50), "latency_p99_ms": percentile(found, 99)}


async def lateness(directory: Path, schedules: int, seconds: int) -> dict[str, float]:
    """Run one-second schedules, all due in the same instants; return their lateness in milliseconds."""
    ms = Mainspring(directory / "lateness.db", queues="default:1000")
    late: list[float] = []

    async def tick(ctx: Context) -> None:
        assert ctx.scheduled_at is not None
        late.append((datetime.now(UTC) - ctx.scheduled_at).total_seconds() * 1e3)

    handle = ms.handler("tick")(tick)
    for number in range(schedules):
        ms.every("1s", name=f"tick-{number}")(handle)
    async with ms.running():
        await asyncio.sleep(2)
        late.clear()
        await asyncio.sleep(seconds)
    return {
        "schedules": schedules,
        "firings": len(late),
        "late_p50_ms": percentile(late, 50),
        "late_p99_ms": percentile(late, 99),
        "late_max_ms": max(late),
    }


def percentile(values: list[float], which: int) -> float:
    return statistics.quantiles(values, n=100)[which - 1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=20_000)
    parser.add_argument("--schedules", type=int, default=100)
    parser.add_argument("--seconds", type=int, default=60)
    chosen = parser.parse_args()
    logging.getLogger("alembic").setLevel(logging.WARNING)
    with tempfile.TemporaryDirectory() as directory:
        found = asyncio.run(throughput(Path(directory), chosen.jobs))
        found |= asyncio.run(latency(Path(directory), 300))
        found |= asyncio.run(lateness(Path(directory), chosen.schedules, chosen.seconds))
    print(json.dumps({key: round(value, 2) for key, value in found.items()}, indent=2))


if __name__ == "__main__":
    main()
