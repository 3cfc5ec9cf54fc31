"""The API in a process that does more: where it listens, beside what it is served, and whether it answers."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from mainspring.control.process_health import ProcessHealth
from mainspring.errors import SettingsError

if TYPE_CHECKING:
    from mainspring.app import Mainspring

PORT = 8700
MISSING = "the server needs more packages: pip install 'mainspring[server]'"
#: Seconds a probe may take.
PATIENCE = 5.0


@dataclass(frozen=True, slots=True)
class Door:
    """Where the API is to listen. ``port`` None: the usual one.

    ``modest``: without the packages it needs it is left out, and where the usual port is taken any free one does.
    """

    host: str = "127.0.0.1"
    port: int | None = None
    certificate: str | None = None
    certificate_key: str | None = None
    modest: bool = False

    def settings(self, module: Any) -> Any:
        """Return what the server takes; ``module`` is its own, which is loaded when it is needed."""
        return module.ServerSettings(
            self.host,
            PORT if self.port is None else self.port,
            self.certificate,
            self.certificate_key,
            or_any_port=self.modest and self.port is None,
        )


@contextlib.asynccontextmanager
async def api_beside(app: Mainspring, door: Door, tell: Callable[[str], None]) -> AsyncIterator[None]:
    """Serve the API of an open application while the block runs, and tell where. Raises `SettingsError`."""
    try:
        # In a thread: what runs beside it must not wait while a web framework is loaded.
        module = await asyncio.to_thread(import_module, "mainspring.api.server")
    except ImportError as error:
        if not door.modest:
            raise SettingsError(f"{MISSING}; or leave the API out: --no-api") from error
        tell("the API is not served: pip install 'mainspring[server]'")
        yield
        return
    async with module.serving(app, door.settings(module)) as url:
        tell(f"API at {url}/api/v1")
        yield


def check_api(door: Door) -> ProcessHealth:
    """Ask the server of this host whether it serves."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(door.host, door.host)
    port = PORT if door.port is None else door.port
    try:
        status = _status(host, port, door.certificate)
    except (OSError, http.client.HTTPException) as error:
        return ProcessHealth(False, f"the API does not answer on {host} port {port}: {error}")
    if status != 200:
        return ProcessHealth(False, f"the API on {host} port {port} is not ready: it answers {status}")
    return ProcessHealth(True, f"the API answers on {host} port {port}")


def _status(host: str, port: int, certificate: str | None) -> int:
    connection = http.client.HTTPConnection(host, port, timeout=PATIENCE)
    if certificate is not None:
        # Trust in the very certificate it serves with; its name is not this machine's loopback address.
        tls = ssl.create_default_context(cafile=certificate)
        tls.check_hostname = False
        tls.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        connection = http.client.HTTPSConnection(host, port, timeout=PATIENCE, context=tls)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status
    finally:
        connection.close()
