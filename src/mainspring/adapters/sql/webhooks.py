"""Webhooks and what they are owed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam

from mainspring.adapters.sql.batches import shape
from mainspring.adapters.sql.dialect import Dialect
from mainspring.adapters.sql.session import SqlTable
from mainspring.adapters.sql.tables import is_, open_delivery, ready_delivery, webhook_deliveries, webhooks
from mainspring.adapters.sql.types import Instant, to_json
from mainspring.model.webhook import DeliveryState, Webhook, WebhookDelivery

_WEBHOOK, _DELIVERY = shape(Webhook, webhooks), shape(WebhookDelivery, webhook_deliveries)
_w, _d = webhooks.c, webhook_deliveries.c

_GET = _WEBHOOK.select.where(_w.id == bindparam("webhook"), _w.platform_id == bindparam("platform"))
_GET_LOCKED = _GET.with_for_update()
_FIND = _WEBHOOK.select.where(_w.platform_id == bindparam("platform")).order_by(_w.id)
_SAVE = (
    webhooks.update()
    .where(_w.id == bindparam("id_"))
    .values({_w[name]: bindparam(f"{name}_", type_=kind) for name, kind in _WEBHOOK.fields if name != "id"})
)
_DELETE = (
    sa.delete(webhook_deliveries).where(_d.webhook_id == bindparam("webhook")),
    sa.delete(webhooks).where(_w.id == bindparam("webhook")),
)

# The earliest time of each webhook is the first entry of its part of the index.
_READY_AT = (
    sa.select(_d.available_at)
    .where(_d.webhook_id == _w.id, ready_delivery)
    .order_by(_d.available_at)
    .limit(1)
    .correlate(webhooks)
    .scalar_subquery()
)
_FROM = sa.type_coerce(sa.case((_w.retry_at > _READY_AT, _w.retry_at), else_=_READY_AT), Instant)
_DUE = (
    _WEBHOOK.select.where(_w.enabled, bindparam("now", type_=Instant) >= _FROM)
    .order_by(_FROM, _w.id)
    .limit(bindparam("limit"))
)
NEXT_DELIVERY = sa.select(sa.func.min(_FROM)).where(_w.enabled)

_DUE_DELIVERIES = (
    _DELIVERY.select.where(_d.webhook_id == bindparam("webhook"), ready_delivery, _d.available_at <= bindparam("now"))
    .order_by(_d.available_at, _d.number)
    .limit(bindparam("limit"))
    .with_for_update(skip_locked=True)
)
_ENDED = ("state", "available_at", "failing_since", "ended_at", "detail")
_END_TRY = (
    webhook_deliveries.update()
    .where(_d.id == bindparam("id_"), _d.attempts == bindparam("attempts_"), ready_delivery)
    .values({_d[name]: bindparam(f"{name}_", type_=_d[name].type) for name in _ENDED})
)
_HELD = sa.select(sa.func.min(_d.number)).where(
    _d.webhook_id == bindparam("webhook"), _d.subject == bindparam("about"), open_delivery, is_(_d.state, "held")
)
_RELEASE = webhook_deliveries.update().where(_d.number == _HELD.scalar_subquery()).values(state=DeliveryState.READY)
# What another transaction holds is being tried or ended there, and is left alone.
_WAITS = (
    sa.select(_d.number)
    .where(
        _d.webhook_id == bindparam("webhook"),
        ready_delivery,
        _d.available_at > bindparam("later"),
        _d.failing_since >= bindparam("since"),
    )
    .with_for_update(skip_locked=True)
)
_HASTEN = webhook_deliveries.update().where(_d.number.in_(_WAITS)).values(available_at=bindparam("now"))
_OWED = sa.select(_d.number).where(_d.webhook_id == bindparam("webhook"), open_delivery).limit(bindparam("limit"))
_COUNT_OWED = sa.select(sa.func.count()).select_from(_OWED.subquery())
_OLD = (
    sa.select(_d.number)
    .where(_d.ended_at.is_not(None), _d.ended_at < bindparam("before"))
    .order_by(_d.ended_at)
    .limit(bindparam("limit"))
    .with_for_update(skip_locked=True)
)
_DELETE_OLD = sa.delete(webhook_deliveries).where(_d.number.in_(_OLD))


class SqlWebhookTable(SqlTable):
    """`WebhookTable` in SQL."""

    def add(self, webhook: Webhook) -> None:
        self._insert_values(_WEBHOOK, [webhook], conflict=f"webhook {webhook.id} exists already")

    def save(self, webhook: Webhook) -> None:
        self._run(_SAVE, {f"{name}_": getattr(webhook, name) for name in _WEBHOOK.names})

    def get(self, platform_id: str, webhook_id: str, *, lock: bool = False) -> Webhook | None:
        return _WEBHOOK.row(self._first(_GET_LOCKED if lock else _GET, webhook=webhook_id, platform=platform_id))

    def find(self, platform_id: str) -> list[Webhook]:
        return _WEBHOOK.rows(self._all(_FIND, platform=platform_id))

    def delete(self, webhook_id: str) -> None:
        for statement in _DELETE:
            self._run(statement, {"webhook": webhook_id})

    def lock_enabled(self, platform_ids: Sequence[str]) -> list[Webhook]:
        return _WEBHOOK.rows(self._all(_enabled(self._dialect), platforms=to_json(platform_ids)))

    def due(self, limit: int) -> list[Webhook]:
        return _WEBHOOK.rows(self._all(_DUE, now=self._session.now, limit=limit))

    def next_due_at(self) -> datetime | None:
        at: datetime | None = self._scalar(NEXT_DELIVERY)
        return at

    def owe(self, deliveries: Sequence[WebhookDelivery]) -> None:
        self._insert_values(_DELIVERY, deliveries, conflict="one of these is owed already")

    def open_subjects(self, webhook_id: str, subjects: Sequence[str]) -> set[str]:
        if not subjects:
            return set()
        return set(self._run(_open(self._dialect), {"webhook": webhook_id, "subjects": to_json(subjects)}).scalars())

    def take(self, webhook_id: str, limit: int, until: datetime) -> list[WebhookDelivery]:
        due = _DELIVERY.rows(self._all(_DUE_DELIVERIES, webhook=webhook_id, limit=limit, now=self._session.now))
        if due:
            self._run(_take(self._dialect), {"ids": to_json([delivery.id for delivery in due]), "until": until})
        return [replace(delivery, available_at=until, attempts=delivery.attempts + 1) for delivery in due]

    def end_try(self, delivery: WebhookDelivery) -> bool:
        values = {f"{name}_": getattr(delivery, name) for name in ("id", "attempts", *_ENDED)}
        return bool(self._run(_END_TRY, values).rowcount)

    def release_next(self, webhook_id: str, subject: str) -> None:
        self._run(_RELEASE, {"webhook": webhook_id, "about": subject})

    def hasten(self, webhook_id: str, later_than: datetime, failing_since: datetime) -> None:
        values = {"webhook": webhook_id, "later": later_than, "since": failing_since, "now": self._session.now}
        self._run(_HASTEN, values)

    def deliveries(
        self, webhook_id: str, *, state: DeliveryState | None = None, before_id: str | None = None, limit: int = 50
    ) -> list[WebhookDelivery]:
        statement = _DELIVERY.select.where(_d.webhook_id == webhook_id)
        if state is not None:
            statement = statement.where(_d.state == state)
        if before_id is not None:
            statement = statement.where(_d.id < before_id)
        return _DELIVERY.rows(self._all(statement.order_by(_d.id.desc()).limit(sa.literal(limit))))

    def owed(self, webhook_id: str, limit: int) -> int:
        return int(self._scalar(_COUNT_OWED, webhook=webhook_id, limit=limit))

    def delete_ended(self, before: datetime, limit: int) -> int:
        return self._run(_DELETE_OLD, {"before": before, "limit": limit}).rowcount


@lru_cache(2)
def _enabled(dialect: Dialect) -> Any:
    wanted = _WEBHOOK.select.where(_w.enabled, dialect.member(_w.platform_id, "platforms"))
    return wanted.order_by(_w.id).with_for_update()


@lru_cache(2)
def _take(dialect: Dialect) -> Any:
    taken = webhook_deliveries.update().where(dialect.member(_d.id, "ids"))
    return taken.values(available_at=bindparam("until"), attempts=_d.attempts + 1)


@lru_cache(2)
def _open(dialect: Dialect) -> Any:
    about = dialect.member(_d.subject, "subjects")
    return sa.select(_d.subject).where(_d.webhook_id == bindparam("webhook"), about, open_delivery).distinct()
