"""The API in a process that does more: where it listens, and beside what it is served."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from mainspring.errors import SettingsError

if TYPE_CHECKING:
    from mainspring.app import Mainspring

PORT = 8700
MISSING = "the server needs more packages: pip install 'mainspring[server]'"


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
