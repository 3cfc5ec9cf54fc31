"""`Tx` over one session: the tables, the clock, the ids, and what is to be woken."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any

from mainspring.adapters.sql.admin import SqlAdminTable
from mainspring.adapters.sql.decisions import SqlDecisionTable
from mainspring.adapters.sql.dialect import API_ROLE
from mainspring.adapters.sql.events import SqlInboxTable, SqlOutboxTable
from mainspring.adapters.sql.executions import SqlExecutionTable
from mainspring.adapters.sql.history import SqlHistoryTable
from mainspring.adapters.sql.jobs import SqlJobTable
from mainspring.adapters.sql.nodes import SqlNodeTable
from mainspring.adapters.sql.outlook import SqlOutlook
from mainspring.adapters.sql.platforms import SqlPlatformTable
from mainspring.adapters.sql.queueing import QueueingTable
from mainspring.adapters.sql.records import SqlChainTable, SqlDeadLetterTable, SqlLogTable
from mainspring.adapters.sql.rehearsal import Numbers, Rehearsal
from mainspring.adapters.sql.rollups import SqlRollupTable
from mainspring.adapters.sql.search import SqlSearchTable
from mainspring.adapters.sql.session import Session
from mainspring.adapters.sql.types import from_micros
from mainspring.adapters.sql.vacancies import VacancyTable
from mainspring.adapters.sql.webhooks import SqlWebhookTable
from mainspring.model.dispatch import Announcement, dispatch_of
from mainspring.model.execution import Execution
from mainspring.model.ids import Ids
from mainspring.ports.admin import AdminTable
from mainspring.ports.search import SearchTable
from mainspring.ports.store import (
    ChainTable,
    DeadLetterTable,
    DecisionTable,
    ExecutionTable,
    HistoryTable,
    InboxTable,
    JobTable,
    LogTable,
    NodeTable,
    OutboxTable,
    Outlook,
    PlatformTable,
    RollupTable,
    WebhookTable,
)
from mainspring.ports.transport import Aftermath

_TABLES: dict[str, Callable[[Session], Any]] = {
    "jobs": SqlJobTable,
    "decisions": SqlDecisionTable,
    "executions": SqlExecutionTable,
    "logs": SqlLogTable,
    "dead_letters": SqlDeadLetterTable,
    "outbox": SqlOutboxTable,
    "inbox": SqlInboxTable,
    "chains": SqlChainTable,
    "webhooks": SqlWebhookTable,
    "nodes": SqlNodeTable,
    "platforms": SqlPlatformTable,
    "admin": SqlAdminTable,
    "search": SqlSearchTable,
    "history": SqlHistoryTable,
    "rollups": SqlRollupTable,
    "vacancies": VacancyTable,
}


class SqlTx:
    """One open transaction, thrown away with it."""

    jobs: JobTable
    decisions: DecisionTable
    executions: ExecutionTable
    logs: LogTable
    dead_letters: DeadLetterTable
    outbox: OutboxTable
    inbox: InboxTable
    chains: ChainTable
    webhooks: WebhookTable
    nodes: NodeTable
    platforms: PlatformTable
    admin: AdminTable
    search: SearchTable
    history: HistoryTable
    rollups: RollupTable
    vacancies: VacancyTable

    def __init__(self, session: Session, ids: Ids | Numbers) -> None:
        self._session, self._ids = session, ids
        self.aftermath = Aftermath()

    def __getattr__(self, name: str) -> Any:
        # Made when first asked for: most transactions ask for two or three of them.
        kind = _TABLES.get(name)
        if kind is None:
            raise AttributeError(name)
        table = self.__dict__[name] = kind(self._session)
        return table

    def scope(self, platform_id: str | None) -> None:
        confine = self._session.dialect.confine
        if confine is not None:
            self._session.execute(confine, {"platform": platform_id or "", "role": API_ROLE if platform_id else "none"})
            self._session.confined = platform_id is not None

    @property
    def now(self) -> datetime:
        return self._session.now

    def clock(self) -> datetime:
        asked = self._session.dialect.clock
        return self._session.now if asked is None else from_micros(self._session.execute(asked).scalar())

    def outlook(self) -> Outlook:
        return SqlOutlook(self._session).ask()

    def over_at(self, grace: timedelta) -> datetime | None:
        return SqlOutlook(self._session).over_at(grace)

    def new_id(self) -> str:
        return self._ids.new(self._session.now)

    def new_ids(self, count: int) -> list[str]:
        return self._ids.several(self._session.now, count)

    def rehearsal(self, now: datetime) -> SqlTx:
        return SqlTx(Rehearsal(self._session.dialect, self._session.statements, now), Numbers())

    def end_with_next(self) -> None:
        self._session.end_with_next(self.aftermath)

    def queue_at_once(self, executions: Iterable[Execution]) -> list[Execution]:
        if isinstance(self._ids, Numbers):
            return []
        new = list(executions)
        if not self._session.dialect.one_writer:
            # Whom to tell along with the commit is asked before there are ids.
            self._session.end_with_next(Aftermath(announcements=list(map(dispatch_of, new))))
        stored = QueueingTable(self._session).queue(new, self._ids)
        self.announce(sorted(map(dispatch_of, stored), key=attrgetter("priority"), reverse=True))
        return stored

    def keep(self) -> None:
        self._session.kept = True

    def wake(self, *topics: str) -> None:
        self.aftermath.topics.update(dict.fromkeys(topics))

    def announce(self, announcements: Iterable[Announcement]) -> None:
        self.aftermath.announcements += announcements
