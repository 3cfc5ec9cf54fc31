"""Looking after the groups: making them, taking over what dead consumers left, removing consumers that own nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from mainspring.adapters.redis.commands import Command, call
from mainspring.adapters.redis.line import RawEntry
from mainspring.adapters.redis.streams import GROUP

#: Entries asked for at once.
PAGE = 500
_MILLISECOND = timedelta(milliseconds=1)


async def make_group(client: Redis, stream: str) -> bool:
    """Make the stream and its group where they are missing; True if this call did.

    From the beginning, not from the end: what is there already is then delivered, once more at worst.
    """
    try:
        await call(client, "XGROUP", "CREATE", stream, GROUP, "0", "MKSTREAM")
    except ResponseError as error:
        if "BUSYGROUP" in str(error):
            return False
        raise
    return True


async def take_over(client: Redis, stream: str, consumer: str, idle: timedelta, count: int) -> list[RawEntry]:
    """Take over entries that have lain with any consumer for ``idle``; those deleted meanwhile have no fields.

    Who lies idle may be slow and not dead: being delivered twice is harmless, the claim decides. Entries that were
    deleted while pending are taken off the pending list, by the server or (6.2 only says that there are some) by us.
    """
    command = ("XAUTOCLAIM", stream, GROUP, consumer, idle // _MILLISECOND, "0-0", "COUNT", count)
    try:
        reply = await call(client, *command)
        entries: list[RawEntry] = reply[1]
        if any(entry_id is None for entry_id, _ in entries):
            await forget_deleted(client, stream, consumer)
    except ResponseError as error:
        if str(error).startswith("NOGROUP"):
            return []
        raise
    return [entry for entry in entries if entry[0] is not None]


def letting_go(stream: str, entries: Sequence[bytes]) -> list[Command]:
    """Return the commands that acknowledge and delete entries, none for none; to be sent together.

    One that is acknowledged and not deleted would lie in its stream for ever.
    """
    return [("XACK", stream, GROUP, *entries), ("XDEL", stream, *entries)] if entries else []


async def forget_deleted(client: Redis, stream: str, consumer: str) -> int:
    """Take off a consumer's pending list what is no longer in the stream; return how many entries that were."""
    owned = await owned_entries(client, stream, consumer)
    gone = [entry_id for entry_id, fields in owned if entry_id is not None and not fields]
    if gone:
        await call(client, "XACK", stream, GROUP, *gone)
    return len(gone)


async def owned_entries(client: Redis, stream: str, consumer: str) -> list[RawEntry]:
    """Return every entry a consumer owns, those deleted meanwhile without fields; empty where there is no group."""
    found: list[RawEntry] = []
    after: bytes | str = "0"
    command = ("XREADGROUP", "GROUP", GROUP, consumer, "COUNT", PAGE, "STREAMS", stream)
    while True:
        try:
            reply = await call(client, *command, after)
        except ResponseError as error:
            if str(error).startswith("NOGROUP"):
                return found
            raise
        page = reply[0][1] if reply else []
        found += page
        if len(page) < PAGE:
            return found
        after = page[-1][0]


async def remove_idle_consumers(client: Redis, streams: Sequence[str], idle: timedelta, *, keep: str) -> int:
    """Remove the consumers that own nothing and were not heard of for ``idle``; return how many."""
    removed = 0
    for stream in streams:
        try:
            consumers = await call(client, "XINFO CONSUMERS", stream, GROUP)
        except ResponseError:  # no stream, no group
            continue
        for consumer in consumers:
            name = consumer["name"].decode()
            if name != keep and not consumer["pending"] and consumer["idle"] * _MILLISECOND >= idle:
                await call(client, "XGROUP", "DELCONSUMER", stream, GROUP, name)
                removed += 1
    return removed
