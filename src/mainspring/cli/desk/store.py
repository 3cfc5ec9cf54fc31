"""The desk of a database: the same asks, answered by `control` in this process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import orjson

from mainspring.client.ask import Ask
from mainspring.control.keys import KeyService
from mainspring.control.listing import ListRequest, list_page
from mainspring.control.operations import OperationService
from mainspring.control.platforms import PlatformAdmin
from mainspring.control.rows import chosen_fields, page_body
from mainspring.control.scheduler import SchedulerService
from mainspring.control.webhooks import WebhookService
from mainspring.model.filters import Node
from mainspring.model.nouns import Noun
from mainspring.ports.store import Tx

if TYPE_CHECKING:
    from mainspring.app import Mainspring

T = TypeVar("T")

Answer = Callable[["StoreDesk", Ask[Any]], Awaitable[Any]]
#: Whoever has the database sees payloads: what is shown to the API's keys of that right.
CONTENT = True


class StoreDesk:
    """Answers asks from an open application. Whoever has the database may do everything."""

    def __init__(self, app: Mainspring, *, actor: str = "cli") -> None:
        self.app, self._actor = app, actor
        self.platform_id = app.platform_id

    async def ask(self, ask: Ask[T]) -> T:
        """Answer it, as the API would."""
        from mainspring.cli.desk.answers import ANSWERS

        plain = await ANSWERS[ask.operation](self, ask)
        # Through JSON, as a server's answer comes: what is shown is the same to the last sign.
        return ask.reads(orjson.loads(orjson.dumps(plain, default=str)))

    async def lines(self, ask: Ask[dict[str, Any]]) -> AsyncIterator[dict[str, Any]]:
        """Yield the rows of an export, read page by page."""
        from mainspring.control.export import Kind, export
        from mainspring.model.redact import redacted

        async for page in export(self.read, self.platform_id, Kind(ask.values["kind"]), job=ask.query.get("job")):
            for row in page:
                yield orjson.loads(orjson.dumps(redacted(row), default=str))

    # -- for the answers -----------------------------------------------------------------------------------------

    @cached_property
    def scheduler(self) -> SchedulerService:
        """Jobs, executions, dead letters and events."""
        return self.app.scheduler(actor=self._actor)

    @cached_property
    def operations(self) -> OperationService:
        """Bulk actions and backfills."""
        return OperationService(self.app.store, **self._named)

    @cached_property
    def keys(self) -> KeyService:
        """Keys, of every platform: whoever has the database has them all."""
        service = KeyService(self.app.store, **self._named)
        service.everywhere = True
        return service

    @cached_property
    def webhooks(self) -> WebhookService:
        """Webhooks and what they are owed."""
        return WebhookService(self.app.store, **self._named)

    @cached_property
    def platforms(self) -> PlatformAdmin:
        """The platform itself."""
        return PlatformAdmin(self.app.store, **self._named)

    @property
    def _named(self) -> dict[str, Any]:
        return {"platform_id": self.platform_id, "schedules": self.app.schedules, "actor": self._actor}

    async def read(self, work: Callable[[Tx], T]) -> T:
        """Run a read."""
        return await self.app.store.read(work)

    async def page(
        self, noun: Noun, ask: Ask[Any], show: Callable[[Tx, Any], list[dict[str, Any]]], *fixed: Node
    ) -> Any:
        """Return one page of a list, as the API does."""
        query: Mapping[str, Any] = {name: value for name, value in ask.query.items() if value is not None}
        request = ListRequest(
            query.get("filter", ""),
            query.get("sort", ""),
            query.get("page_size", 50),
            query.get("page_token"),
            query.get("count", "none"),
            query.get("allow_scan", False),
        )

        def work(tx: Tx) -> Any:
            page = list_page(tx, noun, self.platform_id, request, *fixed)
            rows = [chosen_fields(row, query.get("fields", "")) for row in show(tx, page.rows)]
            return page_body(page, rows)

        return await self.read(work)
