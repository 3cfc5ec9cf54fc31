"""Cleaning: what ended long ago goes, in small steps; nothing that still has work or an event to deliver.

Where the store keeps the past in partitions, most of it goes with them, at the cost of dropping a table. The rest, and
all of it elsewhere, goes row by row.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from mainspring.moves.rollup import forget
from mainspring.ports.store import Dropped, KeptSince, Tx

BATCH = 500

#: The note that says from which instant on the ledger is whole.
LEDGER_SINCE = "ledger_since"


@dataclass(frozen=True, slots=True)
class Retention:
    """How long ended things are kept.

    A decision that has gone is not made again: the cursor of its job has passed it and never moves back. Accepted
    events are kept for ever, because a source may repeat one at any time.
    """

    executions: timedelta = timedelta(days=30)
    events: timedelta = timedelta(days=7)
    decisions: timedelta = timedelta(days=400)
    idempotency_keys: timedelta = timedelta(days=7)
    nodes: timedelta = timedelta(days=1)

    def since(self, now: datetime) -> KeptSince:
        """Return from which instants on things are kept at ``now``."""
        return KeptSince(now - self.executions, now - self.events, now - self.decisions)


def drop_partitions(tx: Tx, retention: Retention) -> Dropped:
    """Drop what is older than its retention where that can be done by the partition."""
    since = retention.since(tx.now)
    dropped = tx.history.drop(since)
    if dropped.partitions:
        _note(tx, since)
    return dropped


def retain(tx: Tx, retention: Retention) -> int:
    """Delete one batch of what is older than its retention; return how many rows of work that was."""
    now, since = tx.now, retention.since(tx.now)
    deleted = tx.executions.delete_ended(since.ended, BATCH)
    deleted += tx.outbox.delete_published(since.published, BATCH)
    forgotten = tx.decisions.delete_decided(since.decided, BATCH)
    if forgotten:
        _note(tx, since)
    deleted += forgotten
    deleted += forget(tx, since.decided, BATCH)
    deleted += tx.chains.delete(since.ended, BATCH)
    deleted += tx.webhooks.delete_ended(since.published, BATCH)
    deleted += tx.platforms.delete_idempotent(now - retention.idempotency_keys, BATCH)
    deleted += tx.admin.delete_answers(now - retention.idempotency_keys, BATCH)
    tx.nodes.forget(now - retention.nodes)
    return deleted


def ledger_since(tx: Tx) -> datetime | None:
    """Return from which instant on the ledger is whole; None where nothing was deleted from it yet."""
    noted = tx.platforms.note(LEDGER_SINCE)
    return None if noted is None else datetime.fromisoformat(noted)


def _note(tx: Tx, since: KeptSince) -> None:
    tx.platforms.put_note(LEDGER_SINCE, since.decided.isoformat())
