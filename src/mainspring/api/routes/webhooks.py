"""Webhooks: who is told of which events, and what each was owed and how it went."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from fastapi import Path
from starlette.responses import Response

from mainspring.api.call import Call, Changing, PageQuery, Reading, Reply
from mainspring.api.routing import Routes
from mainspring.api.shapes import base, webhooks
from mainspring.control.webhooks import (
    NewSecret,
    Trial,
    WebhookService,
    delivery_to_wire,
    existing_delivery,
    post_trial,
    webhook_to_wire,
)
from mainspring.errors import NotFoundError
from mainspring.model.filters import Compare
from mainspring.model.nouns import Noun
from mainspring.model.webhook import Webhook, WebhookDelivery
from mainspring.ports.store import Tx

routes = Routes("webhooks", "/api/v1/platforms/{platform_id}/webhooks")

WebhookId = Annotated[str, Path(min_length=1, max_length=64, description="A webhook's id.")]
DeliveryId = Annotated[str, Path(min_length=1, max_length=64, description="A delivery's id.")]
#: Seconds a test post may take beyond the usual deadline.
TEST_PATIENCE = 60.0


@routes.on("GET", "", scope="webhooks:read", answers=base.Listed[webhooks.Webhook])
async def list_webhooks(call: Reading) -> Response:
    """List the platform's webhooks, oldest first; never their secrets."""
    found = await call.read(lambda tx: tx.webhooks.find(call.platform_id))
    return call.answer(Reply({"data": [webhook_to_wire(webhook) for webhook in found]}))


@routes.on("POST", "", scope="webhooks:write", answers=webhooks.MadeWebhook, status=201)
async def create_webhook(call: Changing, body: webhooks.NewWebhook) -> Response:
    """Subscribe a URL to events; the secret that signs is in this answer and nowhere else."""
    return await _change(
        call,
        lambda service: service.create(body.url, body.events, description=body.description, secret=body.secret),
        lambda made: _told_once(made, 201),
        keep=False,
    )


@routes.on("GET", "/{webhook_id}", scope="webhooks:read", answers=webhooks.Webhook)
async def get_webhook(call: Reading, webhook_id: WebhookId) -> Response:
    """Show a webhook and how its receiver fares; never its secrets."""
    return call.answer(Reply(webhook_to_wire(await call.read(lambda tx: _existing(tx, call, webhook_id)))))


@routes.on("PATCH", "/{webhook_id}", scope="webhooks:write", answers=webhooks.Webhook)
async def update_webhook(call: Changing, webhook_id: WebhookId, body: webhooks.WebhookChanges) -> Response:
    """Change a webhook's URL, events or description, as a merge patch."""
    return await _change(
        call,
        lambda service: service.update(webhook_id, url=body.url, events=body.events, description=body.description),
        _shown,
    )


@routes.on("DELETE", "/{webhook_id}", scope="webhooks:write", answers=None, status=204)
async def delete_webhook(call: Changing, webhook_id: WebhookId) -> Response:
    """Unsubscribe; what it is still owed goes with it."""
    return await _change(call, lambda service: service.delete(webhook_id), lambda _: Reply(status=204))


@routes.on("POST", "/{webhook_id}:enable", scope="webhooks:write", answers=webhooks.Webhook)
async def enable_webhook(call: Changing, webhook_id: WebhookId, body: webhooks.Enable | None = None) -> Response:
    """Deliver again; what was owed when it was disabled comes first."""
    url = body.url if body is not None else None
    return await _change(call, lambda service: service.enable(webhook_id, url=url), _shown)


@routes.on("POST", "/{webhook_id}:disable", scope="webhooks:write", answers=webhooks.Webhook)
async def disable_webhook(call: Changing, webhook_id: WebhookId, body: webhooks.Disable) -> Response:
    """Deliver nothing, and owe it nothing more; what it is owed already is kept."""
    return await _change(call, lambda service: service.disable(webhook_id, reason=body.reason), _shown)


