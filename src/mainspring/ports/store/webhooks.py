"""Webhooks, and the deliveries they are owed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from mainspring.model.webhook import DeliveryState, Webhook, WebhookDelivery


class WebhookTable(Protocol):
    """Webhooks and what they are owed."""

    def add(self, webhook: Webhook) -> None:
        """Insert a webhook."""

    def save(self, webhook: Webhook) -> None:
        """Write a webhook whole; one that was deleted meanwhile stays so."""

    def get(self, platform_id: str, webhook_id: str, *, lock: bool = False) -> Webhook | None:
        """Return one."""

    def find(self, platform_id: str) -> list[Webhook]:
        """Return a platform's webhooks, oldest first."""

    def delete(self, webhook_id: str) -> None:
        """Delete a webhook with all it is owed."""

    def lock_enabled(self, platform_ids: Sequence[str]) -> list[Webhook]:
        """Lock and return the enabled webhooks of these platforms, by id."""

    def due(self, limit: int) -> list[Webhook]:
        """Return enabled webhooks that have a delivery to be tried now, those that waited longest first."""

    def next_due_at(self) -> datetime | None:
        """Return when the next delivery of an enabled webhook may be tried."""

    def owe(self, deliveries: Sequence[WebhookDelivery]) -> None:
        """Insert deliveries, in order."""

    def open_subjects(self, webhook_id: str, subjects: Sequence[str]) -> set[str]:
        """Return those of ``subjects`` about which a delivery to the webhook is still held or ready."""

    def take(self, webhook_id: str, limit: int, until: datetime) -> list[WebhookDelivery]:
        """Count a try of the oldest ready deliveries whose time has come, and return them so.

        They become available again at ``until``, should nobody report. Others' locks are skipped.
        """

    def end_try(self, delivery: WebhookDelivery) -> bool:
        """Write state, times and detail of a delivery if it is ready and its ``attempts`` is still the present one."""

    def release_next(self, webhook_id: str, subject: str) -> None:
        """Make ready the oldest delivery held back by an earlier one about the same subject."""

    def hasten(self, webhook_id: str, later_than: datetime, failing_since: datetime) -> None:
        """Make available now what is ready, not so before ``later_than``, and first failed at ``failing_since`` on."""

    def deliveries(
        self, webhook_id: str, *, state: DeliveryState | None = None, before_id: str | None = None, limit: int = 50
    ) -> list[WebhookDelivery]:
        """Return deliveries, newest id first."""

    def owed(self, webhook_id: str, limit: int) -> int:
        """Count deliveries held or ready, up to ``limit``."""

    def delete_ended(self, before: datetime, limit: int) -> int:
        """Delete deliveries that ended before an instant; return how many."""
