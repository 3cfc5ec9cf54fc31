"""Workers, dispatchers, and the handlers they announce."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import bindparam

from mainspring.adapters.sql.batches import shape
from mainspring.adapters.sql.session import Session, SqlTable
from mainspring.adapters.sql.tables import dispatchers, handlers, vacancies, workers
from mainspring.model.node import DispatcherNode, HandlerRow, WorkerNode

_WORKER, _DISPATCHER = shape(WorkerNode, workers), shape(DispatcherNode, dispatchers)
_HANDLER = shape(HandlerRow, handlers)

_WORKERS = _WORKER.select.order_by(workers.c.started_at.desc(), workers.c.id.desc())
_DISPATCHERS = _DISPATCHER.select.order_by(dispatchers.c.started_at.desc(), dispatchers.c.id.desc())
_HANDLERS = _HANDLER.select.order_by(handlers.c.name, handlers.c.platform_id)
_HANDLERS_OF = _HANDLERS.where(
    sa.or_(handlers.c.platform_id == sa.literal_column("''"), handlers.c.platform_id == bindparam("platform"))
)
_FORGET = (
    *(sa.delete(table).where(table.c.seen_at < bindparam("before")) for table in (workers, dispatchers)),
    sa.delete(vacancies).where(vacancies.c.worker_id.not_in(sa.select(workers.c.id))),
)


class SqlNodeTable(SqlTable):
    """`NodeTable` in SQL."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        # Asked by whoever reads a job's definition, and again by whoever stores it.
        self._handlers: dict[str | None, list[HandlerRow]] = {}

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
        self._handlers.clear()
        last = {(handler.name, handler.platform_id): handler for handler in handlers}
        self._insert_values(_HANDLER, list(last.values()), on_conflict="replace")

    def handlers(self, platform_id: str | None = None) -> list[HandlerRow]:
        if platform_id not in self._handlers:
            rows = self._all(_HANDLERS) if platform_id is None else self._all(_HANDLERS_OF, platform=platform_id)
            self._handlers[platform_id] = _HANDLER.rows(rows)
        return list(self._handlers[platform_id])
