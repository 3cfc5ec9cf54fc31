"""The one HTTP client for calls to addresses that people configure: webhooks now, agents and workflow engines later.

What keeps a caller from reaching into the network we run in (SSRF):

- the address is checked where the connection is made, not where the URL is read. One parser, one resolution, and the
  socket goes to the very address that was checked; TLS and the Host header keep the name. A name that resolves anew
  to something else (rebinding) or a URL two parsers read differently has nothing to aim at;
- if one address of a name is not allowed, none is;
- redirects are answers, never followed, so credentials and bodies go to the configured host only;
- the environment's proxies and ``.netrc`` are not read;
- one address gets so many calls at once and a second, whatever names lead there; more wait their turn;
- connecting, silence, the whole call, the headers and the body after decompression have limits.

Each request has a connection of its own: it costs a handshake and means that every request is checked.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

import httpcore2
import httpx2

from mainspring._version import __version__
from mainspring.adapters.http.addresses import AddressPolicy
from mainspring.adapters.http.targets import Targets, of_this_process
from mainspring.model import trace
from mainspring.ports.http import OutboundFailedError, OutboundRefusedError, Reply

#: Looks a name up: (host, port) -> addresses as text, best first. Raises `OSError` for a name it does not know.
Resolver = Callable[[str, int], Awaitable[Sequence[str]]]

USER_AGENT = f"Mainspring/{__version__}"
#: Addresses of one name that are tried, one after the other.
ADDRESSES = 4
#: Codings piled upon each other are a way to make a small body big; nobody needs more than one.
CODINGS = frozenset({"", "identity", "gzip", "x-gzip", "deflate"})

#: What goes wrong on the way. `OSError` covers a name that does not resolve and a certificate that does not fit.
_FAILURES = (
    OSError,
    UnicodeError,
    httpx2.RequestError,
    httpx2.StreamError,
    httpcore2.NetworkError,
    httpcore2.ProtocolError,
    httpcore2.TimeoutException,
)


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """What one request may take: seconds to connect, of silence, and in all; bytes of body, decompressed."""

    connect: float = 5.0
    silence: float = 10.0
    total: float = 30.0
    body: int = 1 << 20


async def system_resolver(host: str, port: int) -> Sequence[str]:
    """Ask the system."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class OutboundHttp:
    """`HttpClient` within a policy. It keeps no connection and no cookie, and belongs to no event loop.

    A call made within a trace carries it, as the header ``traceparent``.

    Args:
        policy: Which addresses may be reached.
        limits: What one request may take.
        resolver: Who looks names up; by default the system.
        targets: How many calls one address gets; by default all clients of this process share its places.
        tls: Whom to believe; by default the system's certificate authorities.
    """

    def __init__(
        self,
        policy: AddressPolicy | None = None,
        *,
        limits: HttpLimits | None = None,
        resolver: Resolver = system_resolver,
        tls: ssl.SSLContext | None = None,
        targets: Targets | None = None,
    ) -> None:
        self.policy, self.limits = policy or AddressPolicy(), limits or HttpLimits()
        self.targets = targets or of_this_process()
        self._resolver, self._tls = resolver, tls

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        read_body: bool = True,
    ) -> Reply:
        target = checked_url(url)
        ours = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity", "Connection": "close"}
        sent = {**ours, **trace.headers(), **(headers or {})}
        try:
            async with asyncio.timeout(self.limits.total):
                return await self._exchange(method, target, sent, content, read_body=read_body)
        except TimeoutError:
            raise OutboundFailedError(f"no answer within {self.limits.total:g} s from {_shown(target)}") from None
        except _FAILURES as error:
            raise OutboundFailedError(f"{_shown(target)}: {_words(error)}") from error

    async def _exchange(
        self, method: str, url: httpx2.URL, headers: Mapping[str, str], content: bytes | None, *, read_body: bool
    ) -> Reply:
        timeout = httpx2.Timeout(self.limits.silence, connect=self.limits.connect)
        async with (
            contextlib.AsyncExitStack() as call,
            self._client(url, timeout, call) as client,
            client.stream(method, url, headers=headers, content=content) as response,
        ):
            head = {name.lower(): value for name, value in response.headers.items()}
            return Reply(response.status_code, head, await self._body(response) if read_body else b"")

    def _client(self, url: httpx2.URL, timeout: httpx2.Timeout, call: contextlib.AsyncExitStack) -> httpx2.AsyncClient:
        transport = _Transport(_Backend(self.policy, self._resolver, self.targets, call), self._context(url))
        return httpx2.AsyncClient(transport=transport, trust_env=False, follow_redirects=False, timeout=timeout)

    async def _body(self, response: httpx2.Response) -> bytes:
        coding = response.headers.get("content-encoding", "").strip().lower()
        if coding not in CODINGS:
            raise OutboundFailedError(f"{_shown(response.url)}: answered in the coding {coding[:40]!r}, not asked for")
        body = bytearray()
        async for piece in response.aiter_bytes():
            body += piece
            if len(body) > self.limits.body:
                limit = self.limits.body
                raise OutboundFailedError(f"{_shown(response.url)}: the answer is over the limit of {limit} bytes")
        return bytes(body)

    def _context(self, url: httpx2.URL) -> ssl.SSLContext | None:
        if url.scheme == "https" and self._tls is None:
            # Made once, on first use: reading the certificate authorities takes tens of milliseconds.
            self._tls = httpx2.create_ssl_context(trust_env=False)
        return self._tls


