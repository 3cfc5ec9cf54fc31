"""APScheduler 3 in one process, with its job store in memory, on SQLite or on PostgreSQL.

It has no queue: to enqueue is to add a job that is due at once, here to a scheduler that is paused until all are there.
A job is kept until it has run, then deleted.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from benchmarks.adapter import MOMENT, PAYLOAD, Adapter, directory, hit, main, say, url, wait_for_word

KIND = os.environ["BENCH_PEER"].removeprefix("apscheduler-")
#: No job is given up for being late, and any number may run at a time.
DEFAULTS = {"misfire_grace_time": None, "max_instances": 1_000_000, "coalesce": False}


async def noop(text: str) -> None:
    hit()


def make_store() -> Any:
    if KIND == "memory":
        return MemoryJobStore()
    if KIND == "sqlite":
        return SQLAlchemyJobStore(f"sqlite:///{directory() / 'apscheduler.db'}")
    return SQLAlchemyJobStore(url("postgres").replace("postgresql://", "postgresql+psycopg://"))


class APScheduler(Adapter):
    async def open_embedded(self) -> None:
        self.scheduler = AsyncIOScheduler(jobstores={"default": make_store()}, job_defaults=DEFAULTS, timezone=UTC)
        self.scheduler.start()

    async def open(self) -> None:
        await self.open_embedded()
        self.scheduler.pause()

    async def close(self) -> None:
        self.scheduler.shutdown(wait=False)

    async def enqueue(self) -> None:
        self.scheduler.add_job(noop, kwargs=PAYLOAD)

    async def enqueue_many(self, jobs: int) -> None:
        for _ in range(jobs):
            self.scheduler.add_job(noop, kwargs=PAYLOAD)

    async def schedule(self, schedules: int) -> None:
        begin = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=2 + MOMENT)
        for _ in range(schedules):
            self.scheduler.add_job(noop, IntervalTrigger(seconds=1, start_date=begin), kwargs=PAYLOAD)

    async def create(self, schedules: int) -> None:
        for _ in range(schedules):
            self.scheduler.add_job(noop, CronTrigger(month=1, day=1), kwargs=PAYLOAD)

    def work(self, fill: int) -> None:
        asyncio.run(self._work(fill))

    async def _work(self, fill: int) -> None:
        await self.open()
        begun = time.perf_counter()
        await self.enqueue_many(fill)
        say({"seconds": time.perf_counter() - begun})
        await asyncio.to_thread(wait_for_word)
        self.scheduler.resume()
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        await stop.wait()
        await self.close()


if __name__ == "__main__":
    main(APScheduler())
