"""One open transaction: every table, the clock, and what is asked for once it has committed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Protocol, TypeVar, runtime_checkable

from mainspring.model.dispatch import Announcement
from mainspring.model.execution import Execution
from mainspring.ports.admin import AdminTable
from mainspring.ports.search import SearchTable
from mainspring.ports.store.events import ChainTable, InboxTable, OutboxTable
from mainspring.ports.store.executions import ExecutionTable, LogTable
from mainspring.ports.store.fleet import NodeTable, PlatformTable
from mainspring.ports.store.history import HistoryTable
from mainspring.ports.store.jobs import DecisionTable, JobTable
from mainspring.ports.store.letters import DeadLetterTable
from mainspring.ports.store.outlook import Outlook
from mainspring.ports.store.rollups import RollupTable
from mainspring.ports.store.webhooks import WebhookTable

T = TypeVar("T")


class Tx(Protocol):
    """One open transaction. Not to be kept after ``work`` returns."""

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

    def scope(self, platform_id: str | None) -> None:
        """Confine what follows in this transaction to one platform; None lifts that again.

        A second wall behind the conditions of the queries: on PostgreSQL row-level security, elsewhere none.
        """

    @property
    def now(self) -> datetime:
        """The store's clock, read once per transaction; the only clock that decides."""

    def clock(self) -> datetime:
        """Return the store's clock as it is now. ``now`` stands still, for however long the transaction waits."""

    def outlook(self) -> Outlook:
        """Return what comes next for a dispatcher, in one question."""

    def over_at(self, grace: timedelta) -> datetime | None:
        """Return when something next ends by the clock alone, in one question; None for nothing. It may have passed.

        That is an attempt (see `ExecutionTable.next_over`), the time in which one may start, or a pause.
        """

    def new_id(self) -> str:
        """Return a new UUIDv7 of ``now``; later ones of this process sort after earlier ones."""

    def new_ids(self, count: int) -> list[str]:
        """Return ``count`` new ids in ascending order."""

    def end_with_next(self) -> None:
        """Let the next statement take the transaction's end along, where that spares a round trip.

        For work of one statement: whatever it asks or writes after that is a transaction of its own.
        """

    def queue_at_once(self, executions: Iterable[Execution]) -> list[Execution]:
        """Add queued executions of one platform, and announce them; return them, in their order, as stored.

        For a transaction of nothing else, whose end goes along: all is said in one statement and one round trip. Their
        ids and instants, which is ``now``, are the store's to make. None, and nothing is done, where the platform has
        any limit, which has to be looked at, and where there is nothing to spare.
        """

    def keep(self) -> None:
        """Let what this transaction queues be handed to no worker that lends a slot: whoever queues it may want it."""

    def wake(self, *topics: str) -> None:
        """Ask that ``topics`` (see `Wakeups`) are notified once this transaction has committed."""

    def announce(self, announcements: Iterable[Announcement]) -> None:
        """Ask that these are passed on (see `Announcer`) once this transaction has committed, and only then."""


@runtime_checkable
class Rehearsing(Protocol):
    """A transaction of a database whose statements take long to make the first time."""

    def rehearsal(self, now: datetime) -> Tx:
        """Return a transaction at ``now`` that nobody hears of: it finds nothing and writes nothing, wherever it ends.

        What is asked of it is then made, and need not be made when it is asked in earnest.
        """


Work = Callable[[Tx], T]
