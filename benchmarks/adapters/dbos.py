"""DBOS: durable workflows on a queue, on SQLite or PostgreSQL; inputs, output and times of each are kept."""

from __future__ import annotations

import asyncio
import os
import signal

from dbos import DBOS, DBOSClient

from benchmarks.adapter import PAYLOAD, Adapter, directory, hit, main, url

#: Its default looks once a second; this is the finest that pays.
POLL = 0.1
QUEUE = "noops"


def address() -> str:
    """Return the database's address, in its words."""
    if os.environ["BENCH_PEER"] == "dbos-sqlite":
        return f"sqlite:///{directory() / 'dbos.db'}"
    return url("postgres").replace("postgresql://", "postgresql+psycopg://")


@DBOS.workflow(name="noop")
async def noop(text: str) -> None:
    hit()


class Dbos(Adapter):
    in_flight = 1  # its client has few connections, and SQLite one writer

    async def prepare(self) -> None:
        await self._launch()
        DBOS.destroy()

    async def open(self) -> None:
        self.client = DBOSClient(system_database_url=address())

    async def close(self) -> None:
        self.client.destroy()

    async def enqueue(self) -> None:
        await self.client.enqueue_async({"queue_name": QUEUE, "workflow_name": "noop"}, **PAYLOAD)

    async def outstanding(self) -> int:
        live = await self.client.list_workflows_async(status=["ENQUEUED", "PENDING"], limit=1, load_input=False)
        return len(live)

    def work(self, fill: int) -> None:
        asyncio.run(self._work())

    async def _work(self) -> None:
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        await self._launch()
        await stop.wait()
        DBOS.destroy()

    async def _launch(self) -> None:
        DBOS(config={"name": "bench", "system_database_url": address(), "log_level": "WARNING"})
        DBOS.launch()
        await DBOS.register_queue_async(QUEUE, polling_interval_sec=POLL)


if __name__ == "__main__":
    main(Dbos())
