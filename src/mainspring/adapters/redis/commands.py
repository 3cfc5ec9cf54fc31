"""Commands as they go over the wire: one alone, or several in one go."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from redis.asyncio import Redis

#: The words of a command.
Command = Sequence[str | bytes | int]


async def call(client: Redis, *command: str | bytes | int) -> Any:
    """Send one command and return its answer; raises what the server or the driver says instead."""
    return await client.execute_command(*command)  # type: ignore[no-untyped-call]


async def call_all(client: Redis, commands: Iterable[Command], *, together: bool = False) -> list[Any]:
    """Send commands in one go and return their answers; what the server refused is an exception among them.

    ``together``: all of them happen at once, with nobody's commands in between.
    """
    pipeline = client.pipeline(transaction=together)
    for command in commands:
        pipeline.execute_command(*command)
    answers: list[Any] = await pipeline.execute(raise_on_error=False)
    return answers
