"""Webhooks, as API, CLI and code ask for them: subscribe, list, rotate, test. Secrets are told once and never again."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from mainspring.control.service import PlatformService
from mainspring.errors import ConflictError, NotFoundError, ScheduleError, ValidationError
from mainspring.model.cloudevents import encoded
from mainspring.model.durations import duration
from mainspring.model.events import Event
from mainspring.model.filters import And, Compare
from mainspring.model.nouns import Noun
from mainspring.model.webhook import Answer, DeliveryState, Webhook, WebhookDelivery
from mainspring.model.wire import instant
from mainspring.moves.webhooks import owe_again
from mainspring.ports.sealing import Sealer, Unsealed
from mainspring.ports.search import Order, Search
from mainspring.ports.store import Tx
from mainspring.ports.webhooks import WebhookSender
from mainspring.schedule import event_matches

#: Most webhooks of one platform: each event is matched against all of them.
MOST = 100
#: How long the former secret signs beside a new one.
ROTATION = timedelta(hours=24)
#: What a stored secret is sealed for.
PURPOSE = "webhook"
#: What a test posts.
TEST_EVENT = "scheduler:webhook.test"


@dataclass(frozen=True, slots=True)
class Trial:
    """A test event and the webhook it goes to."""

    webhook: Webhook
    event: Event


@dataclass(frozen=True, slots=True)
class NewSecret:
    """A webhook with the secret it was just given: the one time it is told."""

    webhook: Webhook
    secret: str


class WebhookService(PlatformService):
    """The webhooks of one platform. Each method is one transaction. Raises `NotFoundError`, `ValidationError`.

    ``sealer`` seals secrets before they are stored.
    """

    sealer: Sealer = Unsealed()

    async def create(
        self, url: str, events: Sequence[str] = ("**",), *, description: str = "", secret: str | None = None
    ) -> NewSecret:
        """Subscribe a URL to the events whose type matches a pattern; without ``secret`` one is made."""
        check_url(url)
        chosen = secret or new_secret()
        check_secret(chosen)
        patterns = tuple(check_patterns(events))

        def work(tx: Tx) -> NewSecret:
            if len(tx.webhooks.find(self.platform_id)) >= MOST:
                raise ConflictError(f"this platform has {MOST} webhooks already: delete one first")
            webhook = Webhook(
                tx.new_id(),
                self.platform_id,
                url,
                patterns,
                tx.now,
                tx.now,
                secrets=[self._sealed(chosen)],
                description=_described(description),
            )
            tx.webhooks.add(webhook)
            return NewSecret(webhook, chosen)

        return await self._change("webhook.create", url, work, after=lambda made: webhook_to_wire(made.webhook))

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

        await self._change("webhook.delete", webhook_id, work, before=self._told(webhook_id))

    async def update(
        self,
        webhook_id: str,
        *,
        url: str | None = None,
        events: Sequence[str] | None = None,
        description: str | None = None,
    ) -> Webhook:
        """Change what is given; what is owed already goes to the new URL as well."""
        if url is not None:
            check_url(url)
        patterns = None if events is None else tuple(check_patterns(events))

        def work(tx: Tx) -> Webhook:
            webhook = self._existing(tx, webhook_id, lock=True)
            changed = replace(
                webhook,
                url=url or webhook.url,
                events=patterns or webhook.events,
                description=webhook.description if description is None else _described(description),
            )
            if changed != webhook:
                changed = replace(changed, updated_at=tx.now)
                tx.webhooks.save(changed)
            return changed

        return await self._change(
            "webhook.update", webhook_id, work, before=self._told(webhook_id), after=webhook_to_wire
        )

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

        return await self._change(
            "webhook.enable", webhook_id, work, before=self._told(webhook_id), after=webhook_to_wire
        )

    async def disable(self, webhook_id: str, *, reason: str) -> Webhook:
        """Deliver nothing, and owe it nothing more; what it is owed already is kept."""

        def work(tx: Tx) -> Webhook:
            webhook = self._existing(tx, webhook_id, lock=True)
            off = replace(webhook, enabled=False, disabled_reason=reason[:500], updated_at=tx.now)
            tx.webhooks.save(off)
            return off

        return await self._change(
            "webhook.disable", webhook_id, work, before=self._told(webhook_id), after=webhook_to_wire
        )

    async def rotate(
        self, webhook_id: str, *, keep: timedelta | str = ROTATION, secret: str | None = None
    ) -> NewSecret:
        """Give a webhook a new secret; the former ones go on signing beside it for ``keep``."""
        chosen, kept_for = secret or new_secret(), duration(keep, "keep")
        check_secret(chosen)

        def work(tx: Tx) -> NewSecret:
            webhook = self._existing(tx, webhook_id, lock=True)
            until = tx.now + kept_for
            former = [_ending(one, until) for one in webhook.secrets if _signs(one, tx.now)]
            rotated = replace(webhook, secrets=[self._sealed(chosen), *former], updated_at=tx.now)
            tx.webhooks.save(rotated)
            return NewSecret(rotated, chosen)

        return await self._change("webhook.rotate", webhook_id, work)

    async def test(self, webhook_id: str, sender: WebhookSender) -> Answer:
        """Post a test event right now, from here, whatever else the webhook is owed.

        The trail keeps that it was asked for, and nothing keeps how it went.
        """
        return await post_trial(await self.prepare_test(webhook_id), sender)

    async def prepare_test(self, webhook_id: str) -> Trial:
        """Return what `post_trial` posts, and write down that somebody asked for it."""

        def work(tx: Tx) -> Trial:
            webhook = self._existing(tx, webhook_id)
            data = {"webhook_id": webhook.id, "events": list(webhook.events)}
            event = Event(tx.new_id(), TEST_EVENT, self.platform_id, tx.now, subject=webhook.id, data=data)
            return Trial(webhook, event)

        return await self._change("webhook.test", webhook_id, work)

    async def redeliver(self, webhook_id: str, delivery_id: str) -> WebhookDelivery:
        """Owe a webhook once more what one of its ended deliveries was: the same event, as a delivery of its own.

        Raises `ConflictError` for a delivery that has not ended: it is tried again by itself.
        """

        def work(tx: Tx) -> WebhookDelivery:
            webhook = self._existing(tx, webhook_id, lock=True)
            ended = existing_delivery(tx, webhook, delivery_id)
            if ended.ended_at is None:
                raise ConflictError(f"delivery {delivery_id} is {ended.state}: it is tried again by itself")
            return owe_again(tx, webhook, ended)

        return await self._change("webhook.redeliver", delivery_id, work, after=delivery_to_wire)

    async def delivery(self, webhook_id: str, delivery_id: str) -> WebhookDelivery:
        """Return one delivery."""
        return await self._store.read(lambda tx: existing_delivery(tx, self._existing(tx, webhook_id), delivery_id))

    async def deliveries(
        self, webhook_id: str, *, state: DeliveryState | None = None, before_id: str | None = None, limit: int = 50
    ) -> list[WebhookDelivery]:
        """Return what a webhook was owed and is, newest first."""

        def work(tx: Tx) -> list[WebhookDelivery]:
            webhook = self._existing(tx, webhook_id)
            return tx.webhooks.deliveries(webhook.id, state=state, before_id=before_id, limit=limit)

        return await self._store.read(work)

    def _told(self, webhook_id: str) -> Callable[[Tx], dict[str, Any] | None]:
        def told(tx: Tx) -> dict[str, Any] | None:
            webhook = tx.webhooks.get(self.platform_id, webhook_id)
            return None if webhook is None else webhook_to_wire(webhook)

        return told

    def _sealed(self, secret: str) -> dict[str, Any]:
        return {"secret": self.sealer.seal(secret, PURPOSE), "until": None}

    def _existing(self, tx: Tx, webhook_id: str, *, lock: bool = False) -> Webhook:
        webhook = tx.webhooks.get(self.platform_id, webhook_id, lock=lock)
        if webhook is None:
            raise NotFoundError("webhook", webhook_id)
        return webhook


async def post_trial(trial: Trial, sender: WebhookSender) -> Answer:
    """Post a test event; no transaction is open meanwhile."""
    secrets = trial.webhook.keys(trial.event.at)
    return await sender.send(trial.webhook.url, id=trial.event.id, body=encoded(trial.event), secrets=secrets)


def existing_delivery(tx: Tx, webhook: Webhook, delivery_id: str) -> WebhookDelivery:
    """Return a delivery of a webhook. Raises `NotFoundError`."""
    where = And((Compare("webhook_id", "=", webhook.id), Compare("id", "=", delivery_id)))
    found = tx.search.find(Search(Noun.WEBHOOK_DELIVERIES, webhook.platform_id, where, (Order("id"),), limit=1))
    if not found:
        raise NotFoundError("delivery", delivery_id)
    delivery: WebhookDelivery = found[0]
    return delivery


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
        try:
            event_matches(pattern, "any")
        except ScheduleError as error:  # here it is part of no schedule
            raise ValidationError(f"{error.problem} (got {error.text!r})", field="events", fix=error.fix) from None
    return events


def _described(text: str) -> str:
    if len(text) > 500:
        raise ValidationError("must be text of at most 500 characters", field="description")
    return text


def _signs(one: Any, now: datetime) -> bool:
    return one.get("until") is None or datetime.fromisoformat(one["until"]) > now


def _ending(one: Any, until: datetime) -> dict[str, Any]:
    before = one.get("until")
    return {"secret": one["secret"], "until": min(before, instant(until) or "") if before else instant(until)}
