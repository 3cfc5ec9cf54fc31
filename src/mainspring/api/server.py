"""Serving the API: an address it may be bound to, one process, and an end in under a second with streams open."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import uvicorn

from mainspring.api.app import ApiSettings, create_app
from mainspring.api.guard import is_loopback
from mainspring.errors import SettingsError

if TYPE_CHECKING:
    from mainspring.app.application import Application


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Where to listen, and with which certificate. ``stop_grace``: seconds that running requests have at the end.

    ``or_any_port``: where the port is taken, listen on a free one rather than not at all.
    """

    host: str = "127.0.0.1"
    port: int = 8700
    certificate: str | None = None
    certificate_key: str | None = None
    stop_grace: float = 0.7
    or_any_port: bool = False


class _Server(uvicorn.Server):
    """Uvicorn, which ends open streams as soon as it is told to stop, and lets us end in order after it."""

    def __init__(self, config: uvicorn.Config, api: Any) -> None:
        super().__init__(config)
        self._api, self._loop = api, asyncio.get_running_loop()

    def handle_exit(self, sig: int, frame: Any) -> None:
        """Begin to stop; a second Ctrl-C does not wait for requests.

        Uvicorn's own keeps the signal and raises it once more when it is done, which would end the process before the
        store is closed, and as one that was killed.
        """
        # Not from here: a signal may come between a stream's look at the event and its wait, which would then last.
        self._loop.call_soon_threadsafe(self._api.state.streams.stopping.set)
        if self.should_exit and sig == signal.SIGINT:
            self.force_exit = True
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the streams, then the connections."""
        self._api.state.streams.stopping.set()
        await super().shutdown(sockets)


class _Beside(_Server):
    """The same in a process whose signals are somebody else's."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield


async def serve(
    app: Application,
    settings: ServerSettings,
    api_settings: ApiSettings | None = None,
    *,
    started: asyncio.Future[str] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT. ``started`` is given the URL once requests are taken.

    Raises:
        SettingsError: Where no key has been made and the host is reachable from other machines, or the port is taken.
    """
    await app.open()
    try:
        await _refuse_open_door(app, settings)
        with _bound(settings) as listening:
            api = create_app(app, api_settings)
            server = _Server(_config(api, settings), api)
            telling = asyncio.create_task(_tell(server, url_of(settings, listening), started))
            try:
                await server.serve(sockets=[listening])
            finally:
                telling.cancel()
    finally:
        await app.close()


@contextlib.asynccontextmanager
async def serving(
    app: Application, settings: ServerSettings, api_settings: ApiSettings | None = None
) -> AsyncIterator[str]:
    """Serve beside what else an open application does in this process, while the block runs; yield the URL.

    Signals are left to the process. Leaving the block ends open streams and is done within a second. Raises as `serve`.
    """
    await _refuse_open_door(app, settings)
    with _bound(settings) as listening:
        api = create_app(app, api_settings)
        server = _Beside(_config(api, settings), api)
        running = asyncio.create_task(server.serve(sockets=[listening]), name="mainspring:server")
        try:
            while not server.started:
                if running.done():
                    await running
                    raise SettingsError("the API did not start; the log says why")
                await asyncio.sleep(0.01)  # uvicorn has an attribute and no event
            yield url_of(settings, listening)
        finally:
            api.state.streams.stopping.set()
            server.should_exit = True
            await running


async def _refuse_open_door(app: Application, settings: ServerSettings) -> None:
    if not is_loopback(settings.host) and not await app.store.read(lambda tx: tx.admin.any_key()):
        raise SettingsError(
            f"host {settings.host} can be reached from other machines, and no key has been made: anybody could do "
            "anything. Make one first: mainspring keys create --role admin. Or listen on 127.0.0.1"
        )


def _config(api: Any, settings: ServerSettings) -> uvicorn.Config:
    return uvicorn.Config(
        api,
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=True,
        proxy_headers=False,
        timeout_graceful_shutdown=settings.stop_grace,  # type: ignore[arg-type]  # it waits by asyncio
        timeout_keep_alive=30,
        h11_max_incomplete_event_size=32_768,
        ssl_certfile=settings.certificate,
        ssl_keyfile=settings.certificate_key,
        ws="none",
        lifespan="on",
    )


async def _tell(server: _Server, url: str, started: asyncio.Future[str] | None) -> None:
    while not server.started and not server.should_exit:  # noqa: ASYNC110 - uvicorn has an attribute and no event
        await asyncio.sleep(0.01)
    if started is not None and not started.done():
        started.set_result(url)


def url_of(settings: ServerSettings, listening: socket.socket) -> str:
    """Return where a server is found."""
    scheme = "https" if settings.certificate else "http"
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"{scheme}://{host}:{listening.getsockname()[1]}"


def _bound(settings: ServerSettings) -> socket.socket:
    try:
        return _listening(settings.host, settings.port)
    except OSError as error:
        if settings.or_any_port and error.errno == errno.EADDRINUSE:
            return _listening(settings.host, 0)
        told = f"cannot listen on {settings.host} port {settings.port}: {error.strerror}"
        raise SettingsError(f"{told}. --port takes another, 0 any free one") from error


def _listening(host: str, port: int) -> socket.socket:
    # By name of the protocol: asyncio lets only sockets that name it send at once (TCP_NODELAY). Without, an answer's
    # body waits 40 ms for the client to confirm its head.
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError:
        listening.close()
        raise
    listening.set_inheritable(True)
    return listening
