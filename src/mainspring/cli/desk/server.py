"""The desk of a server: asks over HTTP, as everybody's client does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, TypeVar

from mainspring.client.ask import Ask
from mainspring.client.drivers import Awaiting

T = TypeVar("T")


class ServerDesk:
    """Sends asks through the client's driver."""

    def __init__(self, driver: Awaiting) -> None:
        self._driver = driver

    async def ask(self, ask: Ask[T]) -> T:
        """Send it, and return its answer."""
        return await self._driver.run(self._driver.caller.ask(ask))

    async def lines(self, ask: Ask[dict[str, Any]]) -> AsyncIterator[dict[str, Any]]:
        """Yield the rows as they come."""
        async for row in self._driver.lines(ask):
            yield row
