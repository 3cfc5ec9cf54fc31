"""A store in memory, the Redis transport, and workers that only claim: enough to watch the transport at work."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any

from redis.asyncio import Redis

from mainspring.adapters.memory import InProcessWakeups, MemoryStore
from mainspring.adapters.redis.connection import RedisSettings
from mainspring.adapters.redis.deliveries import DeliverySettings, RedisDeliveries
from mainspring.adapters.redis.transport import RedisTransport, StreamSettings
from mainspring.adapters.system import SystemClock
from mainspring.model.dispatch import Announcement
from tests.contracts.transport_contract import MINUTE, WITHIN, Taker

#: As in production, in a tenth of the time; a busy worker's own look is left out, so that only the streams tell.
FAST = DeliverySettings(
    block=timedelta(milliseconds=300),
    abandoned=timedelta(milliseconds=300),
    look=timedelta(minutes=10),
    consumer_idle=timedelta(milliseconds=900),
    consumer_sweep=timedelta(milliseconds=300),
)


class Announcing:
    """Passes on what the store announces, or loses it."""

    def __init__(self, transport: RedisTransport) -> None:
        self.transport, self.losing = transport, False

    def announce(self, announcements: Sequence[Announcement], *, told: bool = False) -> Iterable[str]:
        """Announce, unless told to lose everything."""
        return () if self.losing else self.transport.announce(announcements)

    def wakes(self, announcements: Sequence[Announcement]) -> Iterable[str]:
        """Promise nothing."""
        return ()


class Rig:
    """Everything of one test."""

    def __init__(self, url: str, timeout: float = 2.0) -> None:
        self.url, self.wakeups = url, InProcessWakeups()
        self.workers: list[Taker] = []
        self.redis: Any = Redis.from_url(url, decode_responses=True, protocol=2)
        self.settings = RedisSettings(url, timedelta(seconds=timeout))
        self.transport = self.another()
        self.announcing = Announcing(self.transport)
        self.store = MemoryStore(SystemClock(), random=Random(1), wakeups=self.wakeups, announcer=self.announcing)

    def another(self, url: str | None = None, **settings: Any) -> RedisTransport:
        """Return another process's transport to the same server."""
        streams = replace(StreamSettings(delivery=FAST), **settings)
        redis = replace(self.settings, url=url or self.url)
        return RedisTransport(redis, wakeups=self.wakeups, random=Random(2), settings=streams)

    async def worker(
        self, name: str = "w", slots: dict[str, int] | None = None, *, poll: float = MINUTE, look: bool = True
    ) -> Taker:
        """Let a worker join, after its first look."""
        slots = slots or {"default": 5}
        deliveries = await self.transport.deliveries(name, slots, poll=poll)
        taker = Taker(name, slots, self.store, deliveries, self.wakeups)
        self.workers.append(taker)
        if look:
            await taker.rest()
        return taker

    async def is_so(self, condition: Callable[[], Any], within: float = WITHIN) -> None:
        """Wait until something is so; ``condition`` may be a coroutine function."""
        async with asyncio.timeout(within):
            while True:
                answer = condition()
                if await answer if asyncio.iscoroutine(answer) else answer:
                    return
                await asyncio.sleep(0.02)

    @property
    def up(self) -> bool:
        """Whether the transport believes that its server is there."""
        return self.transport._home is not None and self.transport._home.link.up

    async def calls(self, command: str) -> int:
        """How often a command was sent to the server."""
        found = (await self.redis.info("commandstats")).get(f"cmdstat_{command}", {})
        return int(found.get("calls", 0))


@contextlib.asynccontextmanager
async def rigged(url: str, **options: Any) -> AsyncIterator[Rig]:
    """Make a rig on an emptied server."""
    rig = Rig(url, **options)
    await rig.redis.flushall()
    await rig.store.open()
    await rig.transport.open()
    try:
        yield rig
    finally:
        for worker in rig.workers:
            await worker.deliveries.close()
        await rig.transport.close()
        await rig.redis.aclose()


def lines_of(worker: Taker) -> dict[str, Any]:
    """The buffers of a worker, by stream."""
    deliveries = worker.deliveries
    assert isinstance(deliveries, RedisDeliveries)
    return {line.stream: line for line in deliveries._offers.lines}
