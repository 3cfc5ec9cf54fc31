"""Posting to webhooks: one try, answered and never raised."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from mainspring.model.webhook import Answer


class WebhookSender(Protocol):
    """Makes signed posts, in bounded time, to allowed addresses only."""

    async def send(self, url: str, *, id: str, body: str, secrets: Sequence[str]) -> Answer:
        """Post a CloudEvent once, signed with each of ``secrets``. ``id`` is the same whenever it is sent again."""
