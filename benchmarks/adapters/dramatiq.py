"""Dramatiq on Redis with its results middleware: a result is kept for ten minutes. Its handlers are plain functions."""

from __future__ import annotations

import os
import sys

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

from benchmarks.adapter import PAYLOAD, Adapter, hit, main, url

broker = RedisBroker(url=url("redis"))
broker.add_middleware(Results(backend=RedisBackend(url=url("redis")), store_results=True, result_ttl=600_000))
dramatiq.set_broker(broker)

COMMAND = ["-m", "dramatiq", "benchmarks.adapters.dramatiq", "--processes", "1", "--threads", "8"]


@dramatiq.actor
def noop(text: str) -> str:
    hit()
    return "done"


class Dramatiq(Adapter):
    in_flight = 1  # its calls block

    async def enqueue(self) -> None:
        noop.send(**PAYLOAD)

    def work(self, fill: int) -> None:
        os.execve(sys.executable, [sys.executable, *COMMAND], os.environ | {"dramatiq_queue_prefetch": "200"})


if __name__ == "__main__":
    main(Dramatiq())
