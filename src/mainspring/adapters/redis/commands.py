"""Commands as they go over the wire: one alone, several in one go, or a script that the server runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha1
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import NoScriptError

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


class Script:
    """A Lua script and the name by which a server knows it once it has seen it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.sha = sha1(text.encode(), usedforsecurity=False).hexdigest()


async def run_script(client: Redis, script: Script, keys: Sequence[str], words: Sequence[str | bytes | int]) -> Any:
    """Run a script and return its answer; its text is sent only to a server that has forgotten it, or is new."""
    rest = (len(keys), *keys, *words)
    try:
        return await call(client, "EVALSHA", script.sha, *rest)
    except NoScriptError:
        return await call(client, "EVAL", script.text, *rest)
