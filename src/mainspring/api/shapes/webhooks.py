"""Webhooks and what they are owed."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from mainspring.api.shapes.base import Reason, Request, Shape, Told

Url = Annotated[str, StringConstraints(min_length=8, max_length=2048), Field(description="http or https.")]
Patterns = Annotated[
    list[Annotated[str, StringConstraints(min_length=1, max_length=256)]],
    Field(min_length=1, max_length=20, description="Types of events: `*` is one segment, `**` the rest."),
]
Description = Annotated[str, StringConstraints(max_length=500)]
Secret = Annotated[str, StringConstraints(max_length=100), Field(description="`whsec_` and base64 of 24 to 64 bytes.")]


class NewWebhook(Request):
    """A URL to subscribe. Without a ``secret`` one is made."""

    url: Url
    events: Patterns = Field(default_factory=lambda: ["**"])
    description: Description = ""
    secret: Secret | None = None


class WebhookChanges(Request):
    """A merge patch of a webhook; what is owed already goes to the new URL as well."""

    url: Url | None = None
    events: Patterns | None = None
    description: Description | None = None


class RotateSecret(Request):
    """How long the former secret signs beside the new one, and the new one itself where it is not to be made."""

    overlap_ms: Annotated[int, Field(ge=0, le=30 * 86_400_000)] = 86_400_000
    secret: Secret | None = None


class Enable(Request):
    """Where to deliver from now on, if the URL has moved."""

    url: Url | None = None


class Disable(Request):
    """Why nothing is to be delivered."""

    reason: Reason


class SigningSecret(Shape):
    """One secret that signs: until when (null: until it is replaced), and never itself."""

    until: Told | None


class Webhook(Shape):
    """A subscription, as it stands; never its secrets."""

    id: str
    platform_id: str
    url: str
    events: list[str]
    description: str
    enabled: bool
    disabled_reason: str | None
    failures: int
    failing_since: Told | None
    retry_at: Told | None
    secrets: list[SigningSecret]
    created_at: Told
    updated_at: Told


class MadeWebhook(Webhook):
    """A webhook with the secret it was just given, which is told this once."""

    secret: str


class Delivery(Shape):
    """One event owed to one webhook: how often it was tried, when next, and how the last try went."""

    id: str
    webhook_id: str
    event_id: str
    event_type: str
    subject: str | None
    state: Literal["held", "ready", "delivered", "failed"]
    attempts: int
    available_at: Told
    failing_since: Told | None
    ended_at: Told | None
    detail: str | None
    created_at: Told


class DeliveryWithBody(Delivery):
    """A delivery with what is posted; null for who may not see payloads."""

    body: str | None


class PostAnswer(Shape):
    """How a test post went, right now."""

    reception: Literal["delivered", "retry", "gone", "forbidden"]
    detail: str
