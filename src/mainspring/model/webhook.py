"""Webhooks: who wants which events where, and the deliveries each of them is owed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any


@dataclass(frozen=True, slots=True)
class Webhook:
    """A subscription of one platform: events whose type matches one of ``events`` are posted to ``url``, signed.

    ``secrets`` are ``{"secret": "whsec_...", "until": instant or None}``, the newest first: while one replaces the
    other, both sign. ``failures`` counts tries that failed one after the other, ``failing_since`` is when the first of
    them did; nothing is sent before ``retry_at``. A disabled one is owed what happened until then, and nothing later.
    """

    id: str
    platform_id: str
    url: str
    events: tuple[str, ...]
    created_at: datetime
    updated_at: datetime
    secrets: Sequence[Mapping[str, Any]] = ()
    description: str = ""
    enabled: bool = True
    disabled_reason: str | None = None
    failures: int = 0
    failing_since: datetime | None = None
    retry_at: datetime | None = None

    def keys(self, now: datetime) -> list[str]:
        """Return the secrets that sign at an instant, the newest first."""
        return [
            str(one["secret"])
            for one in self.secrets
            if one.get("until") is None or datetime.fromisoformat(one["until"]) > now
        ]


class DeliveryState(StrEnum):
    """Where a delivery stands."""

    #: An earlier event about the same thing has to arrive first.
    HELD = "held"
    READY = "ready"
    DELIVERED = "delivered"
    #: Given up on.
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class WebhookDelivery:
    """One event owed to one webhook. ``body`` is what is posted, the same whenever it is tried again.

    ``available_at`` is when it may be tried; while a try is under way, when another dispatcher may take it over.
    ``attempts`` counts the tries and tells a late report from the present one.
    """

    id: str
    webhook_id: str
    platform_id: str
    event_id: str
    event_type: str
    body: str
    created_at: datetime
    available_at: datetime
    subject: str | None = None
    state: DeliveryState = DeliveryState.READY
    attempts: int = 0
    failing_since: datetime | None = None
    ended_at: datetime | None = None
    detail: str | None = None


class Reception(StrEnum):
    """What became of one try."""

    DELIVERED = "delivered"
    #: It did not arrive, or was not taken; it may be when tried again.
    RETRY = "retry"
    #: The receiver wants nothing more (410).
    GONE = "gone"
    #: Its address must not be called.
    FORBIDDEN = "forbidden"


@dataclass(frozen=True, slots=True)
class Answer:
    """How a try went. ``detail`` is for people, without secrets; ``retry_after`` is the receiver's wish."""

    reception: Reception
    detail: str
    retry_after: timedelta | None = None
