"""PgQueuer on PostgreSQL: fetches and finishes in batches, and keeps a log row for each change of status."""

from __future__ import annotations

import asyncio
import json
import signal
from datetime import timedelta

import asyncpg
import uvloop
from pgqueuer import AsyncpgPoolDriver, PgQueuer, Queries

from benchmarks.adapter import PAYLOAD, Adapter, hit, main, url

BATCH = 200
AT_ONCE = 1_000
PAYLOAD_BYTES = json.dumps(PAYLOAD).encode()


class PgQueuerAdapter(Adapter):
    async def prepare(self) -> None:
        await self.open()
        await self.queries.install()
        await self.close()

    async def open(self) -> None:
        self.pool = await asyncpg.create_pool(url("postgres"), min_size=2, max_size=10)
        self.queries = Queries(AsyncpgPoolDriver(self.pool))

    async def close(self) -> None:
        await self.pool.close()

    async def enqueue(self) -> None:
        await self.queries.enqueue("noop", PAYLOAD_BYTES)

    async def enqueue_many(self, jobs: int) -> None:
        for begin in range(0, jobs, AT_ONCE):
            size = min(AT_ONCE, jobs - begin)
            await self.queries.enqueue(["noop"] * size, [PAYLOAD_BYTES] * size, [0] * size)

    async def outstanding(self) -> int:
        """Count what waits or runs; its log of what ended follows within a tenth of a second."""
        return await self.pool.fetchval("SELECT count(*) FROM pgqueuer")

    def work(self, fill: int) -> None:
        uvloop.run(self._work())

    async def _work(self) -> None:
        await self.open()
        app = PgQueuer(AsyncpgPoolDriver(self.pool))

        @app.entrypoint("noop")
        async def noop(job: object) -> None:
            hit()

        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, app.shutdown.set)
        await app.run(dequeue_timeout=timedelta(seconds=30), batch_size=BATCH)
        await self.close()


if __name__ == "__main__":
    main(PgQueuerAdapter())
