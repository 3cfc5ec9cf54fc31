"""streaQ on Redis Streams: a result with times and tries is kept for five minutes."""

from __future__ import annotations

from streaq import Worker

from benchmarks.adapter import PAYLOAD, Adapter, hit, main, url

AT_ONCE = 500

worker: Worker = Worker(redis_url=url("redis"), concurrency=100, prefetch=200, anyio_kwargs={"use_uvloop": True})


@worker.task
async def noop(text: str) -> None:
    hit()


class Streaq(Adapter):
    async def open(self) -> None:
        await worker.__aenter__()

    async def close(self) -> None:
        await worker.__aexit__(None, None, None)

    async def enqueue(self) -> None:
        await noop.enqueue(**PAYLOAD)

    async def enqueue_many(self, jobs: int) -> None:
        for begin in range(0, jobs, AT_ONCE):
            await worker.enqueue_many([noop.enqueue(**PAYLOAD) for _ in range(min(AT_ONCE, jobs - begin))])

    def work(self, fill: int) -> None:
        worker.run_sync()


if __name__ == "__main__":
    main(Streaq())
