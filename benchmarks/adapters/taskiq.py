"""taskiq on Redis Streams, acknowledged after the result has been saved; results are kept for an hour."""

from __future__ import annotations

import os
import sys

from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker

from benchmarks.adapter import PAYLOAD, Adapter, hit, main, url

results = RedisAsyncResultBackend(url("redis"), result_ex_time=3600)
broker = RedisStreamBroker(url("redis"), xread_count=100, consumer_id="0").with_result_backend(results)

#: As its command line is started: one process of a hundred jobs at once, and as many again fetched ahead.
COMMAND = [
    *("-m", "taskiq", "worker", "benchmarks.adapters.taskiq:broker", "--workers", "1"),
    *("--max-async-tasks", "100", "--max-prefetch", "200", "--no-parse", "--ack-type", "when_saved"),
    *("--log-level", "WARNING"),
]


@broker.task(task_name="noop")
async def noop(text: str) -> None:
    hit()


class Taskiq(Adapter):
    async def open(self) -> None:
        await broker.startup()

    async def close(self) -> None:
        await broker.shutdown()

    async def enqueue(self) -> None:
        await noop.kiq(**PAYLOAD)

    def work(self, fill: int) -> None:
        os.execv(sys.executable, [sys.executable, *COMMAND])


if __name__ == "__main__":
    main(Taskiq())
