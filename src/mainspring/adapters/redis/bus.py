"""The bus on a Redis stream: events as CloudEvents in one bounded stream, for whoever reads it.

Nothing depends on the stream: what is trimmed or flushed is in the record. Subscribers in this process are called for
what comes after they subscribed, whichever process published it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import groupby
from operator import attrgetter
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from mainspring.adapters.redis.commands import Script, call, run_script
from mainspring.adapters.redis.connection import AWAY, RedisSettings, connect
from mainspring.adapters.redis.link import FIRST_TRY, LAST_TRY
from mainspring.errors import BusUnavailableError, ValidationError
from mainspring.model.cloudevents import encoded, from_cloudevent
from mainspring.model.events import Event
from mainspring.ports.bus import Subscriber
from mainspring.ports.subscribers import Subscribers
from mainspring.ports.tasks import end

logger = logging.getLogger("mainspring")

EVENTS = "stream:scheduler:events"
#: The field of an entry that holds the event; the others are there to be seen without parsing it.
FIELD = b"event"
#: How long one read waits; nothing depends on it.
_BLOCK = timedelta(seconds=2)
_PAGE = 200

#: Adds events to a stream: its length; then numbers, and the bytes they count in a row. The events of one type and
#: platform that follow each other are a run: how many, the lengths of type and platform, the length of each CloudEvent.
#: One command of few words with one answer: the driver takes longer over a word than the server.
_ADD_ALL = Script(
    """
    local call, stream, bytes, ended = redis.call, KEYS[1], ARGV[3], 0
    local numbers = string.gmatch(ARGV[2], '%d+')
    local function word()
        local begun = ended + 1
        ended = ended + tonumber(numbers())
        return string.sub(bytes, begun, ended)
    end
    while ended < #bytes do
        local count = tonumber(numbers())
        local kind, platform = word(), word()
        for _ = 1, count do
            call('XADD', stream, '*', 'type', kind, 'platform_id', platform, 'event', word())
        end
    end
    call('XTRIM', stream, 'MAXLEN', '~', ARGV[1])
    return redis.status_reply('OK')
    """
)


class RedisBus:
    """`Bus` over a Redis stream of about ``length`` entries. For one event loop at a time."""

    def __init__(self, redis: RedisSettings, *, random: random.Random, length: int = 100_000) -> None:
        self._redis, self._random, self._length = redis, random, length
        self._client: Redis | None = None
        self._subscribers = Subscribers()
        self._reading: asyncio.Task[None] | None = None
        self._placed = asyncio.Event()
        self.ignored = 0

    async def publish(self, events: Sequence[Event]) -> None:
        """Add events in one go, all or none: a later one of an execution never overtakes an earlier one."""
        if self._reading is not None and not self._placed.is_set():
            await self._wait_placed()
        numbers, words = _runs(events)
        try:
            await run_script(self._connected(), _ADD_ALL, [EVENTS], [self._length, numbers, words])
        except AWAY as error:
            raise BusUnavailableError(f"Redis: {str(error) or type(error).__name__}") from error
        except RedisError as error:
            raise BusUnavailableError(f"Redis refuses events: {error}") from error

    def subscribe(self, pattern: str, subscriber: Subscriber) -> Callable[[], None]:
        """Subscribe; the first subscriber makes this process read the stream, from its present end on."""
        unsubscribe = self._subscribers.add(pattern, subscriber)
        if self._reading is None:
            self._reading = asyncio.get_running_loop().create_task(self._read(), name="mainspring:redis-bus")
        return unsubscribe

    async def close(self) -> None:
        """Stop reading and let go of connections."""
        self._subscribers.clear()
        reading, self._reading = self._reading, None
        if reading is not None:
            await end([reading])
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    def _connected(self) -> Redis:
        if self._client is None:
            self._client = connect(self._redis)
        return self._client

    async def _wait_placed(self) -> None:
        """Let our own subscribers see what we publish; a server that is away is told by publishing itself."""
        try:
            await asyncio.wait_for(self._placed.wait(), self._redis.timeout.total_seconds())
        except TimeoutError:
            return

    # -- reading -----------------------------------------------------------------------------------------------------

    async def _read(self) -> None:
        reader = connect(self._redis, block=_BLOCK)
        after: bytes | None = None
        failures = 0
        try:
            while True:
                try:
                    if after is None:
                        after = await _last_id(reader)
                        self._placed.set()
                    after = await self._read_once(reader, after)
                    failures = 0
                except (*AWAY, RedisError) as error:
                    failures += 1
                    if failures in (1, 10, 100):
                        logger.warning("the bus cannot be read, trying again: %s", error)
                    pause = min(FIRST_TRY * 2 ** min(failures, 16), LAST_TRY) * self._random.uniform(0.5, 1.0)
                    await asyncio.sleep(pause)
        finally:
            await reader.aclose()

    async def _read_once(self, reader: Redis, after: bytes) -> bytes:
        block = _BLOCK // timedelta(milliseconds=1)
        for _, entries in await call(reader, "XREAD", "COUNT", _PAGE, "BLOCK", block, "STREAMS", EVENTS, after) or ():
            for entry_id, fields in entries:
                after = entry_id
                event = self._event(dict(zip(fields[::2], fields[1::2], strict=True)) if _flat(fields) else fields)
                if event is not None:
                    await self._subscribers.tell(event)
        return after

    def _event(self, fields: Mapping[bytes, bytes]) -> Event | None:
        """Read an entry; what is no event of ours is counted and left."""
        try:
            found = json.loads(fields[FIELD])
            event = from_cloudevent(found, platform_id=str(found["platformid"]), at=datetime.min.replace(tzinfo=UTC))
            more = dict(event.extensions)
            at = datetime.fromisoformat(str(more.pop("eventtime")))
            return replace(event, at=at if at.tzinfo is not None else at.replace(tzinfo=UTC), extensions=more)
        except (KeyError, TypeError, ValueError, RecursionError, ValidationError) as error:
            self.ignored += 1
            logger.debug("an entry of %s is no event: %s", EVENTS, error)
            return None


def _runs(events: Iterable[Event]) -> tuple[str, bytes]:
    """Return events as `_ADD_ALL` takes them."""
    numbers, words = list[int](), list[bytes]()
    for (kind, platform_id), run in groupby(events, key=attrgetter("type", "platform_id")):
        told = [str(kind).encode(), platform_id.encode(), *[encoded(event).encode() for event in run]]
        numbers += [len(told) - 2, *map(len, told)]
        words += told
    return " ".join(map(str, numbers)), b"".join(words)


def _flat(fields: Any) -> bool:
    return isinstance(fields, (list, tuple))


async def _last_id(client: Redis) -> bytes:
    last = await call(client, "XREVRANGE", EVENTS, "+", "-", "COUNT", 1)
    return bytes(last[0][0]) if last else b"0-0"
