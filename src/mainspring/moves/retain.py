"""Cleaning: what ended long ago goes, in small steps; nothing that still has work or an event to deliver."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from mainspring.ports.store import Tx

BATCH = 500


@dataclass(frozen=True, slots=True)
class Retention:
    """How long ended things are kept. Decisions stay: the ledger answers for ever what became of an instant."""

    executions: timedelta = timedelta(days=30)
    events: timedelta = timedelta(days=7)
    idempotency_keys: timedelta = timedelta(days=7)
    nodes: timedelta = timedelta(days=1)


def retain(tx: Tx, retention: Retention) -> int:
    """Delete one batch of what is older than its retention; return how many rows of work that was."""
    now = tx.now
    deleted = tx.executions.delete_ended(now - retention.executions, BATCH)
    deleted += tx.outbox.delete_published(now - retention.events, BATCH)
    deleted += tx.chains.delete(now - retention.executions, BATCH)
    deleted += tx.webhooks.delete_ended(now - retention.events, BATCH)
    deleted += tx.platforms.delete_idempotent(now - retention.idempotency_keys, BATCH)
    tx.nodes.forget(now - retention.nodes)
    return deleted
