"""Webhooks, and the deliveries they are owed."""

from __future__ import annotations

import sqlalchemy as sa

from mainspring.adapters.sql.tables.building import is_, metadata, partial, required
from mainspring.adapters.sql.types import ID, NAME, NUMBER, Instant, Json, Plain, Prose, Word, Words
from mainspring.model.webhook import DeliveryState

webhooks = sa.Table(
    "webhooks",
    metadata,
    sa.Column("id", ID, primary_key=True),
    required("platform_id", NAME),
    required("url", sa.Text),
    required("events", Words),
    required("created_at", Instant),
    required("updated_at", Instant),
    required("secrets", Json),
    required("description", Prose),
    required("enabled", sa.Boolean),
    sa.Column("disabled_reason", Prose),
    required("failures", sa.Integer),
    sa.Column("failing_since", Instant),
    sa.Column("retry_at", Instant),
)
sa.Index("ix_webhooks_platform", webhooks.c.platform_id, webhooks.c.id)

webhook_deliveries = sa.Table(
    "webhook_deliveries",
    metadata,
    sa.Column("number", NUMBER, primary_key=True),
    required("id", ID, unique=True),
    required("webhook_id", ID),
    required("platform_id", NAME),
    required("event_id", ID),
    required("event_type", Plain),
    required("body", Prose),
    required("created_at", Instant),
    required("available_at", Instant),
    sa.Column("subject", sa.Text),
    required("state", Word(DeliveryState)),
    required("attempts", sa.Integer),
    sa.Column("failing_since", Instant),
    sa.Column("ended_at", Instant),
    sa.Column("detail", Prose),
)
_o = webhook_deliveries.c
ready_delivery = is_(_o.state, "ready")
open_delivery = is_(_o.state, "held", "ready")
partial("ix_webhook_deliveries_ready", _o.webhook_id, _o.available_at, where=ready_delivery)
partial("ix_webhook_deliveries_open", _o.webhook_id, _o.subject, _o.number, where=open_delivery)
sa.Index("ix_webhook_deliveries_webhook", _o.webhook_id, _o.id)
partial("ix_webhook_deliveries_ended", _o.ended_at, where=_o.ended_at.is_not(None))
