"""Workers, dispatchers, and the handlers they announce."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import bindparam

from mainspring.adapters.sql.batches import shape
from mainspring.adapters.sql.session import SqlTable
from mainspring.adapters.sql.tables import dispatchers, handlers, workers
from mainspring.model.node import DispatcherNode, HandlerRow, WorkerNode

_WORKER, _DISPATCHER = shape(WorkerNode, workers), shape(DispatcherNode, dispatchers)
_HANDLER = shape(HandlerRow, handlers)

_WORKERS = _WORKER.select.order_by(workers.c.started_at.desc(), workers.c.id.desc())
_DISPATCHERS = _DISPATCHER.select.order_by(dispatchers.c.started_at.desc(), dispatchers.c.id.desc())
_HANDLERS = _HANDLER.select.order_by(handlers.c.name, handlers.c.platform_id)
_FORGET = tuple(sa.delete(table).where(table.c.seen_at < bindparam("before")) for table in (workers, dispatchers))


class SqlNodeTable(SqlTable):
    """`NodeTable` in SQL."""

    def put_worker(self, worker: WorkerNode) -> None:
        self._put_values(_WORKER, [worker], on_conflict="replace")

    def workers(self, *, seen_since: datetime | None = None) -> list[WorkerNode]:
        seen = sa.true() if seen_since is None else workers.c.seen_at >= seen_since
        return _WORKER.rows(self._all(_WORKERS.where(seen)))

    def put_dispatcher(self, dispatcher: DispatcherNode) -> None:
        self._put_values(_DISPATCHER, [dispatcher], on_conflict="replace")

    def dispatchers(self, *, seen_since: datetime | None = None) -> list[DispatcherNode]:
        seen = sa.true() if seen_since is None else dispatchers.c.seen_at >= seen_since
        return _DISPATCHER.rows(self._all(_DISPATCHERS.where(seen)))

    def forget(self, before: datetime) -> None:
        for statement in _FORGET:
            self._run(statement, {"before": before})

    def announce(self, handlers: Sequence[HandlerRow]) -> None:
        last = {(handler.name, handler.platform_id): handler for handler in handlers}
        self._insert_values(_HANDLER, list(last.values()), on_conflict="replace")

    def handlers(self, platform_id: str | None = None) -> list[HandlerRow]:
        if platform_id is None:
            return _HANDLER.rows(self._all(_HANDLERS))
        return _HANDLER.rows(self._all(_HANDLERS.where(handlers.c.platform_id.in_([None, platform_id]))))
