"""What a database's desk answers about events and webhooks."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from mainspring.cli.desk.answers.kept import answers
from mainspring.cli.desk.store import StoreDesk
from mainspring.client.ask import Ask
from mainspring.control import rows
from mainspring.control.webhooks import NewSecret, delivery_to_wire, post_trial, webhook_to_wire
from mainspring.model.filters import Compare
from mainspring.model.nouns import Noun


@answers
async def list_events(desk: StoreDesk, ask: Ask[Any]) -> Any:
    content = "payload" in (ask.query.get("include") or "")
    return await desk.page(Noun.EVENTS, ask, lambda tx, found: [rows.event_row(row, content=content) for row in found])


@answers
async def publish_event(desk: StoreDesk, ask: Ask[Any]) -> Any:
    body = ask.body or {}
    rows.refuse_hidden(body.get("data"), "data")
    done = await desk.scheduler.handle_event(
        body["type"],
        body.get("data"),
        id=body.get("id"),
        source=body.get("source", "api"),
        subject=body.get("subject"),
    )
    return rows.published_row(done)


@answers
async def test_match(desk: StoreDesk, ask: Ask[Any]) -> Any:
    body = ask.body or {}
    event = body["event"]
    found = await desk.scheduler.match_event(
        body["job"],
        event["type"],
        event.get("data"),
        id=event.get("id") or "test",
        source=event.get("source", "api"),
        subject=event.get("subject"),
    )
    return found.to_wire()


def _made_webhook(made: NewSecret) -> Any:
    return webhook_to_wire(made.webhook) | {"secret": made.secret}


@answers
async def list_webhooks(desk: StoreDesk, ask: Ask[Any]) -> Any:
    return {"data": [webhook_to_wire(webhook) for webhook in await desk.webhooks.find()]}


@answers
async def create_webhook(desk: StoreDesk, ask: Ask[Any]) -> Any:
    return _made_webhook(await desk.webhooks.create(**(ask.body or {})))


@answers
async def delete_webhook(desk: StoreDesk, ask: Ask[Any]) -> Any:
    await desk.webhooks.delete(ask.values["webhook_id"])


@answers
async def enable_webhook(desk: StoreDesk, ask: Ask[Any]) -> Any:
    return webhook_to_wire(await desk.webhooks.enable(ask.values["webhook_id"], url=(ask.body or {}).get("url")))


@answers
async def disable_webhook(desk: StoreDesk, ask: Ask[Any]) -> Any:
    return webhook_to_wire(await desk.webhooks.disable(ask.values["webhook_id"], reason=(ask.body or {})["reason"]))


@answers
async def rotate_webhook_secret(desk: StoreDesk, ask: Ask[Any]) -> Any:
    overlap = timedelta(milliseconds=(ask.body or {}).get("overlap_ms", 86_400_000))
    return _made_webhook(await desk.webhooks.rotate(ask.values["webhook_id"], keep=overlap))


@answers
async def post_test_event(desk: StoreDesk, ask: Ask[Any]) -> Any:
    from mainspring.app.wiring import webhook_sender

    test = await desk.webhooks.prepare_test(ask.values["webhook_id"])
    posted = await post_trial(test, webhook_sender(desk.app.settings, desk.app.parts))
    return {"reception": posted.reception.value, "detail": posted.detail}


@answers
async def list_deliveries(desk: StoreDesk, ask: Ask[Any]) -> Any:
    webhook_id = ask.values["webhook_id"]
    await desk.webhooks.get(webhook_id)
    fixed = Compare("webhook_id", "=", webhook_id)
    return await desk.page(
        Noun.WEBHOOK_DELIVERIES, ask, lambda tx, found: [delivery_to_wire(row) for row in found], fixed
    )
