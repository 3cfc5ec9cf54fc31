"""How the streams stand: asked of the server when somebody wants to see it, and never to decide by."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from mainspring.adapters.redis.commands import call_all
from mainspring.adapters.redis.connection import AWAY, server_warnings
from mainspring.adapters.redis.streams import GROUP, stream_of
from mainspring.model.dispatch import Band
from mainspring.ports.transport import StreamFigures, TransportFigures


async def ask(client: Redis, queues: Sequence[str]) -> TransportFigures:
    """Return how the streams of these queues stand; those that do not exist are left out."""
    names = [stream_of(queue, band) for queue in queues for band in Band]
    try:
        server, problems = await _server(client)
        streams = await _streams(client, names)
    except AWAY as error:
        why = f"Redis cannot be reached, workers poll the database meanwhile: {str(error) or type(error).__name__}"
        return TransportFigures("redis", reachable=False, problems=(why,))
    return TransportFigures("redis", server=server, streams=streams, problems=problems)


async def _server(client: Redis) -> tuple[str | None, tuple[str, ...]]:
    try:
        warnings = await server_warnings(client)
        told = await client.info("server")
    except AWAY:
        raise
    except RedisError:  # an ACL may hide it
        return None, ()
    kind = "Valkey" if "valkey_version" in told else "Redis"
    return f"{kind} {told.get('valkey_version') or told.get('redis_version')}", tuple(warnings)


async def _streams(client: Redis, names: Sequence[str]) -> tuple[StreamFigures, ...]:
    questions = (("XLEN", name) for name in names)
    lengths = await call_all(client, questions)
    there = [(name, length) for name, length in zip(names, lengths, strict=True) if isinstance(length, int) and length]
    groups = await call_all(client, [("XINFO GROUPS", name) for name, _ in there])
    oldest = await call_all(client, [("XRANGE", name, "-", "+", "COUNT", 1) for name, _ in there])
    return tuple(
        _figures(name, length, found, first) for (name, length), found, first in zip(there, groups, oldest, strict=True)
    )


def _figures(name: str, length: int, groups: Any, first: Any) -> StreamFigures:
    # What was refused, or went meanwhile, is an error among the answers.
    ours: dict[str, Any] = (
        next((g for g in groups if g["name"] == GROUP.encode()), {}) if isinstance(groups, list) else {}
    )
    oldest = first[0][0] if isinstance(first, list) and first else None
    at = None if oldest is None else datetime.fromtimestamp(int(oldest.split(b"-")[0]) / 1000, UTC)
    return StreamFigures(name, length, ours.get("pending", 0), ours.get("lag"), ours.get("consumers", 0), at)
