"""Webhooks, as API, CLI and code ask for them: subscribe, list, rotate, test. Secrets are told once and never again."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from mainspring.errors import ConflictError, NotFoundError, ValidationError
from mainspring.model.cloudevents import encoded
from mainspring.model.durations import duration
from mainspring.model.events import Event
from mainspring.model.webhook import Answer, DeliveryState, Webhook, WebhookDelivery
from mainspring.model.wire import instant
from mainspring.ports.store import Store, Tx
from mainspring.ports.webhooks import WebhookSender
from mainspring.schedule import event_matches

#: Most webhooks of one platform: each event is matched against all of them.
MOST = 100
#: How long the former secret signs beside a new one.
ROTATION = timedelta(hours=24)
#: What a test posts.
TEST_EVENT = "scheduler:webhook.test"


@dataclass(frozen=True, slots=True)
class NewSecret:
    """A webhook with the secret it was just given: the one time it is told."""

    webhook: Webhook
    secret: str


class WebhookService:
    """The webhooks of one platform. Each method is one transaction. Raises `NotFoundError`, `ValidationError`."""

    def __init__(self, store: Store, *, platform_id: str = "default") -> None:
        self._store, self.platform_id = store, platform_id

    async def create(
        self, url: str, events: Sequence[str] = ("**",), *, description: str = "", secret: str | None = None
    ) -> NewSecret:
        """Subscribe a URL to the events whose type matches a pattern; without ``secret`` one is made."""
        check_url(url)
        chosen = secret or new_secret()
        check_secret(chosen)
        patterns = tuple(check_patterns(events))

        def work(tx: Tx) -> Webhook:
            if len(tx.webhooks.find(self.platform_id)) >= MOST:
                raise ConflictError(f"this platform has {MOST} webhooks already: delete one first")
            webhook = Webhook(
                tx.new_id(),
                self.platform_id,
                url,
                patterns,
                tx.now,
                tx.now,
                secrets=[{"secret": chosen, "until": None}],
                description=description[:500],
            )
            tx.webhooks.add(webhook)
            return webhook

        return NewSecret(await self._store.write(work), chosen)

    async def find(self) -> list[Webhook]:
        """Return the webhooks, oldest first."""
        return await self._store.read(lambda tx: tx.webhooks.find(self.platform_id))

    async def get(self, webhook_id: str) -> Webhook:
        """Return one."""
        return await self._store.read(lambda tx: self._existing(tx, webhook_id))

    async def delete(self, webhook_id: str) -> None:
        """Unsubscribe; what it is still owed goes with it."""

        def work(tx: Tx) -> None:
            tx.webhooks.delete(self._existing(tx, webhook_id, lock=True).id)

        await self._store.write(work)

    async def enable(self, webhook_id: str, *, url: str | None = None) -> Webhook:
        """Deliver again, to another URL if given; what was owed when it was disabled is delivered first."""
        if url is not None:
            check_url(url)

        def work(tx: Tx) -> Webhook:
            webhook = self._existing(tx, webhook_id, lock=True)
            enabled = replace(
                webhook,
                enabled=True,
                url=url or webhook.url,
                updated_at=tx.now,
                disabled_reason=None,
                failures=0,
                failing_since=None,
                retry_at=None,
            )
            tx.webhooks.save(enabled)
            tx.wake("deliveries")
            return enabled

        return await self._store.write(work)

    async def disable(self, webhook_id: str, *, reason: str) -> Webhook:
        """Deliver nothing, and owe it nothing more; what it is owed already is kept."""

        def work(tx: Tx) -> Webhook:
            webhook = self._existing(tx, webhook_id, lock=True)
            off = replace(webhook, enabled=False, disabled_reason=reason[:500], updated_at=tx.now)
            tx.webhooks.save(off)
            return off

        return await self._store.write(work)

    async def rotate(
        self, webhook_id: str, *, keep: timedelta | str = ROTATION, secret: str | None = None
    ) -> NewSecret:
        """Give a webhook a new secret; the former ones go on signing beside it for ``keep``."""
        chosen, kept_for = secret or new_secret(), duration(keep, "keep")
        check_secret(chosen)

        def work(tx: Tx) -> Webhook:
            webhook = self._existing(tx, webhook_id, lock=True)
            until = tx.now + kept_for
            former = [_ending(one, until) for one in webhook.secrets if _signs(one, tx.now)]
            rotated = replace(webhook, secrets=[{"secret": chosen, "until": None}, *former], updated_at=tx.now)
            tx.webhooks.save(rotated)
            return rotated

        return NewSecret(await self._store.write(work), chosen)

    async def test(self, webhook_id: str, sender: WebhookSender) -> Answer:
        """Post a test event right now, from here, whatever else the webhook is owed; nothing of it is recorded."""

        def work(tx: Tx) -> tuple[Webhook, Event]:
            webhook = self._existing(tx, webhook_id)
            data = {"webhook_id": webhook.id, "events": list(webhook.events)}
            return webhook, Event(tx.new_id(), TEST_EVENT, self.platform_id, tx.now, subject=webhook.id, data=data)

        webhook, event = await self._store.read(work)
        return await sender.send(webhook.url, id=event.id, body=encoded(event), secrets=webhook.keys(event.at))

    async def deliveries(
        self, webhook_id: str, *, state: DeliveryState | None = None, before_id: str | None = None, limit: int = 50
    ) -> list[WebhookDelivery]:
        """Return what a webhook was owed and is, newest first."""

        def work(tx: Tx) -> list[WebhookDelivery]:
            webhook = self._existing(tx, webhook_id)
            return tx.webhooks.deliveries(webhook.id, state=state, before_id=before_id, limit=limit)

        return await self._store.read(work)

    def _existing(self, tx: Tx, webhook_id: str, *, lock: bool = False) -> Webhook:
        webhook = tx.webhooks.get(self.platform_id, webhook_id, lock=lock)
        if webhook is None:
            raise NotFoundError("webhook", webhook_id)
        return webhook


def webhook_to_wire(webhook: Webhook) -> dict[str, Any]:
    """Return a webhook as plain data, without its secrets."""
    return {
        "id": webhook.id,
        "platform_id": webhook.platform_id,
        "url": webhook.url,
        "events": list(webhook.events),
        "description": webhook.description,
        "enabled": webhook.enabled,
        "disabled_reason": webhook.disabled_reason,
        "failures": webhook.failures,
        "failing_since": instant(webhook.failing_since),
        "retry_at": instant(webhook.retry_at),
        "secrets": [{"until": one.get("until")} for one in webhook.secrets],
        "created_at": instant(webhook.created_at),
        "updated_at": instant(webhook.updated_at),
    }


def delivery_to_wire(delivery: WebhookDelivery) -> dict[str, Any]:
    """Return a delivery as plain data, without its body."""
    return {
        "id": delivery.id,
        "webhook_id": delivery.webhook_id,
        "event_id": delivery.event_id,
        "event_type": delivery.event_type,
        "subject": delivery.subject,
        "state": delivery.state.value,
        "attempts": delivery.attempts,
        "available_at": instant(delivery.available_at),
        "failing_since": instant(delivery.failing_since),
        "ended_at": instant(delivery.ended_at),
        "detail": delivery.detail,
        "created_at": instant(delivery.created_at),
    }


def new_secret() -> str:
    """Return a new secret of 32 bytes, as Standard Webhooks writes them."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def check_secret(secret: str) -> None:
    """Refuse what is no secret of 24 to 64 bytes; the message does not repeat it."""
    try:
        size = len(base64.b64decode(secret.removeprefix("whsec_"), validate=True))
    except ValueError:
        size = 0
    if not secret.startswith("whsec_") or not 24 <= size <= 64:
        raise ValidationError("must be whsec_ and base64 of 24 to 64 bytes", field="secret", fix="Leave it out")


def check_url(url: str) -> None:
    """Refuse what cannot be posted to, as far as its text tells; where it leads is checked at each post."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ValidationError(f"is no URL: {error}", field="url") from None
    if parts.scheme not in ("http", "https") or not host or len(url) > 2048:
        raise ValidationError("must be an http or https URL of at most 2048 characters", field="url")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise ValidationError(
            "must carry no credentials and no fragment", field="url", fix="The signature identifies us"
        )


def check_patterns(events: Sequence[str]) -> Sequence[str]:
    """Refuse an empty list and what is no pattern; return the patterns."""
    if isinstance(events, str) or not 1 <= len(events) <= 20:
        raise ValidationError(
            "must be a list of 1 to 20 patterns", field="events", fix='Write ["scheduler:execution.*"]'
        )
    for pattern in events:
        event_matches(pattern, "any")
    return events


def _signs(one: Any, now: datetime) -> bool:
    return one.get("until") is None or datetime.fromisoformat(one["until"]) > now


def _ending(one: Any, until: datetime) -> dict[str, Any]:
    before = one.get("until")
    return {"secret": one["secret"], "until": min(before, instant(until) or "") if before else instant(until)}
