"""Where commands ask: a server, or a database. They know neither, only the asks and shapes of the client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Protocol, TypeVar

from mainspring.client.ask import Ask

T = TypeVar("T")


class Desk(Protocol):
    """Answers the asks of `mainspring.client`, in the shapes of the API, with the errors of `mainspring.errors`."""

    async def ask(self, ask: Ask[T]) -> T:
        """Return the answer. Changes are durable when it returns."""

    def lines(self, ask: Ask[dict[str, Any]]) -> AsyncIterator[dict[str, Any]]:
        """Yield the rows of an answer of any length."""
