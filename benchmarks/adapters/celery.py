"""Celery on Redis, two forked children, acknowledged after the run: a result is kept for a day."""

from __future__ import annotations

import os
import sys

from celery import Celery

from benchmarks.adapter import PAYLOAD, Adapter, hit, main, url

app = Celery("bench", broker=url("redis"), backend=url("redis"))
app.conf.update(
    task_acks_late=True,
    worker_prefetch_multiplier=128,
    result_expires=86_400,
    worker_cancel_long_running_tasks_on_connection_loss=True,
)

COMMAND = [
    *("-m", "celery", "-A", "benchmarks.adapters.celery", "worker", "--pool", "prefork", "--concurrency", "2"),
    *("--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "WARNING"),
]


@app.task(name="noop")
def noop(text: str) -> None:
    hit()


class CeleryAdapter(Adapter):
    in_flight = 1  # its calls block

    async def enqueue(self) -> None:
        noop.apply_async(kwargs=PAYLOAD, producer=self.producer)

    async def open(self) -> None:
        self.producer = app.amqp.Producer(app.connection_for_write())

    def work(self, fill: int) -> None:
        os.execv(sys.executable, [sys.executable, *COMMAND])


if __name__ == "__main__":
    main(CeleryAdapter())
