"""Mainspring, through its public Python interface and its own command line: every guarantee at its defaults.

The database, and Redis where it is used, come from the environment, as for any user: ``MAINSPRING_DATABASE_URL`` and
``MAINSPRING_REDIS_URL``. On SQLite one process is all of it; on PostgreSQL a dispatcher runs beside the workers.
"""

from __future__ import annotations

import logging
import time
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime

from benchmarks.adapter import MOMENT, PAYLOAD, Adapter, hit, main
from benchmarks.adapters.ours_seed import copy_history, copy_job
from mainspring import Mainspring
from mainspring.model.execution import Status
from mainspring.ports.store import ExecutionQuery

#: Executions in one call; callers wait for its answer before the next.
AT_ONCE = 1_000

JOB = {"handler": "noop", "payload": PAYLOAD}
#: Due once a year.
FAR = {"type": "cron", "schedule": {"cron": "0 0 1 1 *"}, **JOB}

ms = Mainspring(queues="default:500")


@ms.handler()
async def noop(text: str) -> None:
    hit()


class Ours(Adapter):
    def __init__(self) -> None:
        self._engine: AbstractAsyncContextManager[None] | None = None

    async def open(self) -> None:
        await ms.open()

    async def open_embedded(self) -> None:
        self._engine = ms.running()
        await self._engine.__aenter__()

    async def close(self) -> None:
        await self._engine.__aexit__(None, None, None) if self._engine else await ms.close()

    async def enqueue(self) -> None:
        _ = await noop.aenqueue(**PAYLOAD)

    async def enqueue_many(self, jobs: int) -> None:
        service = ms.scheduler()
        for begin in range(0, jobs, AT_ONCE):
            await service.enqueue([noop.request(**PAYLOAD)] * min(AT_ONCE, jobs - begin))

    async def schedule(self, schedules: int) -> None:
        service = ms.scheduler()
        grid = {"every_ms": 1000, "anchor_at": datetime.fromtimestamp(MOMENT, UTC).isoformat()}
        for number in range(schedules):
            await service.create_job({"name": f"each-second-{number}", "type": "recurring", "schedule": grid, **JOB})

    async def create(self, schedules: int) -> None:
        service = ms.scheduler()
        for begin in range(0, schedules, AT_ONCE):
            numbers = range(begin, min(begin + AT_ONCE, schedules))
            await service.create_jobs([{"name": f"far-{number}", **FAR} for number in numbers])

    async def store(self, schedules: int) -> None:
        _ = await ms.scheduler().create_job({"name": "stored", **FAR})
        await copy_job(ms, "stored", schedules - 1)

    async def due_at(self, instant: float, schedules: int) -> None:
        run_at = datetime.fromtimestamp(instant, UTC).isoformat()
        once = {"name": "once", "type": "one_time", "schedule": {"run_at": run_at}, **JOB}
        _ = await ms.scheduler().create_job(once)
        await copy_job(ms, "once", schedules - 1)

    async def planning_ms(self) -> float:
        begun = time.perf_counter()
        await ms.store.read(lambda tx: tx.jobs.next_due_at())
        await ms.store.write(lambda tx: tx.jobs.due(500))
        return (time.perf_counter() - begun) * 1e3

    async def history(self, executions: int) -> None:
        await copy_history(ms, executions)

    async def succeeded(self) -> int:
        query = ExecutionQuery(statuses=(Status.SUCCESS,), limit=10_000_000)
        return len(await ms.scheduler().list_executions(query))

    async def undecided(self) -> bool:
        return await ms.store.read(lambda tx: tx.jobs.undecided_at()) is not None

    async def outstanding(self) -> int:
        metrics = await ms.scheduler().get_metrics()
        if metrics["dead_letters"]:
            raise RuntimeError(f"{metrics['dead_letters']} executions failed")
        return sum(metrics["executions"].values())

    def work(self, fill: int) -> None:
        logging.getLogger("alembic").setLevel(logging.WARNING)
        ms.run()


if __name__ == "__main__":
    main(Ours())
