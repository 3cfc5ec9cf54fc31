"""`webhooks`: subscribe URLs to events, list, rotate, test; what each was owed and how it went."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from cyclopts import Parameter

from mainspring.cli.exits import Exit
from mainspring.cli.job_zones import read_zones
from mainspring.cli.output import page_size, pairs, print_one, print_page, say, short, table
from mainspring.cli.target import Client, Target
from mainspring.cli.times import stamp
from mainspring.control.webhooks import NewSecret, WebhookService, delivery_to_wire, webhook_to_wire
from mainspring.model.webhook import DeliveryState, Reception, Webhook

Patterns = Annotated[list[str], Parameter(negative="")]


def list_webhooks(*, target: Target | None = None) -> None:
    """List webhooks, oldest first."""
    target = target or Target()

    async def work(client: Client) -> list[Webhook]:
        return await _service(client).find()

    found = target.run(work)
    rows = [[w.id, w.url, ", ".join(w.events), _standing(w)] for w in found]
    print_page(
        target.output,
        [webhook_to_wire(webhook) for webhook in found],
        table(["WEBHOOK", "URL", "EVENTS", "STANDING"], rows),
        following=None,
        empty="No webhooks.",
    )


def create_webhook(
    url: str,
    /,
    *,
    events: Patterns | None = None,
    description: str = "",
    secret: str | None = None,
    target: Target | None = None,
) -> None:
    """Subscribe a URL. The secret is shown this once: what comes signed with it comes from here.

    Args:
        url: Where to post, http or https.
        events: Patterns of event types, such as "scheduler:execution.*"; every event by default.
        description: For people.
        secret: whsec_ and base64, instead of one that is made.
    """
    target = target or Target()

    async def work(client: Client) -> NewSecret:
        return await _service(client).create(url, events or ["**"], description=description, secret=secret)

    _told_once(target, target.run(work))


def delete_webhook(webhook_id: str, /, *, target: Target | None = None) -> None:
    """Unsubscribe; what it is still owed goes with it."""
    target = target or Target()

    async def work(client: Client) -> None:
        await _service(client).delete(webhook_id)

    target.run(work)
    print_one(target.output, {"id": webhook_id, "deleted": True}, f"{webhook_id} is deleted")


def enable_webhook(webhook_id: str, /, *, url: str | None = None, target: Target | None = None) -> None:
    """Deliver again; what it was owed when it was disabled comes first.

    Args:
        webhook_id: Its id.
        url: A new URL, where the old one has moved.
    """
    target = target or Target()

    async def work(client: Client) -> Webhook:
        return await _service(client).enable(webhook_id, url=url)

    webhook = target.run(work)
    print_one(target.output, webhook_to_wire(webhook), f"{webhook_id} is enabled")


def disable_webhook(webhook_id: str, /, *, reason: str, target: Target | None = None) -> None:
    """Deliver nothing more; what it is owed already is kept.

    Args:
        webhook_id: Its id.
        reason: Why; kept with it.
    """
    target = target or Target()

    async def work(client: Client) -> Webhook:
        return await _service(client).disable(webhook_id, reason=reason)

    webhook = target.run(work)
    print_one(target.output, webhook_to_wire(webhook), f"{webhook_id} is disabled")


def rotate_secret(webhook_id: str, /, *, keep: str = "24h", target: Target | None = None) -> None:
    """Give a webhook a new secret, shown this once.

    Args:
        webhook_id: Its id.
        keep: How long the former one signs beside it.
    """
    target = target or Target()

    async def work(client: Client) -> NewSecret:
        return await _service(client).rotate(webhook_id, keep=keep)

    _told_once(target, target.run(work))


def post_test(webhook_id: str, /, *, target: Target | None = None) -> int:
    """Post a test event from here, right now, and show the answer."""
    target = target or Target()

    async def work(client: Client) -> tuple[str, str]:
        from mainspring.app.wiring import webhook_sender

        sender = webhook_sender(client.app.settings, client.app.parts)
        answer = await _service(client).test(webhook_id, sender)
        return answer.reception.value, answer.detail

    reception, detail = target.run(work)
    print_one(target.output, {"id": webhook_id, "reception": reception, "detail": detail}, f"{reception}: {detail}")
    return Exit.DONE if reception == Reception.DELIVERED else Exit.FAILED


def list_deliveries(
    webhook_id: str,
    /,
    *,
    state: Literal["held", "ready", "delivered", "failed"] | None = None,
    after: str | None = None,
    limit: int = 50,
    target: Target | None = None,
) -> None:
    """List what a webhook was owed and is, newest first.

    Args:
        webhook_id: Its id.
        state: Only these. "held": an earlier event about the same thing has to arrive first.
        after: Start behind this id: the one a page ended with.
        limit: How many.
    """
    target = target or Target()
    size = page_size(limit)
    wanted = None if state is None else DeliveryState(state)

    async def work(client: Client) -> tuple[list[Any], str]:
        found = await _service(client).deliveries(webhook_id, state=wanted, before_id=after, limit=size + 1)
        platform_id = client.scheduler.platform_id
        zones = await client.scheduler.read(lambda tx: read_zones(tx, platform_id, []))
        return found, zones.default

    found, zone = target.run(work)
    page = found[:size]
    rows = [
        [d.id, d.event_type, d.subject, d.state.value, d.attempts, stamp(d.created_at, zone), short(d.detail, 80)]
        for d in page
    ]
    print_page(
        target.output,
        [delivery_to_wire(delivery) for delivery in page],
        table(["DELIVERY", "EVENT", "ABOUT", "STATE", "TRIES", "SINCE", "ANSWER"], rows),
        following=page[-1].id if len(found) > size else None,
        empty="It was owed nothing.",
    )


def _service(client: Client) -> WebhookService:
    service = WebhookService(client.app.store, platform_id=client.scheduler.platform_id, actor="cli")
    service.sealer = client.app.sealer
    return service


def _standing(webhook: Webhook) -> str:
    if not webhook.enabled:
        return f"disabled: {short(webhook.disabled_reason, 100)}"
    return f"in trouble, {webhook.failures} tries failed in a row" if webhook.failures else "well"


def _told_once(target: Target, made: NewSecret) -> None:
    webhook = made.webhook
    told = {"id": webhook.id, "url": webhook.url, "events": ", ".join(webhook.events), "secret": made.secret}
    print_one(target.output, {**webhook_to_wire(webhook), "secret": made.secret}, pairs(told))
    if target.output == "table":
        say("Keep the secret now: it is not shown again.")