def checked_url(url: str) -> httpx2.URL:
    """Return a URL that may be asked for, as far as its text tells. Raises `OutboundRefusedError`."""
    try:
        parsed = httpx2.URL(url)
        host, port = parsed.raw_host, parsed.port
    except (httpx2.InvalidURL, TypeError, ValueError) as error:
        raise OutboundRefusedError(f"not a usable URL: {_words(error)}") from None
    if parsed.scheme not in ("http", "https"):
        raise OutboundRefusedError(f"only http and https may be called, not {parsed.scheme[:20]!r}")
    if not host:
        raise OutboundRefusedError("the URL names no host")
    if parsed.userinfo:
        raise OutboundRefusedError("credentials do not belong into a URL: set a header instead")
    if port is not None and not 0 < port < 65536:
        raise OutboundRefusedError(f"there is no port {port}")
    return parsed


class _Backend(httpcore2.AsyncNetworkBackend):
    """Opens connections, and judges each address before it does."""

    def __init__(
        self, policy: AddressPolicy, resolver: Resolver, targets: Targets, call: contextlib.AsyncExitStack
    ) -> None:
        self._policy, self._resolver, self._targets, self._call = policy, resolver, targets, call
        self._network = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        try:
            async with asyncio.timeout(timeout):
                addresses = await self._resolver(host, port)
            for address in addresses:
                if (objection := self._policy.objection(address, port)) is not None:
                    raise OutboundRefusedError(f"{host} port {port} must not be called: {address} ({objection})")
            if addresses:
                # Not bound by the time to connect: the wait is for our own calls, and for the receiver's good.
                await self._call.enter_async_context(self._targets.turn(addresses[0]))
            async with asyncio.timeout(timeout):
                return await self._first(addresses[:ADDRESSES], port, socket_options)
        except TimeoutError:
            raise httpcore2.ConnectTimeout(f"no connection within {timeout:g} s") from None

    async def _first(
        self, addresses: Sequence[str], port: int, socket_options: Iterable[httpcore2.SOCKET_OPTION] | None
    ) -> httpcore2.AsyncNetworkStream:
        failure: Exception = httpcore2.ConnectError("the name has no address")
        for address in addresses:
            try:
                stream = await self._network.connect_tcp(address, port, socket_options=socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
                continue
            peer = stream.get_extra_info("server_addr")[0]
            if ip_address(peer) != ip_address(address):
                await stream.aclose()
                raise OutboundRefusedError(f"connected to {peer} where {address} was asked for")
            return stream
        raise failure

    async def connect_unix_socket(self, path: str, *_: Any, **__: Any) -> httpcore2.AsyncNetworkStream:
        raise OutboundRefusedError("sockets of this machine must not be called")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class _Transport(httpx2.AsyncBaseTransport):
    """HTTP/1.1 over connections of the backend."""

    def __init__(self, backend: httpcore2.AsyncNetworkBackend, tls: ssl.SSLContext | None) -> None:
        self._pool = httpcore2.AsyncConnectionPool(ssl_context=tls, max_connections=1, network_backend=backend)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        url = request.url
        answer = await self._pool.handle_async_request(
            httpcore2.Request(
                method=request.method,
                url=httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
                headers=request.headers.raw,
                content=request.stream,
                extensions=request.extensions,
            )
        )
        body = _Body(answer)
        return httpx2.Response(answer.status, headers=answer.headers, stream=body, extensions=answer.extensions)

    async def aclose(self) -> None:
        await self._pool.aclose()


class _Body(httpx2.AsyncByteStream):
    def __init__(self, answer: httpcore2.Response) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._answer.aiter_stream():
            yield piece

    async def aclose(self) -> None:
        await self._answer.aclose()


def _shown(url: httpx2.URL) -> str:
    """The URL as far as it may be shown: paths and queries of webhooks carry secrets."""
    return f"{url.scheme}://{url.netloc.decode('ascii', 'replace')}"


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:200]
