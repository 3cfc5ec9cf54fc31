"""Small servers on loopback that answer as a test tells them to: HTTP and SMTP."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

PEM = Path(__file__).with_name("example.test.pem")


def server_tls() -> ssl.SSLContext:
    """For a server that is hooks.example.test and mail.example.test."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(PEM)
    return context


def client_tls() -> ssl.SSLContext:
    """For a client that believes that server, and nobody else."""
    return ssl.create_default_context(cafile=str(PEM))


@asynccontextmanager
async def serving(
    talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]], tls: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """Serve on a free port of 127.0.0.1 while the block runs; every conversation is over when it ends."""
    running: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
                await talk(reader, writer)
        finally:
            running.discard(task)
            writer.close()
            with contextlib.suppress(ConnectionError, ssl.SSLError, TimeoutError):
                await writer.wait_closed()

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in list(running):
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


@dataclass
class Asked:
    """One HTTP request as it arrived."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


Answer = Callable[[Asked, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class HttpServer:
    """Keeps every request; answers 204 unless told otherwise."""

    answer: Answer | None = None
    asked: list[Asked] = field(default_factory=list)

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, target, _ = head[0].split(" ", 2)
        headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        request = Asked(method, target, headers, body)
        self.asked.append(request)
        await (self.answer or status(204))(request, writer)
        await writer.drain()


def status(code: int, body: bytes = b"", **headers: str) -> Answer:
    """Answer with a status, headers (``_`` for ``-``) and a body."""

    async def answer(_: Asked, writer: asyncio.StreamWriter) -> None:
        lines = [f"HTTP/1.1 {code} Whatever", *(f"{k.replace('_', '-')}: {v}" for k, v in headers.items())]
        if code != 204 and "transfer_encoding" not in headers:
            lines.append(f"content-length: {len(body)}")
        writer.write("\r\n".join([*lines, "", ""]).encode() + body)

    return answer


@dataclass
class Mail:
    """One mail as it arrived."""

    sender: str
    recipients: list[str]
    content: bytes


@dataclass
class SmtpServer:
    """Enough of RFC 5321 to take mail. ``answers`` maps the start of a command to another answer than 250.

    ``end`` is what the data is answered with. ``tls`` offers STARTTLS, and nothing is taken before it.
    """

    answers: dict[str, str] = field(default_factory=dict)
    greeting: str = "220 mail.example.test"
    end: str = "250 taken"
    tls: ssl.SSLContext | None = None
    mails: list[Mail] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        def say(line: str) -> None:
            writer.write(line.encode() + b"\r\n")

        say(self.greeting)
        mail, secure = Mail("", [], b""), False
        while line := (await reader.readline()).decode().strip():
            self.commands.append(line)
            verb = line.split(" ", 1)[0].upper()
            special = next((a for start, a in self.answers.items() if line.upper().startswith(start.upper())), None)
            if special is not None:
                say(special)
            elif verb == "EHLO":
                say("250-mail.example.test")
                say("250-AUTH PLAIN LOGIN" if secure or self.tls is None else "250-STARTTLS")
                say("250 8BITMIME")
            elif verb == "STARTTLS" and self.tls is not None:
                say("220 go on")
                await writer.start_tls(self.tls)
                secure = True
            elif verb == "MAIL":
                mail = Mail(line[10:].split(">")[0].strip("<"), [], b"")
                say("250 ok")
            elif verb == "RCPT":
                mail.recipients.append(line[8:].strip("<>"))
                say("250 ok")
            elif verb == "DATA":
                say("354 go on")
                mail.content = (await reader.readuntil(b"\r\n.\r\n"))[:-5]
                if self.end.startswith("2"):
                    self.mails.append(mail)
                if self.end == "hang up":
                    return
                say(self.end)
            elif verb == "AUTH":
                say("235 welcome")
            elif verb == "QUIT":
                say("221 bye")
                return
            else:
                say("250 ok")
