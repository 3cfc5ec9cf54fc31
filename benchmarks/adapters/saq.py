"""SAQ, on Redis or on PostgreSQL: a job with status, attempts, times and result is kept for ten minutes."""

from __future__ import annotations

import asyncio
import os

import uvloop
from saq import Queue, Worker

from benchmarks.adapter import PAYLOAD, Adapter, hit, main, url

ON_POSTGRES = os.environ["BENCH_PEER"] == "saq-postgres"
#: On PostgreSQL each slot wants a connection, and the pool has twenty.
CONCURRENCY = 20 if ON_POSTGRES else 100


async def noop(ctx: object, *, text: str) -> None:
    hit()


def make_queue() -> Queue:
    if ON_POSTGRES:
        from psycopg_pool import AsyncConnectionPool
        from saq.queue.postgres import PostgresQueue

        pool = AsyncConnectionPool(url("postgres"), min_size=4, max_size=20, open=False, check=None)
        return PostgresQueue(pool, manage_pool_lifecycle=True)
    return Queue.from_url(url("redis"))


class Saq(Adapter):
    async def prepare(self) -> None:
        await self.open()
        await self.close()

    async def open(self) -> None:
        self.queue = make_queue()
        await self.queue.connect()

    async def close(self) -> None:
        await self.queue.disconnect()

    async def enqueue(self) -> None:
        await self.queue.enqueue("noop", **PAYLOAD)

    def work(self, fill: int) -> None:
        uvloop.run(self._work())

    async def _work(self) -> None:
        await self.open()
        worker = Worker(self.queue, functions=[("noop", noop)], concurrency=CONCURRENCY)
        try:
            await worker.start()
        except asyncio.CancelledError:
            pass
        finally:
            await self.close()


if __name__ == "__main__":
    main(Saq())