@routes.on("POST", "/{webhook_id}:rotate", scope="webhooks:write", answers=webhooks.MadeWebhook)
async def rotate_webhook_secret(
    call: Changing, webhook_id: WebhookId, body: webhooks.RotateSecret | None = None
) -> Response:
    """Give a webhook a new secret, told this once; the former one signs beside it a while longer."""
    asked = body or webhooks.RotateSecret()
    overlap = timedelta(milliseconds=asked.overlap_ms)
    return await _change(
        call,
        lambda service: service.rotate(webhook_id, keep=overlap, secret=asked.secret),
        lambda made: _told_once(made, 200),
        keep=False,
    )


@routes.on("POST", "/{webhook_id}:test", scope="webhooks:write", answers=webhooks.PostAnswer)
async def post_test_event(call: Changing, webhook_id: WebhookId) -> Response:
    """Post a test event from this server, right now, and tell how it went; a dry run posts nothing."""
    made: list[Trial] = []

    def prepared(test: Trial) -> Reply:
        made.append(test)
        return Reply({"reception": "retry", "detail": "a dry run posts nothing"})

    answer = await _change(call, lambda service: service.prepare_test(webhook_id), prepared, keep=False)
    if call.dry_run:
        return answer
    call.request.state.allow(TEST_PATIENCE)
    posted = await post_trial(made[-1], call.state.sender())
    return call.answer(Reply({"reception": posted.reception.value, "detail": posted.detail}))


@routes.on("GET", "/{webhook_id}/deliveries", scope="webhooks:read", answers=base.Page[webhooks.Delivery])
async def list_deliveries(call: Reading, webhook_id: WebhookId, query: PageQuery) -> Response:
    """List what a webhook was owed and is, newest first, with how often each was tried and the last answer."""

    def shown(tx: Tx, rows: list[Any]) -> list[dict[str, Any]]:
        _existing(tx, call, webhook_id)
        return [delivery_to_wire(row) for row in rows]

    return await call.page(Noun.WEBHOOK_DELIVERIES, query, shown, Compare("webhook_id", "=", webhook_id))


@routes.on("GET", "/{webhook_id}/deliveries/{delivery_id}", scope="webhooks:read", answers=webhooks.DeliveryWithBody)
async def get_delivery(call: Reading, webhook_id: WebhookId, delivery_id: DeliveryId) -> Response:
    """Show a delivery with what is posted."""

    def work(tx: Tx) -> WebhookDelivery:
        return existing_delivery(tx, _existing(tx, call, webhook_id), delivery_id)

    found = await call.read(work)
    body = found.body if call.sees_payloads else None
    return call.answer(Reply(delivery_to_wire(found) | {"body": body}))


@routes.on(
    "POST",
    "/{webhook_id}/deliveries/{delivery_id}:redeliver",
    scope="webhooks:write",
    answers=webhooks.Delivery,
    status=201,
)
async def redeliver(call: Changing, webhook_id: WebhookId, delivery_id: DeliveryId) -> Response:
    """Owe the event of an ended delivery once more; its id is the same, so a receiver can tell."""
    return await _change(
        call,
        lambda service: service.redeliver(webhook_id, delivery_id),
        lambda delivery: Reply(delivery_to_wire(delivery), 201),
    )


async def _change(call: Call, act: Any, present: Any, *, keep: bool = True) -> Response:
    def sealing(service: WebhookService) -> Any:
        service.sealer = call.state.sealer()
        return act(service)

    return await call.change(WebhookService, sealing, present, keep=keep)


def _existing(tx: Tx, call: Call, webhook_id: str) -> Webhook:
    webhook = tx.webhooks.get(call.platform_id, webhook_id)
    if webhook is None:
        raise NotFoundError("webhook", webhook_id)
    return webhook


def _shown(webhook: Webhook) -> Reply:
    return Reply(webhook_to_wire(webhook))


def _told_once(made: NewSecret, status: int) -> Reply:
    return Reply(webhook_to_wire(made.webhook) | {"secret": made.secret}, status)
