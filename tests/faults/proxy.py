"""A TCP proxy in the test's process: it cuts, holds and delays a connection, and loses the answer to a COMMIT.

It understands as much of PostgreSQL's protocol as it takes to see ``CommandComplete COMMIT`` go by; every other byte it
passes on as it is, so it serves for Redis as well.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from collections.abc import AsyncIterator
from urllib.parse import urlsplit, urlunsplit

COMMITTED = b"COMMIT\0"


class Proxy:
    """Stands before one server, on a port of its own."""

    def __init__(self, url: str, *, chance: random.Random) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        assert parts.port is not None
        self._server, self._chance = (parts.hostname, parts.port), chance
        self._passing, self._ready = threading.Event(), threading.Event()
        self._passing.set()
        self._refusing = False
        #: Seconds each piece of data is held back, in each direction.
        self.delay = 0.0
        #: The share of COMMITs whose answer is lost, the connection with it.
        self.lost_commits = 0.0
        #: Whether answers to the COMMIT of what has written are kept back for now.
        self.withheld = False
        #: What the answer begins with before which to `hold`, once; None again as that comes.
        self.hold_at: bytes | None = None
        #: How many were lost so far.
        self.lost = 0
        self._open: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)
        self._thread.start()
        assert self._ready.wait(10)
        credentials = parts.netloc.rpartition("@")[0]
        self.url = urlunsplit(parts._replace(netloc=f"{credentials}@127.0.0.1:{self.port}"))

    # -- faults ----------------------------------------------------------------------------------------------------

    def hold(self) -> None:
        """Let nothing through, and nobody know: as a network that drops packets."""
        self._passing.clear()

    def cut(self) -> None:
        """End every connection, and refuse new ones."""
        self._refusing = True
        self._loop.call_soon_threadsafe(self._abort_all)

    def heal(self) -> None:
        """Let what is held go on, and accept connections again."""
        self._refusing = False
        self._passing.set()

    def close(self) -> None:
        """End everything."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    # -- passing on ------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        listener = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port: int = listener.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        listener.close()
        self._abort_all()
        for one in asyncio.all_tasks(self._loop):
            one.cancel()
        self._loop.run_until_complete(asyncio.sleep(0.01))
        self._loop.close()

    def _abort_all(self) -> None:
        for writer in list(self._open):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refusing:
            writer.transport.abort()
            return
        try:
            to_server = await asyncio.open_connection(*self._server)
        except OSError:
            writer.transport.abort()
            return
        self._open |= {writer, to_server[1]}
        try:
            upward = asyncio.create_task(self._pass(self._raw(reader), to_server[1]))
            downward = asyncio.create_task(self._pass(self._answers(to_server[0]), writer))
            with contextlib.suppress(asyncio.CancelledError):  # at the end of all; the server's own task would log it
                await asyncio.wait({upward, downward}, return_when=asyncio.FIRST_COMPLETED)
            upward.cancel()
            downward.cancel()
        finally:
            for one in (writer, to_server[1]):
                self._open.discard(one)
                one.transport.abort()

    async def _pass(self, pieces: AsyncIterator[bytes], to: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            async for piece in pieces:
                if self.delay:
                    await asyncio.sleep(self.delay)
                while not self._passing.is_set():  # noqa: ASYNC110 - set by another thread
                    await asyncio.sleep(0.005)
                to.write(piece)
                await to.drain()

    @staticmethod
    async def _raw(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
        while piece := await reader.read(65536):
            yield piece

    async def _answers(self, reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
        first = await reader.readexactly(1)
        while first == b"N":  # neither TLS nor GSS: what follows is another question of the client's
            yield first
            first = await reader.readexactly(1)
        if first != b"R":  # not PostgreSQL
            yield first
            async for piece in self._raw(reader):
                yield piece
            return
        async for piece in self._messages(reader, first):
            yield piece

    async def _messages(self, reader: asyncio.StreamReader, kind: bytes) -> AsyncIterator[bytes]:
        wrote = False
        while True:
            length = await reader.readexactly(4)
            body = await reader.readexactly(int.from_bytes(length, "big") - 4)
            if kind == b"C" and body.startswith((b"INSERT", b"UPDATE", b"DELETE")):
                wrote = True
            if kind == b"C" and self.hold_at is not None and body.startswith(self.hold_at):
                self.hold()
                self.hold_at = None
            if kind == b"C" and body == COMMITTED:
                if self._chance.random() < self.lost_commits:
                    self.lost += 1
                    return
                while wrote and self.withheld:  # noqa: ASYNC110 - set by another thread
                    await asyncio.sleep(0.005)
                wrote = False
            yield kind + length + body
            kind = await reader.readexactly(1)
