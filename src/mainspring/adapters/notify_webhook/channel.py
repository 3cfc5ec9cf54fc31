"""A webhook as a place messages go to: one POST per try, signed, with the retries left to the engine."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from mainspring.adapters.notify_webhook.signature import key_of, signed
from mainspring.model.wire import instant
from mainspring.ports.clock import Clock
from mainspring.ports.http import HttpClient, OutboundFailedError, OutboundRefusedError
from mainspring.ports.notifier import Delivery, DeliveryStatus, Message

#: The longest wish of a receiver that is granted.
LONGEST_RETRY_AFTER = timedelta(days=1)


def standard_body(message: Message) -> Mapping[str, Any]:
    """Return the body Standard Webhooks recommends: type, timestamp, data."""
    data = {**message.data, "title": message.title, "text": message.text, "level": message.level}
    return {"type": f"notification.{message.level}", "timestamp": instant(message.sent_at), "data": data}


@dataclass(frozen=True)
class WebhookChannel:
    """A URL that takes messages as JSON, signed by Standard Webhooks; made by `mainspring.handlers.webhook_channel`."""

    url: str = field(repr=False)  # many a webhook's address is its password
    http: Callable[[], HttpClient] = field(repr=False)
    clock: Clock = field(repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: Callable[[Message], Mapping[str, Any]] = standard_body

    def __post_init__(self) -> None:
        """Refuse at start what would fail at the first message."""
        for secret in self.secrets:
            key_of(secret)

    async def send(self, message: Message, *, key: str) -> Delivery:
        """Post once. 2xx is delivered; 410 and redirects are refused; all else may be tried again."""
        content = json.dumps(self.body(message), ensure_ascii=False, separators=(",", ":")).encode()
        headers = {**self.headers, "Content-Type": "application/json", **self._signature(key, content)}
        try:
            # The body of the answer is not asked for: it could be endless, and is nobody's to show.
            reply = await self.http().request("POST", self.url, headers=headers, content=content, read_body=False)
        except OutboundRefusedError as error:
            return Delivery(DeliveryStatus.REFUSED, str(error))
        except OutboundFailedError as error:
            return Delivery(DeliveryStatus.RETRY, str(error))
        return judged(reply.status, reply.headers.get("retry-after"), now=self.clock.now())

    def _signature(self, key: str, content: bytes) -> Mapping[str, str]:
        timestamp = int(self.clock.now().timestamp())
        if not self.secrets:
            return {"webhook-id": key, "webhook-timestamp": str(timestamp)}
        return signed([key_of(secret) for secret in self.secrets], key=key, timestamp=timestamp, body=content)


def judged(status: int, retry_after: str | None, *, now: datetime) -> Delivery:
    """Return what a status means for the delivery, by Standard Webhooks."""
    detail = f"the receiver answered {status}"
    if 200 <= status < 300:
        return Delivery(DeliveryStatus.DELIVERED, detail)
    if status == 410:
        return Delivery(DeliveryStatus.REFUSED, f"{detail} (gone): it wants no more messages; remove the channel")
    if 300 <= status < 400:
        return Delivery(DeliveryStatus.REFUSED, f"{detail}: redirects are not followed; configure the final URL")
    return Delivery(DeliveryStatus.RETRY, detail, retry_after=wish(retry_after, now=now))


def wish(retry_after: str | None, *, now: datetime) -> timedelta | None:
    """Read a Retry-After header, in seconds or as a date; None for what cannot be read and for "at once".

    >>> wish("120", now=datetime(2026, 3, 2, tzinfo=UTC))
    datetime.timedelta(seconds=120)
    """
    text = (retry_after or "").strip()[:40]
    if text.isascii() and text.isdigit():
        after = timedelta(seconds=int(text[:9]))
    else:
        try:
            at = parsedate_to_datetime(text)
        except ValueError:
            return None
        after = (at if at.tzinfo is not None else at.replace(tzinfo=UTC)) - now
    # "At once" is no wish to be granted: the backoff of the job is kinder to both.
    return min(after, LONGEST_RETRY_AFTER) if after > timedelta(0) else None
