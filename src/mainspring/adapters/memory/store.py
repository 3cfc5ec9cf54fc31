"""The store itself: one transaction at a time, undone by a journal if its work raises.

Async calls run their work at once, without awaiting anything: within one event loop a transaction is a single step,
which is what the simulation interleaves. Rows are copied on the way in and out: callers share nothing with the store.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from datetime import datetime, timedelta
from random import Random
from typing import TypeVar

from mainspring.adapters.memory.admin import MemoryAdminTable, MemorySearchTable
from mainspring.adapters.memory.decisions import MemoryDecisionTable
from mainspring.adapters.memory.events import MemoryInboxTable, MemoryOutboxTable
from mainspring.adapters.memory.execution_rows import ExecutionRows
from mainspring.adapters.memory.executions import MemoryExecutionTable
from mainspring.adapters.memory.fleet import MemoryNodeTable, MemoryPlatformTable
from mainspring.adapters.memory.history import MemoryHistoryTable
from mainspring.adapters.memory.jobs import MemoryJobTable
from mainspring.adapters.memory.journal import Journal
from mainspring.adapters.memory.records import MemoryChainTable, MemoryDeadLetterTable, MemoryLogTable
from mainspring.adapters.memory.rollups import MemoryRollupTable
from mainspring.adapters.memory.webhooks import MemoryWebhookTable
from mainspring.errors import StoreError, StoreUnavailableError
from mainspring.model.dispatch import Announcement
from mainspring.model.execution import Execution
from mainspring.model.ids import Ids
from mainspring.model.nouns import Noun
from mainspring.ports.admin import AdminTable
from mainspring.ports.clock import Clock, Wakeups
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
    Work,
)
from mainspring.ports.transport import Aftermath, Announcer, DatabaseTransport

T = TypeVar("T")


class MemoryTx:
    """`Tx` over the dictionaries. One object serves every transaction of its store, one after the other."""

    def __init__(self, journal: Journal, ids: Ids, *, record_transitions: bool) -> None:
        self._journal = journal
        self._ids = ids
        self.aftermath = Aftermath()
        rows = ExecutionRows(journal)
        logs, outbox = MemoryLogTable(journal, rows), MemoryOutboxTable(journal)
        jobs, decisions, inbox = MemoryJobTable(journal), MemoryDecisionTable(journal), MemoryInboxTable(journal)
        self.jobs: JobTable = jobs
        self.decisions: DecisionTable = decisions
        letters = MemoryDeadLetterTable(journal)
        executions = MemoryExecutionTable(journal, rows, logs, outbox, letters, record_transitions=record_transitions)
        self.executions: ExecutionTable = executions
        self._others_over = (executions.next_start_expired, jobs.next_resumed_at)
        self.logs: LogTable = logs
        self.dead_letters: DeadLetterTable = letters
        self.outbox: OutboxTable = outbox
        self.inbox: InboxTable = inbox
        self.chains: ChainTable = MemoryChainTable(journal)
        webhooks = MemoryWebhookTable(journal)
        self.webhooks: WebhookTable = webhooks
        self.nodes: NodeTable = MemoryNodeTable(journal)
        admin = MemoryAdminTable(journal)
        self.platforms: PlatformTable = MemoryPlatformTable(journal, admin.platform_rows)
        self.admin: AdminTable = admin
        self.search: SearchTable = MemorySearchTable(
            {
                Noun.JOBS: jobs.every,
                Noun.EXECUTIONS: rows.all.values,
                Noun.DECISIONS: decisions.every,
                Noun.DEAD_LETTERS: letters.every,
                Noun.EVENTS: inbox.every,
                Noun.OUTBOX: outbox.every,
                Noun.AUDIT: lambda: admin.trail,
                Noun.OPERATIONS: admin.running.values,
                Noun.KEYS: admin.keys.values,
                Noun.WEBHOOK_DELIVERIES: webhooks.every,
            }
        )
        self.history: HistoryTable = MemoryHistoryTable()
        self.rollups: RollupTable = MemoryRollupTable(journal)

    def scope(self, platform_id: str | None) -> None:
        """Confine nothing: in memory the conditions of the queries are the one wall."""

    @property
    def now(self) -> datetime:
        return self._journal.now

    def clock(self) -> datetime:
        return self._journal.now  # there is one writer, who has waited for nobody

    def outlook(self) -> Outlook:
        return Outlook(
            self.jobs.next_due_at(),
            self.executions.next_available_at(),
            self.webhooks.next_due_at(),
            blocked=bool(self.executions.blockers(1)),
            unpublished=bool(self.outbox.unpublished(1)),
        )

    def over_at(self, grace: timedelta) -> datetime | None:
        over = (self.executions.next_over(grace), *(ask() for ask in self._others_over))
        return min((at for at in over if at is not None), default=None)

    def new_id(self) -> str:
        return self._ids.new(self.now)

    def new_ids(self, count: int) -> list[str]:
        return self._ids.several(self.now, count)

    def end_with_next(self) -> None:
        """Nothing to spare."""

    def queue_at_once(self, executions: Iterable[Execution]) -> list[Execution]:
        return []  # nothing to spare

    def keep(self) -> None:
        """Nobody lends slots here."""

    def wake(self, *topics: str) -> None:
        self.aftermath.topics.update(dict.fromkeys(topics))

    def announce(self, announcements: Iterable[Announcement]) -> None:
        self.aftermath.announcements += announcements


class MemoryStore:
    """`Store` in dictionaries: gone with the process, exact while it lasts.

    Closing keeps what is stored, so that opening again is a restart. Work must not call the store it runs in.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        random: Random,
        wakeups: Wakeups | None = None,
        announcer: Announcer | None = None,
        record_transitions: bool = False,
    ) -> None:
        self._clock = clock
        self._wakeups = wakeups
        self._announcer = announcer or DatabaseTransport()
        self._journal = Journal()
        self._tx = MemoryTx(self._journal, Ids(random), record_transitions=record_transitions)
        # Reentrant, so that work calling the store of its own thread is told so instead of waiting for ever.
        self._lock = threading.RLock()
        self._open = self._busy = False

    async def open(self) -> None:
        """Start serving."""
        self._open = True

    async def close(self) -> None:
        """Refuse further calls."""
        self._open = False

    async def write(self, work: Work[T]) -> T:
        """Run ``work`` as one transaction; what it raises undoes all of it."""
        return self.write_blocking(work)

    async def read(self, work: Work[T]) -> T:
        """Run ``work``, which gets a `StoreError` if it writes."""
        return self.read_blocking(work)

    def write_blocking(self, work: Work[T]) -> T:
        """Do `write` from any thread."""
        with self._lock:
            result = self._run(work, writing=True)
            aftermath = self._tx.aftermath
        topics = aftermath.pass_on(self._announcer)
        if topics and self._wakeups is not None:
            self._wakeups.notify(*topics)
        return result

    def read_blocking(self, work: Work[T]) -> T:
        """Do `read` from any thread."""
        with self._lock:
            return self._run(work, writing=False)

    def _run(self, work: Work[T], *, writing: bool) -> T:
        if not self._open:
            raise StoreUnavailableError("the store is not open")
        if self._busy:
            raise StoreError("work called the store it runs in: use its transaction instead")
        self._busy = True
        self._tx.aftermath = Aftermath()
        self._journal.begin(self._clock.now(), writing=writing)
        try:
            result = work(self._tx)
        except BaseException:
            self._journal.rollback()
            raise
        finally:
            self._busy = False
        self._journal.commit()
        return result
