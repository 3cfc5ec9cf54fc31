"""What follows from one try to deliver an event to a webhook. Pure: arithmetic, no clock, no random source.

A delivery that fails is tried again later and later, over days. A receiver of which several tries in a row have failed
is left alone for a while and then asked with one delivery at a time; the first that arrives sets all the others free.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from mainspring.model.policy import RetryJitter, RetryPolicy
from mainspring.model.webhook import Answer, DeliveryState, Reception, Webhook, WebhookDelivery
from mainspring.schedule.backoff import backoff

#: From 5 s on, three times as long each time, up to half a day.
DELIVERY_BACKOFF = RetryPolicy(
    retry_delay=timedelta(seconds=5),
    backoff_multiplier=3,
    max_retry_delay=timedelta(hours=12),
    jitter=RetryJitter.NONE,
)
#: How long a receiver in trouble is left alone: it is asked at least every quarter of an hour.
RECEIVER_BACKOFF = RetryPolicy(
    retry_delay=timedelta(seconds=5),
    backoff_multiplier=2,
    max_retry_delay=timedelta(minutes=15),
    jitter=RetryJitter.NONE,
)
#: Tries that fail one after the other before a receiver counts as in trouble.
TROUBLED = 3
#: A delivery is given up on, and a receiver disabled, after nothing else than failures for so long.
GIVE_UP = timedelta(days=5)


@dataclass(frozen=True, slots=True)
class After:
    """Webhook and delivery as they are after a try. ``recovered``: the receiver was in trouble and is no longer."""

    webhook: Webhook
    delivery: WebhookDelivery
    recovered: bool = False


def after_try(webhook: Webhook, delivery: WebhookDelivery, answer: Answer, *, now: datetime, draw: float) -> After:
    """Return what follows from an answer; ``draw`` is a uniform random number in [0, 1) for the jitter.

    >>> from datetime import UTC
    >>> at = datetime(2026, 3, 2, 9, tzinfo=UTC)
    >>> hook = Webhook("w", "default", "https://example.com", ("**",), at, at)
    >>> owed = WebhookDelivery("d", "w", "default", "e", "a.b", "{}", at, at, attempts=1)
    >>> after_try(hook, owed, Answer(Reception.RETRY, "answered 500"), now=at, draw=0.5).delivery.available_at - at
    datetime.timedelta(seconds=3, microseconds=750000)
    """
    match answer.reception:
        case Reception.DELIVERED:
            done = replace(delivery, state=DeliveryState.DELIVERED, ended_at=now, detail=answer.detail)
            well = replace(webhook, failures=0, failing_since=None, retry_at=None)
            return After(well, done, recovered=webhook.failures >= TROUBLED)
        case Reception.GONE | Reception.FORBIDDEN:
            kept = replace(delivery, available_at=now, detail=answer.detail)
            return After(disabled(webhook, answer.detail, now), kept)
    return _failed(webhook, delivery, answer, now, draw)


def disabled(webhook: Webhook, reason: str, now: datetime) -> Webhook:
    """Return a webhook that gets nothing more until a person enables it. What it is owed is kept."""
    return replace(webhook, enabled=False, disabled_reason=reason[:500], updated_at=now)


def _failed(webhook: Webhook, delivery: WebhookDelivery, answer: Answer, now: datetime, draw: float) -> After:
    since, failures = webhook.failing_since or now, webhook.failures + 1
    retry_at = None
    if answer.retry_after is not None:
        retry_at = now + answer.retry_after
    elif failures >= TROUBLED:
        retry_at = now + _between(failures - TROUBLED + 1, RECEIVER_BACKOFF, draw)
    hook = replace(webhook, failures=failures, failing_since=since, retry_at=retry_at)
    first = delivery.failing_since or now
    later = now + _between(delivery.attempts, DELIVERY_BACKOFF, draw)
    tried = replace(delivery, available_at=later, failing_since=first, detail=answer.detail)
    if now - since >= GIVE_UP:
        why = f"nothing has arrived since {since.isoformat()}: {answer.detail}"
        return After(disabled(hook, why, now), tried)
    if now - first >= GIVE_UP:
        # The receiver takes others: it is this one that it does not take.
        return After(hook, replace(tried, state=DeliveryState.FAILED, ended_at=now))
    return After(hook, tried)


def _between(failures: int, policy: RetryPolicy, draw: float) -> timedelta:
    """Half the delay for certain, the other half by chance: many that failed at once do not come back at once."""
    whole = backoff(max(failures, 1), policy, draw=0.0)
    return whole / 2 + whole / 2 * draw
