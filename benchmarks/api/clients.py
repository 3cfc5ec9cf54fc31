"""Clients that ask one request after the other, each over a connection it keeps; as light as can be beside a server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson

#: One request: method, path and query, body.
Ask = tuple[str, str, Any]


@dataclass
class Told:
    """What came of a run: seconds per request, and the statuses that were no success."""

    seconds: float = 0.0
    each: list[float] = field(default_factory=list)
    refused: dict[int, int] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Requests a second."""
        return len(self.each) / self.seconds

    def at(self, share: float) -> float:
        """Return the latency in milliseconds that this share of the requests kept within."""
        ordered = sorted(self.each)
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class Client:
    """One connection."""

    def __init__(self, port: int, key: str) -> None:
        self._port, self._key = port, key
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter

    async def open(self) -> None:
        """Connect."""
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)

    async def close(self) -> None:
        """Let go."""
        self._writer.close()
        await self._writer.wait_closed()

    async def ask(self, ask: Ask) -> tuple[int, bytes]:
        """Send one request; return status and body."""
        method, path, body = ask
        content = b"" if body is None else orjson.dumps(body)
        kind = "Content-Type: application/json\r\n" if body is not None else ""
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\nAuthorization: Bearer {self._key}\r\n"
            f"{kind}Content-Length: {len(content)}\r\n\r\n"
        )
        self._writer.write(head.encode() + content)
        answer = await self._reader.readuntil(b"\r\n\r\n")
        status, length = int(answer[9:12]), 0
        for line in answer.split(b"\r\n"):
            if line.lower().startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        return status, await self._reader.readexactly(length) if length else b""


async def load(clients: list[Client], make: Callable[[], Ask], seconds: float) -> Told:
    """Let every client ask what ``make`` makes for so long, one request after the other."""
    told, began = Told(), time.monotonic()

    async def one(client: Client) -> None:
        while (start := time.monotonic()) - began < seconds:
            status, _ = await client.ask(make())
            told.each.append(time.monotonic() - start)
            if status >= 300:
                told.refused[status] = told.refused.get(status, 0) + 1

    await asyncio.gather(*(one(client) for client in clients))
    told.seconds = time.monotonic() - began
    return told
