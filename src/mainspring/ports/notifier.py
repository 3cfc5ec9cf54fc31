"""Messages to people and their tools."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Message:
    """A message, its text already filled in. ``title`` is one line. ``data`` is for programs: plain JSON data."""

    title: str
    text: str
    level: str
    sent_at: datetime
    data: Mapping[str, Any] = field(default_factory=dict)


class DeliveryStatus(StrEnum):
    """What became of a message."""

    DELIVERED = "delivered"
    #: Some recipients were refused for good; the others have it, so sending again would be wrong.
    PARTIAL = "partial"
    #: It did not arrive, and may when tried again.
    RETRY = "retry"
    #: It did not arrive, and trying again would not help.
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Delivery:
    """How a delivery went. ``detail`` is for people, without secrets; ``retry_after`` is the other side's wish."""

    status: DeliveryStatus
    detail: str
    retry_after: timedelta | None = None
    refused: Mapping[str, str] = field(default_factory=dict)


class Notifier(Protocol):
    """One place messages go to, set up by whoever runs the system: its address never comes from data."""

    async def send(self, message: Message, *, key: str) -> Delivery:
        """Try once, in bounded time. What went wrong is answered, not raised.

        ``key`` is the same whenever the same message is tried again, and travels with it so that the other side can
        tell: a reply may be lost after the message has arrived.
        """
