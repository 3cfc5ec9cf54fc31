"""Webhooks: what each is owed, who posts it now, and what follows from each try."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from mainspring.model.cloudevents import encoded
from mainspring.model.events import Event
from mainspring.model.webhook import Answer, DeliveryState, Webhook, WebhookDelivery
from mainspring.ports.store import Tx
from mainspring.schedule import event_matches
from mainspring.schedule.deliver import TROUBLED, after_try

#: Most tries at once to one webhook, and most webhooks looked at in one step.
AT_ONCE, WEBHOOKS = 4, 500


def owe(tx: Tx, events: Sequence[Event]) -> None:
    """Owe each event to each enabled webhook of its platform that wants it. To be called once per event, in order."""
    webhooks = tx.webhooks.lock_enabled(sorted({event.platform_id for event in events})) if events else []
    deliveries = [delivery for webhook in webhooks for delivery in _owed(tx, webhook, events)]
    tx.webhooks.owe(deliveries)
    if deliveries:
        tx.wake("deliveries")


def _owed(tx: Tx, webhook: Webhook, events: Sequence[Event]) -> list[WebhookDelivery]:
    wanted = [e for e in events if e.platform_id == webhook.platform_id and wants(webhook, e.type)]
    subjects = sorted({event.subject for event in wanted if event.subject is not None})
    # While the webhook's row is held nobody ends a delivery, so what is found open now is still to be released.
    waiting = tx.webhooks.open_subjects(webhook.id, subjects)
    deliveries = []
    for event in wanted:
        state = DeliveryState.HELD if event.subject in waiting else DeliveryState.READY
        if event.subject is not None:
            waiting.add(event.subject)
        deliveries.append(a_delivery(tx, webhook, event, state))
    return deliveries


def wants(webhook: Webhook, event_type: str) -> bool:
    """Tell whether a webhook's patterns match a type."""
    return any(event_matches(pattern, event_type) for pattern in webhook.events)


def a_delivery(tx: Tx, webhook: Webhook, event: Event, state: DeliveryState = DeliveryState.READY) -> WebhookDelivery:
    """Return a delivery of an event, its body fixed from here on."""
    return WebhookDelivery(
        tx.new_id(),
        webhook.id,
        webhook.platform_id,
        event.id,
        str(event.type),
        encoded(event),
        tx.now,
        tx.now,
        subject=event.subject,
        state=state,
    )


def owe_again(tx: Tx, webhook: Webhook, ended: WebhookDelivery) -> WebhookDelivery:
    """Owe an ended delivery's event once more, behind what is open about the same thing; the webhook's row is held.

    The receiver knows it by the event's id, which is the same.
    """
    waiting = ended.subject is not None and bool(tx.webhooks.open_subjects(webhook.id, [ended.subject]))
    delivery = replace(
        ended,
        id=tx.new_id(),
        created_at=tx.now,
        available_at=tx.now,
        state=DeliveryState.HELD if waiting else DeliveryState.READY,
        attempts=0,
        failing_since=None,
        ended_at=None,
        detail=None,
    )
    tx.webhooks.owe([delivery])
    tx.wake("deliveries")
    return delivery


@dataclass(slots=True)
class Due:
    """Deliveries to be tried now, each with its webhook, and when the next one may be (None: when something wakes)."""

    now: datetime
    tries: list[tuple[Webhook, WebhookDelivery]] = field(default_factory=list)
    next_at: datetime | None = None


def take_due(tx: Tx, under_way: Mapping[str, int], *, limit: int, lease: timedelta) -> Due:
    """Take up to ``limit`` tries, for each webhook as many as it has room for besides those ``under_way`` here.

    A receiver in trouble is asked with one at a time. A try of which nothing is heard for ``lease``, which is longer
    than a post may take, is made again by whoever comes first.
    """
    due = Due(tx.now)
    for webhook in tx.webhooks.due(WEBHOOKS):
        room = (1 if webhook.failures >= TROUBLED else AT_ONCE) - under_way.get(webhook.id, 0)
        room = min(room, limit - len(due.tries))
        if room > 0:
            due.tries += [(webhook, taken) for taken in tx.webhooks.take(webhook.id, room, tx.now + lease)]
    due.next_at = tx.webhooks.next_due_at()
    return due


def settle_try(tx: Tx, delivery: WebhookDelivery, answer: Answer, *, draw: float, lease: timedelta) -> Webhook | None:
    """Record how a try went and what follows; return the webhook if this has disabled it.

    A try that another has overtaken changes nothing. ``lease`` is how long tries are taken for.
    """
    webhook = tx.webhooks.get(delivery.platform_id, delivery.webhook_id, lock=True)
    if webhook is None:
        return None
    after = after_try(webhook, delivery, answer, now=tx.now, draw=draw)
    if not tx.webhooks.end_try(after.delivery):
        return None
    if after.delivery.ended_at is not None and delivery.subject is not None:
        tx.webhooks.release_next(webhook.id, delivery.subject)
    if after.webhook != webhook:
        tx.webhooks.save(after.webhook)
    if after.recovered and webhook.failing_since is not None:
        # Whatever waited for its turn in the outage need not wait any longer; what is under way is left alone.
        tx.webhooks.hasten(webhook.id, tx.now + lease, webhook.failing_since)
    tx.wake("deliveries")
    return after.webhook if webhook.enabled and not after.webhook.enabled else None


def give_back(tx: Tx, deliveries: Sequence[WebhookDelivery]) -> None:
    """Let others try at once what was taken and not tried to the end."""
    for delivery in sorted(deliveries, key=lambda one: one.id):
        tx.webhooks.end_try(replace(delivery, available_at=tx.now))
    if deliveries:
        tx.wake("deliveries")
