"""What PostgreSQL and Redis allow at most: the bare statements and stream commands in batches, and no engine.

One cycle takes a batch of executions through three durable marks, a commit each (inserted, started, finished with its
result), and through the stream (XADD, XREADGROUP, XACK). Two cycles run at a time in one process, so that client and
servers overlap. Nothing is checked, timed out, leased, retried, fenced or announced: no engine can be faster.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
import uuid
from typing import Any

import asyncpg
import redis.asyncio as redis
import uvloop

from benchmarks.adapter import PAYLOAD, Adapter, hit, main, say, url, wait_for_word

BATCH = 500
LANES = 2
TEXT = json.dumps(PAYLOAD)

TABLE = """
CREATE TABLE executions (
    id uuid PRIMARY KEY, platform text NOT NULL, handler text NOT NULL, queue text NOT NULL, status smallint NOT NULL,
    priority smallint NOT NULL, payload jsonb NOT NULL, created_at timestamptz NOT NULL DEFAULT now(),
    available_at timestamptz NOT NULL DEFAULT now(), started_at timestamptz, finished_at timestamptz, worker text,
    attempt smallint NOT NULL DEFAULT 0, fence bigint NOT NULL DEFAULT 0, result jsonb
) WITH (fillfactor = 50);
CREATE INDEX ON executions (platform, created_at);
CREATE INDEX ON executions (available_at) WHERE status = 0
"""
INSERT = """
INSERT INTO executions (id, platform, handler, queue, status, priority, payload)
SELECT id, 'default', 'noop', 'default', 0, 5, payload FROM unnest($1::uuid[], $2::jsonb[]) AS new (id, payload)
"""
START = """
UPDATE executions e SET status = 1, started_at = now(), worker = 'one', attempt = attempt + 1, fence = fence + 1
FROM unnest($1::uuid[]) AS ready (id) WHERE e.id = ready.id AND e.fence = 0
"""
FINISH = """
UPDATE executions e SET status = 2, finished_at = now(), result = done.result
FROM unnest($1::uuid[], $2::jsonb[]) AS done (id, result) WHERE e.id = done.id AND e.fence = 1
"""
#: Prepared while the table is small, the planner would scan it for ever. The updates ask for the fence, not for the
#: status: else it takes the index of what is ready and compares each row with each.
PLANS = {"enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off"}


def new_id() -> uuid.UUID:
    """Return an identifier that sorts by time, version 7."""
    milliseconds = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10), "big")
    value = milliseconds << 80 | random
    return uuid.UUID(int=value & ~(0xF000 << 64) & ~(0xC000 << 48) | 0x7000 << 64 | 0x8000 << 48)


class Ceiling(Adapter):
    async def prepare(self) -> None:
        connection = await asyncpg.connect(url("postgres"))
        await connection.execute(TABLE)
        await connection.close()

    def work(self, fill: int) -> None:
        uvloop.run(self._work(fill))

    async def _work(self, jobs: int) -> None:
        lanes = [await self._lane(f"{os.getpid()}-{number}") for number in range(LANES)]
        begun = time.perf_counter()
        for _ in range(5):
            await asyncio.gather(*(lane.offer() for lane in lanes))
        say({"seconds": time.perf_counter() - begun, "jobs": 5 * LANES * BATCH})
        for lane in lanes:
            await lane.forget()
        await asyncio.to_thread(wait_for_word)
        await asyncio.gather(*(lane.run(jobs // LANES) for lane in lanes))
        await asyncio.Event().wait()

    async def _lane(self, name: str) -> Lane:
        connection = await asyncpg.connect(url("postgres"), server_settings=PLANS)
        return Lane(name, connection, redis.from_url(url("redis")))


class Lane:
    """One cycle after the other, on one connection to each server."""

    def __init__(self, name: str, connection: asyncpg.Connection, streams: redis.Redis) -> None:
        self._connection, self._redis, self._stream = connection, streams, f"ready-{name}"

    async def forget(self) -> None:
        """Begin with an empty stream."""
        await self._redis.delete(self._stream)
        await self._redis.xgroup_create(self._stream, "workers", "0", mkstream=True)

    async def run(self, jobs: int) -> None:
        for _ in range(-(-jobs // BATCH)):
            await self.offer()
            await self._take()

    async def offer(self) -> None:
        """Insert a batch and announce it: what an enqueue of many costs at least."""
        ids = [new_id() for _ in range(BATCH)]
        await self._connection.execute(INSERT, ids, [TEXT] * BATCH)
        pipeline: Any = self._redis.pipeline(transaction=False)
        for one in ids:
            pipeline.xadd(self._stream, {"id": one.bytes})
        await pipeline.execute()

    async def _take(self) -> None:
        read: Any = await self._redis.xreadgroup("workers", "one", {self._stream: ">"}, count=BATCH)
        ((_, entries),) = read
        ids = [uuid.UUID(bytes=fields[b"id"]) for _, fields in entries]
        await self._connection.execute(START, ids)
        for _ in ids:
            hit()
        await self._connection.execute(FINISH, ids, ["{}"] * len(ids))
        pipeline: Any = self._redis.pipeline(transaction=False)
        pipeline.xack(self._stream, "workers", *(entry for entry, _ in entries))
        pipeline.xdel(self._stream, *(entry for entry, _ in entries))
        await pipeline.execute()


if __name__ == "__main__":
    main(Ceiling())
