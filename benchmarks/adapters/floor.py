"""What lies at least between an enqueue and a handler's first line where both are durable: bare statements, no engine.

An execution is inserted as one that a worker at rest has started, both marks in one row and one commit; the worker
hears of it, by NOTIFY or from a stream, and begins. On SQLite both marks are one transaction of one process, in a
thread, as nothing may block a loop. Nothing is looked up, checked, limited, leased, timed out or finished, nor who
works: no engine that keeps both marks can be sooner.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import time
from typing import Any

import asyncpg
import redis.asyncio as redis
import uvloop

from benchmarks.adapter import Adapter, hit, main, url
from benchmarks.adapters import ceiling, ceiling_sqlite

ON_SQLITE, STREAMS = os.environ.get("BENCH_PEER") == "floor-sqlite", "BENCH_REDIS_URL" in os.environ
STREAM, GROUP = "ready", "workers"
#: By itself a statement is a transaction. Told along with it, or once it has committed.
INSERT = """
INSERT INTO executions (id, platform, handler, queue, status, priority, payload, started_at, worker, attempt, fence)
VALUES ($1, $2, $3, $4, 1, $5, $6, now(), 'one', 1, 1)
"""
TOLD = f"WITH new AS ({INSERT} RETURNING id) SELECT pg_notify('{STREAM}', id::text) FROM new"


class Floor(Adapter):
    async def prepare(self) -> None:
        if ON_SQLITE:
            ceiling_sqlite.connect().executescript(ceiling_sqlite.TABLE)
            return
        connection = await asyncpg.connect(url("postgres"))
        await connection.execute(ceiling.TABLE)
        await connection.close()
        if STREAMS:
            await redis.from_url(url("redis")).xgroup_create(STREAM, GROUP, "0", mkstream=True)

    async def open(self) -> None:
        self._connection = await asyncpg.connect(url("postgres"))
        self._redis = redis.from_url(url("redis")) if STREAMS else None

    async def open_embedded(self) -> None:
        self._thread = concurrent.futures.ThreadPoolExecutor(1)
        self._file = await self._run(lambda: ceiling_sqlite.connect(check_same_thread=False))

    async def close(self) -> None:
        if not ON_SQLITE:
            await self._connection.close()

    async def enqueue(self) -> None:
        if ON_SQLITE:
            await self._run(self._both_marks)
            hit()
            return
        made = ceiling.new_id()
        row = (made, "default", "noop", "default", 5, ceiling.TEXT)
        if self._redis is None:
            await self._connection.fetch(TOLD, *row)
        else:
            await self._connection.execute(INSERT, *row)
            await self._redis.xadd(STREAM, {"id": made.bytes})

    def _both_marks(self) -> None:
        now, made = time.time_ns(), ceiling_sqlite.new_id()
        self._file.execute("BEGIN IMMEDIATE")
        self._file.execute(ceiling_sqlite.INSERT, (made, ceiling_sqlite.TEXT, now, now))
        self._file.execute(ceiling_sqlite.START, (now, made))
        self._file.execute("COMMIT")

    async def _run(self, work: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def work(self, fill: int) -> None:
        uvloop.run(self._work())

    async def _work(self) -> None:
        print("works", flush=True)
        if STREAMS:
            await _read()
        listener = await asyncpg.connect(url("postgres"))
        await listener.add_listener(STREAM, lambda *_: hit())
        await asyncio.Event().wait()


async def _read() -> None:
    client = redis.from_url(url("redis"))
    while True:
        read: Any = await client.xreadgroup(GROUP, "one", {STREAM: ">"}, count=100, block=5000)
        for _, entries in read or ():
            for _ in entries:
                hit()


if __name__ == "__main__":
    main(Floor())
