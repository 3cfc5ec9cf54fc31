"""Procrastinate on PostgreSQL, job by job, woken by NOTIFY: the job's row and its events are kept."""

from __future__ import annotations

import logging

import procrastinate
import uvloop

from benchmarks.adapter import PAYLOAD, Adapter, hit, main, url

CONCURRENCY = 20
AT_ONCE = 1_000

app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=url("postgres"), max_size=CONCURRENCY))


@app.task(name="noop")
async def noop(text: str) -> None:
    hit()


class Procrastinate(Adapter):
    async def prepare(self) -> None:
        async with app.open_async():
            await app.schema_manager.apply_schema_async()

    async def open(self) -> None:
        await app.open_async()

    async def close(self) -> None:
        await app.close_async()

    async def enqueue(self) -> None:
        await noop.defer_async(**PAYLOAD)

    async def enqueue_many(self, jobs: int) -> None:
        for begin in range(0, jobs, AT_ONCE):
            await noop.batch_defer_async(*[PAYLOAD] * min(AT_ONCE, jobs - begin))

    async def outstanding(self) -> int:
        found = await app.connector.execute_query_one_async(
            "SELECT count(*) AS live FROM procrastinate_jobs WHERE status IN ('todo', 'doing')"
        )
        return found["live"]

    def work(self, fill: int) -> None:
        logging.basicConfig(level=logging.WARNING)
        uvloop.run(self._work())

    async def _work(self) -> None:
        async with app.open_async():
            await app.run_worker_async(concurrency=CONCURRENCY, listen_notify=True)


if __name__ == "__main__":
    main(Procrastinate())
