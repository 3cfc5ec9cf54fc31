"""Webhooks and what they are owed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import count

from mainspring.adapters.memory.journal import Journal
from mainspring.adapters.memory.values import each_isolated, isolated
from mainspring.errors import ConflictError
from mainspring.model.webhook import DeliveryState, Webhook, WebhookDelivery

_OPEN = (DeliveryState.HELD, DeliveryState.READY)


class MemoryWebhookTable:
    """`WebhookTable` in dictionaries; deliveries by id, in the order in which they were owed."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._numbers = count()
        self._webhooks: dict[str, Webhook] = {}
        self._deliveries: dict[str, tuple[int, WebhookDelivery]] = {}

    def add(self, webhook: Webhook) -> None:
        if webhook.id in self._webhooks:
            raise ConflictError(f"webhook {webhook.id} exists already")
        self._journal.put(self._webhooks, webhook.id, isolated(webhook))

    def save(self, webhook: Webhook) -> None:
        if webhook.id in self._webhooks:
            self._journal.put(self._webhooks, webhook.id, isolated(webhook))

    def get(self, platform_id: str, webhook_id: str, *, lock: bool = False) -> Webhook | None:
        webhook = self._webhooks.get(webhook_id)
        return None if webhook is None or webhook.platform_id != platform_id else isolated(webhook)

    def find(self, platform_id: str) -> list[Webhook]:
        return self._sorted(w for w in self._webhooks.values() if w.platform_id == platform_id)

    def delete(self, webhook_id: str) -> None:
        self._journal.drop(self._webhooks, webhook_id)
        for delivery in self._of(webhook_id):
            self._journal.drop(self._deliveries, delivery.id)

    def lock_enabled(self, platform_ids: Sequence[str]) -> list[Webhook]:
        return self._sorted(w for w in self._webhooks.values() if w.enabled and w.platform_id in platform_ids)

    @staticmethod
    def _sorted(webhooks: Iterable[Webhook]) -> list[Webhook]:
        return each_isolated(sorted(webhooks, key=lambda webhook: webhook.id))

    def due(self, limit: int) -> list[Webhook]:
        now = self._journal.now
        due = sorted((at, webhook_id) for webhook_id, at in self._due_at().items() if at <= now)
        return each_isolated([self._webhooks[webhook_id] for _, webhook_id in due[:limit]])

    def next_due_at(self) -> datetime | None:
        return min(self._due_at().values(), default=None)

    def _due_at(self) -> dict[str, datetime]:
        found: dict[str, datetime] = {}
        for _, delivery in self._deliveries.values():
            webhook = self._webhooks[delivery.webhook_id]
            if delivery.state is DeliveryState.READY and webhook.enabled:
                at = max(delivery.available_at, webhook.retry_at or delivery.available_at)
                found[webhook.id] = min(found.get(webhook.id, at), at)
        return found

    def owe(self, deliveries: Sequence[WebhookDelivery]) -> None:
        for delivery in deliveries:
            self._journal.put(self._deliveries, delivery.id, (next(self._numbers), delivery))

    def open_subjects(self, webhook_id: str, subjects: Sequence[str]) -> set[str]:
        found = {d.subject for d in self._of(webhook_id) if d.state in _OPEN}
        return {subject for subject in subjects if subject in found}

    def take(self, webhook_id: str, limit: int, until: datetime) -> list[WebhookDelivery]:
        now = self._journal.now
        due = [d for d in self._of(webhook_id) if d.state is DeliveryState.READY and d.available_at <= now]
        due.sort(key=lambda d: (d.available_at, self._deliveries[d.id][0]))
        taken = [replace(d, available_at=until, attempts=d.attempts + 1) for d in due[:limit]]
        for delivery in taken:
            self._put(delivery)
        return taken

    def end_try(self, delivery: WebhookDelivery) -> bool:
        found = self._deliveries.get(delivery.id)
        if found is None or found[1].state is not DeliveryState.READY or found[1].attempts != delivery.attempts:
            return False
        self._put(delivery)
        return True

    def release_next(self, webhook_id: str, subject: str) -> None:
        held = (d for d in self._of(webhook_id) if d.subject == subject and d.state is DeliveryState.HELD)
        first = min(held, key=lambda d: self._deliveries[d.id][0], default=None)
        if first is not None:
            self._put(replace(first, state=DeliveryState.READY))

    def hasten(self, webhook_id: str, later_than: datetime, failing_since: datetime) -> None:
        for d in self._of(webhook_id):
            failed = d.failing_since is not None and d.failing_since >= failing_since
            if d.state is DeliveryState.READY and d.available_at > later_than and failed:
                self._put(replace(d, available_at=self._journal.now))

    def deliveries(
        self, webhook_id: str, *, state: DeliveryState | None = None, before_id: str | None = None, limit: int = 50
    ) -> list[WebhookDelivery]:
        found = [d for d in self._of(webhook_id) if state in (None, d.state)]
        found = [d for d in found if before_id is None or d.id < before_id]
        return sorted(found, key=lambda d: d.id, reverse=True)[:limit]

    def every(self) -> Iterable[WebhookDelivery]:
        """Return every delivery."""
        return [delivery for _, delivery in self._deliveries.values()]

    def owed(self, webhook_id: str, limit: int) -> int:
        return min(limit, sum(d.state in _OPEN for d in self._of(webhook_id)))

    def delete_ended(self, before: datetime, limit: int) -> int:
        ended = (d for _, d in self._deliveries.values() if d.ended_at is not None and d.ended_at < before)
        old = sorted(d.id for d in ended)[:limit]
        for delivery_id in old:
            self._journal.drop(self._deliveries, delivery_id)
        return len(old)

    def _of(self, webhook_id: str) -> list[WebhookDelivery]:
        return [d for _, d in self._deliveries.values() if d.webhook_id == webhook_id]

    def _put(self, delivery: WebhookDelivery) -> None:
        self._journal.put(self._deliveries, delivery.id, (self._deliveries[delivery.id][0], delivery))
