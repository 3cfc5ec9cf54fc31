"""Events in from a Redis stream that others write: a consumer group shared by all dispatchers.

An entry has a field ``event`` with a CloudEvent as JSON. It is acknowledged once its event is in the record, and taken
again where that did not happen: source and id are accepted once, so a repeat changes nothing. The stream is its
writers' own: we acknowledge and never delete.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from mainspring.adapters.redis.bus import FIELD
from mainspring.adapters.redis.commands import call, call_all
from mainspring.adapters.redis.connection import AWAY, RedisSettings, connect
from mainspring.errors import BusUnavailableError
from mainspring.model.strict_json import read_strict
from mainspring.ports.inbound import Incoming

logger = logging.getLogger("mainspring")

_MILLISECOND = timedelta(milliseconds=1)
#: What is kept of an entry that was refused.
_KEPT = 64 * 1024


@dataclass(frozen=True, slots=True)
class InboundSettings:
    """Which stream, and how it is read.

    ``block``: how long one read waits; nothing depends on it. ``abandoned``: how long an entry may lie with a consumer
    before another takes it over; ``look``: how often that is looked for. ``refused``: about how many refused entries
    are kept, in the stream of the same name with ``.dead`` behind it. Consumers that own nothing are removed after
    ``consumer_idle``.
    """

    stream: str
    group: str = "mainspring"
    block: timedelta = timedelta(seconds=1)
    abandoned: timedelta = timedelta(seconds=30)
    look: timedelta = timedelta(seconds=10)
    refused: int = 10_000
    consumer_idle: timedelta = timedelta(hours=1)

    @property
    def dead(self) -> str:
        """The stream of what was refused."""
        return f"{self.stream}.dead"


class RedisInbound:
    """`Inbound` from a stream, as one consumer of its group. For one event loop."""

    def __init__(self, redis: RedisSettings, settings: InboundSettings, *, consumer: str) -> None:
        self.settings, self._consumer = settings, consumer
        self._client: Redis = connect(redis, block=settings.block)
        self._looked: float | None = None

    async def take(self, limit: int) -> list[Incoming]:
        try:
            return [_read(place, fields) for place, fields in await self._take(limit)]
        except ResponseError as error:
            if not str(error).startswith("NOGROUP"):
                raise BusUnavailableError(f"Redis: {error}") from error
            await self._make_group()
            return []
        except (*AWAY, RedisError) as error:
            raise BusUnavailableError(f"Redis: {str(error) or type(error).__name__}") from error

    async def _take(self, limit: int) -> list[tuple[bytes, Any]]:
        s, now = self.settings, asyncio.get_running_loop().time()
        if self._looked is None or now - self._looked >= s.look.total_seconds():
            self._looked = now
            if abandoned := await self._abandoned(limit):
                self._looked = None  # there may be more
                return abandoned
            await self._remove_idle_consumers()
        group = ("GROUP", s.group, self._consumer, "COUNT", limit, "BLOCK", s.block // _MILLISECOND)
        reply = await call(self._client, "XREADGROUP", *group, "STREAMS", s.stream, ">")
        return [entry for _, entries in reply or () for entry in entries]

    async def _abandoned(self, limit: int) -> list[tuple[bytes, Any]]:
        s = self.settings
        idle = s.abandoned // _MILLISECOND
        reply = await call(self._client, "XAUTOCLAIM", s.stream, s.group, self._consumer, idle, "0-0", "COUNT", limit)
        # Those that were deleted meanwhile have nothing to accept any more (6.2 still returns them).
        gone = [place for place, fields in reply[1] if place is not None and not fields]
        if gone:
            await call(self._client, "XACK", s.stream, s.group, *gone)
        return [(place, fields) for place, fields in reply[1] if place is not None and fields]

    async def done(self, places: Sequence[str]) -> None:
        if places:
            await self._send([("XACK", self.settings.stream, self.settings.group, *places)])

    async def refuse(self, incoming: Incoming, reason: str) -> None:
        s = self.settings
        content = json.dumps(incoming.content, ensure_ascii=False) if incoming.problem is None else incoming.content
        text = str(content if content is not None else "")[:_KEPT].encode("utf-8", "replace")
        told = (
            "reason",
            reason[:1000].encode("utf-8", "replace"),
            "entry",
            incoming.place,
            "stream",
            s.stream,
            FIELD,
            text,
        )
        await self._send(
            [
                ("XADD", s.dead, "MAXLEN", "~", s.refused, "*", *told),
                ("XACK", s.stream, s.group, incoming.place),
            ]
        )

    async def _send(self, commands: Sequence[Sequence[str | bytes | int]]) -> None:
        try:
            answers = await call_all(self._client, commands, together=True)
        except (*AWAY, RedisError) as error:
            raise BusUnavailableError(f"Redis: {str(error) or type(error).__name__}") from error
        for answer in answers:
            # Without the group there is nothing to acknowledge: what it held comes again, and is a duplicate then.
            if isinstance(answer, Exception) and not str(answer).startswith("NOGROUP"):
                raise BusUnavailableError(f"Redis: {answer}") from answer

    async def _make_group(self) -> None:
        """Make the group from the beginning of the stream: what is there already has to be accepted too."""
        s = self.settings
        try:
            await call(self._client, "XGROUP", "CREATE", s.stream, s.group, "0", "MKSTREAM")
        except ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise BusUnavailableError(f"Redis: {error}") from error
        except (*AWAY, RedisError) as error:
            raise BusUnavailableError(f"Redis: {str(error) or type(error).__name__}") from error

    async def _remove_idle_consumers(self) -> None:
        s = self.settings
        for consumer in await call(self._client, "XINFO CONSUMERS", s.stream, s.group):
            name = consumer["name"].decode()
            idle = consumer["idle"] * _MILLISECOND
            if name != self._consumer and not consumer["pending"] and idle >= s.consumer_idle:
                await call(self._client, "XGROUP", "DELCONSUMER", s.stream, s.group, name)

    async def close(self) -> None:
        await self._client.aclose()


def _read(place: bytes, fields: Any) -> Incoming:
    named: Mapping[bytes, bytes] = (
        dict(zip(fields[::2], fields[1::2], strict=True)) if isinstance(fields, list | tuple) else fields
    )
    text = named.get(FIELD)
    where = place.decode()
    if text is None:
        shown = ", ".join(sorted(key.decode("utf-8", "replace") for key in named))[:200]
        return Incoming(where, problem=f"the entry has no field {FIELD.decode()!r}, only: {shown}")
    try:
        return Incoming(where, read_strict(text))
    except (ValueError, RecursionError) as error:
        return Incoming(where, text.decode("utf-8", "replace")[:_KEPT], problem=f"is no JSON: {error}"[:300])
