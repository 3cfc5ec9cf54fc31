"""What reaches one worker: entries are read ahead a little, and only as many claimed as there are free slots.

Each stream has a reader and a connection of its own. One read over all of them would have to be interrupted whenever a
buffer gets room again, or low work in the buffer would keep high work from being seen.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from itertools import chain

from redis.asyncio import Redis
from redis.exceptions import RedisError

from mainspring.adapters.redis.commands import Command, call, call_all
from mainspring.adapters.redis.connection import AWAY
from mainspring.adapters.redis.line import Line
from mainspring.adapters.redis.link import FIRST_TRY, LAST_TRY, Link
from mainspring.adapters.redis.offers import Offers
from mainspring.adapters.redis.sender import TransportStats
from mainspring.adapters.redis.streams import GROUP, to_entries
from mainspring.adapters.redis.upkeep import letting_go, make_group, owned_entries, remove_idle_consumers, take_over
from mainspring.ports.clock import Wakeups
from mainspring.ports.tasks import end
from mainspring.ports.transport import Offer

logger = logging.getLogger("mainspring")


@dataclass(frozen=True, slots=True)
class DeliverySettings:
    """How a worker reads.

    ``block``: how long one read waits; nothing depends on it. ``abandoned``: how long an entry may lie with another
    consumer before this one looks at it as well. ``look``: how often a busy worker claims in the database's own order
    all the same, so that what the streams lost does not wait behind what they hold. Consumers that own nothing are
    removed after ``consumer_idle``.
    """

    block: timedelta = timedelta(seconds=2)
    abandoned: timedelta = timedelta(seconds=5)
    look: timedelta = timedelta(seconds=5)
    consumer_idle: timedelta = timedelta(minutes=5)
    consumer_sweep: timedelta = timedelta(minutes=1)


class RedisDeliveries:
    """`Deliveries` from streams; while Redis is away, whatever the database has."""

    def __init__(
        self,
        worker_id: str,
        queues: Mapping[str, int],
        *,
        client: Redis,
        reader: Redis,
        link: Link,
        wakeups: Wakeups,
        stats: TransportStats,
        random: random.Random,
        settings: DeliverySettings,
        poll: float,
    ) -> None:
        self.topic = f"delivered:{worker_id}"
        self._consumer, self._client, self._reader, self._link = worker_id, client, reader, link
        self._wakeups, self._stats, self._random = wakeups, stats, random
        self._settings = settings
        self._done: dict[str, list[bytes]] = {}
        self._ended = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        look = settings.look.total_seconds()
        self._offers = Offers(queues, time=self._loop.time, poll=poll, look=look)
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to read."""
        for line in self._offers.lines:
            self._spawn(self._read(line), f"read:{line.stream}")
        self._spawn(self._acknowledge(), "acknowledge")
        self._spawn(self._keep_up(), "upkeep")

    # -- what the worker asks --------------------------------------------------------------------------------------

    def offer(self, room: Mapping[str, int], limit: int) -> Offer | None:
        return self._offers.next(room, limit, away=not self._link.up)

    def tried(self, offer: Offer, claimed: int, limit: int) -> bool:
        if offer.ids is not None:
            self._stats.claimed += claimed
            self._stats.stale += len(offer.ids) - claimed
        else:
            self._stats.looks += 1
            self._stats.found += claimed
        more, done = self._offers.tried(offer, claimed, limit)
        for line, entry_id in done:
            self._let_go(line.stream, [entry_id])
        return more

    def failed(self, offer: Offer) -> None:
        self._offers.failed()

    def look(self) -> None:
        self._offers.look()

    async def close(self) -> None:
        tasks, self._tasks = self._tasks, []
        if not tasks:
            return
        await end(tasks)
        try:
            if self._link.up:
                await asyncio.wait_for(self._hand_back(), 2.0)
        except (*AWAY, RedisError) as error:  # others find the entries once these have lain long enough
            logger.debug("could not hand back what was not tried: %s", error)
        await self._reader.aclose()

    async def _hand_back(self) -> None:
        """Add what was not tried to the streams again, for others, and remove this consumer."""
        for line in self._offers.lines:
            done = self._done.get(line.stream, [])
            # Asked, not remembered: the read that was cut off may have been answered. What a removed consumer still
            # owned would lie in the stream for ever, pending with nobody.
            owned = await owned_entries(self._client, line.stream, self._consumer)
            line.put(entry for entry in owned if entry[0] not in done)
            waiting = [(execution_id, None) for entry in line.held.values() for execution_id in entry.waiting]
            commands: list[Command] = [
                ("XADD", line.stream, "*", *chain.from_iterable(fields.items())) for fields in to_entries(waiting)
            ]
            owned_ids = [entry_id for entry_id, _ in owned if entry_id is not None]
            commands += letting_go(line.stream, [*done, *line.held, *owned_ids])
            commands.append(("XGROUP", "DELCONSUMER", line.stream, GROUP, self._consumer))
            await call_all(self._client, commands, together=True)

    # -- reading ---------------------------------------------------------------------------------------------------

    async def _read(self, line: Line) -> None:
        failures = 0
        while True:
            await line.hungry.wait()
            await self._link.wait_up()
            try:
                await self._read_once(line)
                failures = 0
            except AWAY as error:
                self._link.failed(error)
                if isinstance(error, RedisError):  # a replica answers on connections that would otherwise be kept
                    await self._reader.connection_pool.disconnect(inuse_connections=False)
            except RedisError as error:
                # NOGROUP comes at once and without honouring BLOCK: never as fast as it can be asked again.
                failures += 1
                if failures > 1:
                    pause = min(FIRST_TRY * 2 ** (failures - 2), LAST_TRY) * self._random.uniform(0.5, 1.0)
                    await asyncio.sleep(pause)
                await self._mend(line, error, failures)

    async def _read_once(self, line: Line) -> None:
        block = self._settings.block // timedelta(milliseconds=1)
        command = ("XREADGROUP", "GROUP", GROUP, self._consumer, "COUNT", line.wanted, "BLOCK", block)
        for _, entries in await call(self._reader, *command, "STREAMS", line.stream, ">") or ():
            self._deliver(line, entries)

    def _deliver(self, line: Line, entries: list[tuple[bytes | None, Mapping[bytes, bytes] | None]]) -> None:
        named, ignored, useless = line.put(entries)
        self._stats.delivered += named
        self._stats.ignored += ignored
        self._let_go(line.stream, useless)
        if named:
            self._wakeups.notify(self.topic)

    async def _mend(self, line: Line, error: RedisError, failures: int) -> None:
        """Make the group again where it is gone; whatever else is refused is said, and tried again later."""
        text = str(error)
        if not text.startswith(("NOGROUP", "UNBLOCKED")) and failures in (1, 10, 100):
            logger.warning("Redis refuses to read %s, workers poll meanwhile: %s", line.stream, text)
            return
        try:
            made = await make_group(self._client, line.stream)
            self._stats.groups_made += made
        except AWAY as away:
            self._link.failed(away)
        except RedisError as refused:
            logger.debug("could not make the group of %s: %s", line.stream, refused)

    # -- letting go ------------------------------------------------------------------------------------------------

    def _let_go(self, stream: str, entries: list[bytes]) -> None:
        if entries:
            self._done.setdefault(stream, []).extend(entries)
            self._ended.set()

    async def _acknowledge(self) -> None:
        refused = ""
        while True:
            await self._ended.wait()
            self._ended.clear()
            done, self._done = self._done, {}
            commands = [command for stream, entries in done.items() for command in letting_go(stream, entries)]
            try:
                await call_all(self._client, commands, together=True)
            except AWAY as error:  # they come again, are refused by the claim, and are let go of then
                self._link.failed(error)
            except RedisError as error:
                if str(error) != refused:
                    logger.warning("Redis refuses to delete what was tried, it will be delivered again: %s", error)
                refused = str(error)

    # -- upkeep ----------------------------------------------------------------------------------------------------

    async def _keep_up(self) -> None:
        swept = self._loop.time()
        while True:
            await asyncio.sleep(self._settings.abandoned.total_seconds() * self._random.uniform(0.8, 1.2))
            await self._link.wait_up()
            with contextlib.suppress(RedisError, OSError):
                for line in self._offers.lines:
                    if line.hungry.is_set():
                        await self._take_over(line)
                if self._loop.time() - swept >= self._settings.consumer_sweep.total_seconds():
                    swept = self._loop.time()
                    streams = [line.stream for line in self._offers.lines]
                    removed = await remove_idle_consumers(
                        self._client, streams, self._settings.consumer_idle, keep=self._consumer
                    )
                    self._stats.consumers_removed += removed

    async def _take_over(self, line: Line) -> None:
        entries = await take_over(self._client, line.stream, self._consumer, self._settings.abandoned, line.wanted)
        fresh = [entry for entry in entries if entry[0] not in line.held]
        self._stats.reclaimed += len(fresh)
        self._deliver(line, fresh)

    def _spawn(self, coroutine: object, name: str) -> None:
        self._tasks.append(self._loop.create_task(coroutine, name=f"mainspring:redis-{name}"))  # type: ignore[arg-type]
