"""The fleet and its platforms: nodes, handlers, limits, calendars, leases and notes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Protocol

from mainspring.model.node import DispatcherNode, HandlerRow, Limit, WorkerNode


class NodeTable(Protocol):
    """Workers, dispatchers and announced handlers."""

    def put_worker(self, worker: WorkerNode) -> None:
        """Insert or replace a worker's row."""

    def workers(self, *, seen_since: datetime | None = None) -> list[WorkerNode]:
        """Return workers, newest first; only those alive if ``seen_since`` is given."""

    def put_dispatcher(self, dispatcher: DispatcherNode) -> None:
        """Insert or replace a dispatcher's row."""

    def dispatchers(self, *, seen_since: datetime | None = None) -> list[DispatcherNode]:
        """Return dispatchers, newest first."""

    def forget(self, before: datetime) -> None:
        """Delete nodes not seen since ``before``."""

    def announce(self, handlers: Sequence[HandlerRow]) -> None:
        """Insert or replace announced handlers."""

    def handlers(self, platform_id: str | None = None) -> list[HandlerRow]:
        """Return announced handlers a platform may use (None: all), by name."""


class PlatformTable(Protocol):
    """Platforms, their limits, calendars, idempotency keys, and the database's own notes."""

    def timezone(self, platform_id: str) -> str | None:
        """Return a platform's zone, None when it has none."""

    def put_timezone(self, platform_id: str, timezone: str | None) -> None:
        """Set a platform's zone."""

    def limits(self, platform_id: str | None = None) -> list[Limit]:
        """Return limits, of one platform or all."""

    def put_limit(self, limit: Limit) -> None:
        """Insert or replace a limit; all bounds None removes it."""

    def lock_limits(self, limits: Sequence[Limit]) -> None:
        """Hold these limits' rows until the transaction ends, so that counting and admitting are one."""

    def admitted_since(self, platform_id: str, queue: str, since: datetime) -> int:
        """Return how many executions of a queue its rate has let through at or after an instant."""

    def record_admitted(
        self, platform_id: str, queue: str, count: int, *, at: datetime, forget_before: datetime
    ) -> None:
        """Record that a queue's rate let ``count`` executions through; forget what it did before an instant."""

    def make_up_for(self, step: timedelta) -> None:
        """Let what rates have let through count as before, after the clock has stepped back by that much."""

    def calendars(self, platform_id: str) -> dict[str, frozenset[date]]:
        """Return the named calendars of a platform."""

    def put_calendar(self, platform_id: str, name: str, dates: Mapping[date, str], *, source: str) -> None:
        """Replace a calendar's dates (each with its own name, may be empty)."""

    def delete_calendar(self, platform_id: str, name: str) -> bool:
        """Delete a calendar with its dates; False where there is none of that name."""

    def idempotent(self, platform_id: str, key: str) -> tuple[str, str] | None:
        """Return (request hash, execution id) stored under a key."""

    def put_idempotent(self, platform_id: str, key: str, request_hash: str, execution_id: str) -> bool:
        """Store a key; False when it exists."""

    def delete_idempotent(self, before: datetime, limit: int) -> int:
        """Delete keys older than an instant; return how many."""

    def note(self, name: str) -> str | None:
        """Return one of the database's own notes, such as the zone data's version."""

    def put_note(self, name: str, value: str) -> None:
        """Set a note."""

    def lease(self, name: str, holder: str, until: datetime) -> bool:
        """Take, or keep, the lease of that name until an instant; False while another holder's runs.

        An ``until`` that is not after the store's now lets go of it.
        """
