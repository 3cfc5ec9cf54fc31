"""The Redis Streams transport: announcements in, deliveries out.

What is announced in a process with a running event loop is sent from that loop; where there is none, as in a web
process with sync code, a thread with a loop of its own is started for it when first needed.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import random
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

from redis.exceptions import RedisError

from mainspring.adapters.redis.commands import call_all
from mainspring.adapters.redis.connection import AWAY, RedisSettings, connect
from mainspring.adapters.redis.deliveries import DeliverySettings, RedisDeliveries
from mainspring.adapters.redis.figures import ask
from mainspring.adapters.redis.link import Link
from mainspring.adapters.redis.outgoing import Outgoing
from mainspring.adapters.redis.sender import Sender, TransportStats
from mainspring.adapters.redis.streams import stream_of
from mainspring.model.dispatch import Announcement, Dispatch, band
from mainspring.ports.clock import Wakeups
from mainspring.ports.transport import Deliveries, TransportFigures

logger = logging.getLogger("mainspring")

#: Seconds a process that ends waits for what it has announced.
LAST_WORDS = 1.0


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """How much the streams hold and how they are read.

    ``waiting``: most executions waiting to be sent in one process. ``entries``: about how many entries a stream keeps
    when nobody reads it; what is trimmed is found by polling. ``enough``: with so many entries in it a stream has lost
    nothing that workers wait for. ``notices``: length of the streams that tell of retries and dead letters.
    """

    waiting: int = 100_000
    entries: int = 100_000
    enough: int = 1_000
    notices: int = 10_000
    delivery: DeliverySettings = field(default_factory=DeliverySettings)


class RedisTransport:
    """`Transport` over Redis Streams."""

    may_lose = True

    def __init__(
        self,
        redis: RedisSettings,
        *,
        wakeups: Wakeups,
        random: random.Random,
        settings: StreamSettings | None = None,
    ) -> None:
        self.settings, self.stats = settings or StreamSettings(), TransportStats()
        self._redis, self._wakeups, self._random = redis, wakeups, random
        self._outgoing = Outgoing(self.settings.waiting)
        self._home: _Home | None = None
        self._background: _Background | None = None
        self._lock = threading.Lock()

    async def open(self) -> None:
        if self._home is None or not self._home.usable:
            self._home = _Home(self)
            self._home.start()

    async def close(self) -> None:
        home, self._home = self._home, None
        background, self._background = self._background, None
        if background is not None:
            await asyncio.to_thread(background.stop)
        if home is not None and home.usable:
            await home.stop()

    # -- announcing ------------------------------------------------------------------------------------------------

    def announce(self, announcements: Sequence[Announcement], *, told: bool = False) -> Iterable[str]:
        if not announcements:
            return ()
        home = self._home
        if home is None or not home.usable:
            home = self._in_background()
        if home is not None and not home.link.up:
            self.stats.dropped += len(announcements)
            return _woken(announcements)  # as the database's transport does, for as long as there is no other
        dropped = self._outgoing.put(announcements)
        self.stats.dropped += dropped
        if home is None:  # its thread was only just started: what it found no home for is sent when it has one
            home = self._in_background()
        if home is not None:
            home.sender.wake(told=told)
        return _woken(announcements) if dropped else ()

    def wakes(self, announcements: Sequence[Announcement]) -> Iterable[str]:
        return _woken(announcements)  # the streams carry the load; where it is quiet, a commit can tell sooner

    async def announce_again(self, dispatches: Sequence[Dispatch]) -> int:
        """Announce what streams may have lost: those that hold less than ``enough`` entries."""
        home = self._home
        if home is None or not home.usable or not home.link.up:
            return 0
        by_stream: dict[str, list[Dispatch]] = {}
        for dispatch in dispatches:
            by_stream.setdefault(stream_of(dispatch.queue, band(dispatch.priority)), []).append(dispatch)
        try:
            lengths = await call_all(home.client, [("XLEN", stream) for stream in by_stream])
        except AWAY as error:
            home.link.failed(error)
            return 0
        lost = [
            dispatch
            for found, length in zip(by_stream.values(), lengths, strict=True)
            if isinstance(length, RedisError) or length < self.settings.enough
            for dispatch in found
        ]
        self.announce(lost)
        self.stats.announced_again += len(lost)
        return len(lost)

    async def figures(self, queues: Sequence[str]) -> TransportFigures:
        client = connect(self._redis)  # of its own: whoever asks may live in another event loop
        try:
            found = await ask(client, queues)
        finally:
            await client.aclose()
        return replace(found, counters=self.counters())

    def counters(self) -> Mapping[str, int]:
        return asdict(self.stats)

    def _in_background(self) -> _Home | None:
        with self._lock:
            if self._background is None or not self._background.alive:  # a fork leaves threads behind
                self._background = _Background(self)
                self._background.start()
            return self._background.home

    # -- delivering ------------------------------------------------------------------------------------------------

    async def deliveries(self, worker_id: str, queues: Mapping[str, int], *, poll: float) -> Deliveries:
        await self.open()
        home = self._home
        assert home is not None
        deliveries = RedisDeliveries(
            worker_id,
            queues,
            client=home.client,
            reader=connect(self._redis, block=self.settings.delivery.block),
            link=home.link,
            wakeups=self._wakeups,
            stats=self.stats,
            random=self._random,
            settings=self.settings.delivery,
            poll=poll,
        )
        deliveries.start()
        return deliveries


class _Home:
    """What belongs to one event loop: a client, the state of its server, and the sender."""

    def __init__(self, transport: RedisTransport) -> None:
        settings = transport.settings
        self.client = connect(transport._redis)
        self.link = Link(self.client, transport._random, transport.stats.lost)
        self.sender = Sender(
            self.client,
            self.link,
            transport._outgoing,
            transport.stats,
            most_entries=settings.entries,
            most_notices=settings.notices,
        )

    @property
    def usable(self) -> bool:
        return self.sender.usable

    def start(self) -> None:
        self.link.start()
        self.sender.start()

    async def stop(self) -> None:
        await self.sender.stop(LAST_WORDS)
        await self.link.stop()
        await self.client.aclose()


class _Background:
    """A thread with an event loop, for processes that have none of their own."""

    def __init__(self, transport: RedisTransport) -> None:
        self._transport = transport
        self._thread = threading.Thread(target=self._run, name="mainspring-announce", daemon=True)
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self.home: _Home | None = None

    def start(self) -> None:
        # A script that enqueues and ends has its last words sent before its daemon threads are gone.
        atexit.register(self.stop)
        self._thread.start()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def stop(self) -> None:
        atexit.unregister(self.stop)
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join(2 * LAST_WORDS)

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._live())
        finally:
            self._loop.close()

    async def _live(self) -> None:
        home = _Home(self._transport)
        home.start()
        self.home = home
        # Whatever was put before there was a home.
        home.sender.wake()
        await self._stopping.wait()
        self.home = None
        await home.stop()


def _woken(announcements: Sequence[Announcement]) -> tuple[str, ...]:
    return ("queued",) if any(isinstance(one, Dispatch) for one in announcements) else ()
