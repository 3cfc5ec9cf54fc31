"""How the server listens."""

from __future__ import annotations

import asyncio
import socket

from mainspring.api.server import ServerSettings, _bound


async def test_what_the_server_sends_is_sent_at_once() -> None:
    """It was not: the body of every answer waited 40 ms for the client to confirm its head."""
    told: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def accepted(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        told.set_result(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    listening = _bound(ServerSettings("127.0.0.1", 0))
    async with await asyncio.start_server(accepted, sock=listening):
        _, writer = await asyncio.open_connection(*listening.getsockname())
        assert await told
        writer.close()
