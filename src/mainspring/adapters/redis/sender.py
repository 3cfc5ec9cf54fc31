"""Sending announcements: at once when idle, and while one batch is under way the next one gathers.

What others have been told of with its commit makes way for their claims for a moment, unless something else is sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain

from redis.asyncio import Redis
from redis.exceptions import RedisError

from mainspring.adapters.redis.commands import Command, call_all
from mainspring.adapters.redis.connection import AWAY
from mainspring.adapters.redis.link import Link
from mainspring.adapters.redis.outgoing import Batch, Outgoing
from mainspring.adapters.redis.streams import DEAD, RETRY
from mainspring.ports.tasks import end

logger = logging.getLogger("mainspring")

#: Most commands in one pipeline.
PIPELINE = 500
#: Seconds by which what others were told of with its commit is sent later: by then, where they are idle, it has begun.
WAY = 0.004


@dataclass(slots=True)
class TransportStats:
    """What the transport has done in this process, in executions unless it says otherwise.

    ``dropped`` were not sent (Redis away, refusing, or too much waiting): polling finds them. ``stale`` were delivered
    and could not be claimed: claimed before, ended, unknown, or not for this worker. ``ignored`` counts words in
    entries that are no ids at all, ``reclaimed`` entries taken over from other consumers, ``groups_made`` how often a
    group had to be made. ``looks`` counts how often a worker looked into the database instead, ``found`` what it
    claimed there, and ``away`` how often the server was lost.
    """

    announced: int = 0
    announced_again: int = 0
    dropped: int = 0
    delivered: int = 0
    claimed: int = 0
    stale: int = 0
    ignored: int = 0
    reclaimed: int = 0
    groups_made: int = 0
    consumers_removed: int = 0
    looks: int = 0
    found: int = 0
    away: int = 0

    def lost(self) -> None:
        """Count that the server was lost."""
        self.away += 1


class Sender:
    """Sends what is outgoing, from one event loop."""

    def __init__(
        self,
        client: Redis,
        link: Link,
        outgoing: Outgoing,
        stats: TransportStats,
        *,
        most_entries: int,
        most_notices: int,
    ) -> None:
        self._client, self._link, self._outgoing, self._stats = client, link, outgoing, stats
        self._lengths = {RETRY: most_notices, DEAD: most_notices}
        self._most_entries = most_entries
        self._loop = asyncio.get_running_loop()
        self._wanted, self._empty = asyncio.Event(), asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._refusal = ""

    @property
    def usable(self) -> bool:
        """Whether its event loop still exists."""
        return not self._loop.is_closed()

    def start(self) -> None:
        """Begin to send."""
        self._task = asyncio.create_task(self._run(), name="mainspring:redis-send")
        if self._outgoing:
            self._wanted.set()

    async def stop(self, within: float) -> None:
        """Send what waits, for so many seconds, and stop."""
        if self._task is None:
            return
        if self._outgoing and self._link.up:
            self._empty.clear()
            self._wanted.set()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._empty.wait(), within)
        await end([self._task])

    def wake(self, *, told: bool = False) -> None:
        """Send what was put; in a moment, where others are ``told`` of it by then. Safe from any thread."""
        step = self._make_way if told else self._wanted.set
        if _running_loop() is self._loop:
            step()
            return
        with contextlib.suppress(RuntimeError):  # the loop has closed: polling finds the work
            self._loop.call_soon_threadsafe(step)

    def _make_way(self) -> None:
        self._loop.call_later(WAY, self._wanted.set)

    async def _run(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            while batch := self._outgoing.take():
                await self._send(batch)
            self._empty.set()

    async def _send(self, batch: Batch) -> None:
        if not self._link.up:
            self._stats.dropped += len(batch)
            return
        entries = batch.entries()
        for start in range(0, len(entries), PIPELINE):
            adds = [self._add(stream, fields) for stream, fields in entries[start : start + PIPELINE]]
            try:
                replies = await call_all(self._client, adds)
                for reply in replies:
                    if isinstance(reply, AWAY):
                        raise reply
                self._judge(replies)
            except AWAY as error:
                # What was under way may have arrived: sending it again would be harmless, and is not worth it.
                self._link.failed(error)
                self._stats.dropped += len(batch)
                return
        self._stats.announced += len(batch)

    def _add(self, stream: str, fields: Mapping[str, str]) -> Command:
        most = self._lengths.get(stream, self._most_entries)
        return ("XADD", stream, "MAXLEN", "~", most, "*", *chain.from_iterable(fields.items()))

    def _judge(self, replies: list[object]) -> None:
        """Say what was refused, each reason once in a row: out of memory, a replica, a key that is no stream."""
        refusals = {str(reply) for reply in replies if isinstance(reply, RedisError)}
        if refusals:
            refusal = min(refusals)
            self._stats.dropped += sum(isinstance(reply, RedisError) for reply in replies)
            if refusal != self._refusal:
                logger.warning("Redis refuses announcements, workers find the work by polling: %s", refusal)
            self._refusal = refusal
        elif self._refusal:
            logger.warning("Redis takes announcements again")
            self._refusal = ""


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
