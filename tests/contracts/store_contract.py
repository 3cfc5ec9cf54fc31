"""What every `Store` promises, as tests. An adapter subclasses `StoreContract` and provides one fixture.

    class TestMemoryStore(StoreContract):
        @pytest.fixture
        async def store(self, clock, told):
            store = MemoryStore(clock, random=Random(1), record_transitions=True, **told)
            await store.open()
            yield store
            await store.close()

The store is empty, open, records transitions, tells ``wakeups`` what to wake and ``announcer`` what was announced (the
``told`` fixture is both, as arguments) and, where it can, reads ``clock``. One
whose clock is its own sets ``clock_can_be_moved = False``: tests that move it ask for ``advance`` and are skipped.
Tests use UUIDv7 for whatever the engine makes an id for, and what lives as long as the row it refers to is never
written without that row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar

import pytest

from mainspring.adapters.memory import InProcessWakeups
from mainspring.model.dispatch import Announcement
from mainspring.ports.store import Store
from mainspring.ports.transport import DatabaseTransport
from mainspring.testing.clock import ManualClock
from tests.contracts.store_decisions import DecisionContract
from tests.contracts.store_events import EventContract
from tests.contracts.store_executions import ExecutionContract
from tests.contracts.store_fleet import FleetContract
from tests.contracts.store_jobs import JobContract
from tests.contracts.store_moves import MoveContract
from tests.contracts.store_outlook import OutlookContract
from tests.contracts.store_queueing import QueueingContract
from tests.contracts.store_queues import QueueContract
from tests.contracts.store_records import RecordContract
from tests.contracts.store_rollups import RollupContract
from tests.contracts.store_search import AdminContract, SearchContract
from tests.contracts.store_transactions import TransactionContract
from tests.contracts.store_webhooks import WebhookContract


class HeardWakeups(InProcessWakeups):
    """Wakeups that remember what they were told, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[str] = []

    def notify(self, *topics: str) -> None:
        """Remember ``topics`` and pass them on."""
        self.heard.extend(topics)
        super().notify(*topics)


class HeardAnnouncer(DatabaseTransport):
    """The database's transport, remembering what it was given, in order."""

    def __init__(self) -> None:
        self.heard: list[Announcement] = []

    def announce(self, announcements: Sequence[Announcement], *, told: bool = False) -> Iterable[str]:
        """Remember and pass on."""
        self.heard.extend(announcements)
        return super().announce(announcements)


class StoreContract(
    TransactionContract,
    JobContract,
    DecisionContract,
    ExecutionContract,
    MoveContract,
    QueueContract,
    QueueingContract,
    OutlookContract,
    RecordContract,
    EventContract,
    WebhookContract,
    FleetContract,
    RollupContract,
    SearchContract,
    AdminContract,
):
    """Every promise of `mainspring.ports.store`."""

    #: Whether the store reads the ``clock`` fixture.
    clock_can_be_moved: ClassVar[bool] = True

    @pytest.fixture
    def clock(self) -> ManualClock:
        """Return the clock to give to the store."""
        return ManualClock()

    @pytest.fixture
    def wakeups(self) -> HeardWakeups:
        """Return the wakeups to give to the store."""
        return HeardWakeups()

    @pytest.fixture
    def announcer(self) -> HeardAnnouncer:
        """Return the announcer to give to the store."""
        return HeardAnnouncer()

    @pytest.fixture
    def told(self, wakeups: HeardWakeups, announcer: HeardAnnouncer) -> dict[str, Any]:
        """Return whom the store is to tell, as its arguments."""
        return {"wakeups": wakeups, "announcer": announcer}

    @pytest.fixture
    def advance(self, clock: ManualClock) -> Callable[[timedelta], datetime]:
        """Return how to move the store's clock."""
        if not self.clock_can_be_moved:
            pytest.skip("this store's clock cannot be moved")
        return clock.advance

    @pytest.fixture
    def by_row(self, store: Store) -> None:
        """See that what has ended lies where it is deleted row by row: a store with partitions takes them off."""

    @pytest.fixture
    async def now(self, store: Store) -> datetime:
        """Return the store's instant at the start of the test."""
        return await store.read(lambda tx: tx.now)
