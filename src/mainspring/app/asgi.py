"""`Mainspring.asgi`: the REST API inside somebody else's web application."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, MutableMapping
from importlib import import_module
from typing import Any

from mainspring.app.application import Application
from mainspring.errors import SettingsError

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class MountedApi:
    """An ASGI application that starts with its first request, and ends when its application lets go of the database.

    A web framework runs the lifespan of what it serves, and not of what is mounted below it.
    """

    def __init__(self, app: Application) -> None:
        try:
            # By name: the API stands a floor above, and is only handed on here, to whoever asks for it.
            self._api: Any = import_module("mainspring.api").create_app(app)
        except ImportError as error:
            raise SettingsError("the API needs more packages: pip install 'mainspring[server]'") from error
        self._app = app
        self._served = False
        self._starting = asyncio.Lock()
        self._running: contextlib.AsyncExitStack | None = None

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request; a lifespan is the API's own, where this is served by itself."""
        if scope["type"] == "lifespan":
            self._served = True
        elif not self._served:
            await self._start()
        await self._api(scope, receive, send)

    async def _start(self) -> None:
        async with self._starting:
            if self._running is None:
                running = contextlib.AsyncExitStack()
                await running.enter_async_context(self._api.router.lifespan_context(self._api))
                self._running = running
                self._app.before_close.append(self._stop)

    async def _stop(self) -> None:
        running, self._running = self._running, None
        if running is not None:
            await running.aclose()
