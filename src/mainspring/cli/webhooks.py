"""`webhooks`: subscribe URLs to events, list, rotate, test; what each was owed and how it went."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from cyclopts import Parameter

from mainspring.cli.desk import Desk
from mainspring.cli.durations import elapsed_ms
from mainspring.cli.exits import Exit
from mainspring.cli.filters import equals
from mainspring.cli.job_fields import given_only
from mainspring.cli.job_zones import JobZones, read_zones
from mainspring.cli.output import pairs, print_one, say, short
from mainspring.cli.pages import Listed, print_listing, print_rows
from mainspring.cli.target import Target
from mainspring.cli.times import stamp
from mainspring.client import asks
from mainspring.client.shape import Page
from mainspring.client.shapes import Delivery, MadeWebhook, Webhook
from mainspring.model.webhook import Reception

Patterns = Annotated[list[str], Parameter(negative="")]


def list_webhooks(*, target: Target | None = None) -> None:
    """List webhooks, oldest first."""
    target = target or Target()

    found = target.run(lambda desk: desk.ask(asks.list_webhooks()))
    headers = ("WEBHOOK", "URL", "EVENTS", "STANDING")
    print_rows(target, found, headers, lambda w: [w.id, w.url, ", ".join(w.events), _standing(w)], empty="No webhooks.")


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

    asked: Any = {"url": url, "events": events or ["**"], "description": description, "secret": secret}
    _told_once(target, target.run(lambda desk: desk.ask(asks.create_webhook(**given_only(asked)))))


def delete_webhook(webhook_id: str, /, *, target: Target | None = None) -> None:
    """Unsubscribe; what it is still owed goes with it."""
    target = target or Target()

    target.run(lambda desk: desk.ask(asks.delete_webhook(webhook_id)))
    print_one(target.output, {"id": webhook_id, "deleted": True}, f"{webhook_id} is deleted")


def enable_webhook(webhook_id: str, /, *, url: str | None = None, target: Target | None = None) -> None:
    """Deliver again; what it was owed when it was disabled comes first.

    Args:
        webhook_id: Its id.
        url: A new URL, where the old one has moved.
    """
    target = target or Target()

    webhook = target.run(lambda desk: desk.ask(asks.enable_webhook(webhook_id, **given_only({"url": url}))))
    print_one(target.output, webhook.wire, f"{webhook_id} is enabled")


def disable_webhook(webhook_id: str, /, *, reason: str, target: Target | None = None) -> None:
    """Deliver nothing more; what it is owed already is kept.

    Args:
        webhook_id: Its id.
        reason: Why; kept with it.
    """
    target = target or Target()

    webhook = target.run(lambda desk: desk.ask(asks.disable_webhook(webhook_id, reason=reason)))
    print_one(target.output, webhook.wire, f"{webhook_id} is disabled")


def rotate_secret(webhook_id: str, /, *, keep: str = "24h", target: Target | None = None) -> None:
    """Give a webhook a new secret, shown this once.

    Args:
        webhook_id: Its id.
        keep: How long the former one signs beside it.
    """
    target = target or Target()

    overlap = elapsed_ms(keep, "keep")
    ask = asks.rotate_webhook_secret(webhook_id, overlap_ms=overlap)
    _told_once(target, target.run(lambda desk: desk.ask(ask)))


def post_test(webhook_id: str, /, *, target: Target | None = None) -> int:
    """Post a test event from here, right now, and show the answer."""
    target = target or Target()

    answer = target.run(lambda desk: desk.ask(asks.post_test_event(webhook_id)))
    wire = {"id": webhook_id, **answer.wire}
    print_one(target.output, wire, f"{answer.reception}: {answer.detail}")
    return Exit.DONE if answer.reception == Reception.DELIVERED.value else Exit.FAILED


def list_deliveries(
    webhook_id: str,
    /,
    *,
    state: Literal["held", "ready", "delivered", "failed"] | None = None,
    listed: Listed | None = None,
    target: Target | None = None,
) -> None:
    """List what a webhook was owed and is, newest first.

    Args:
        webhook_id: Its id.
        state: Only these. "held": an earlier event about the same thing has to arrive first.
        listed: What every list takes.
    """
    target, listed = target or Target(), listed or Listed()

    async def work(desk: Desk) -> tuple[Page[Delivery], JobZones]:
        page = await desk.ask(asks.list_deliveries(webhook_id, **listed.query(equals("state", state))))
        return page, await read_zones(desk) if target.for_people else JobZones()

    page, zones = target.run(work)
    headers = ("DELIVERY", "EVENT", "ABOUT", "STATE", "TRIES", "SINCE", "ANSWER")
    print_listing(target, listed, page, headers, lambda d: _row(d, zones.default), empty="It was owed nothing.")


def _row(d: Delivery, zone: str) -> list[Any]:
    return [d.id, d.event_type, d.subject, d.state, d.attempts, stamp(d.created_at, zone), short(d.detail, 80)]


def _standing(webhook: Webhook) -> str:
    if not webhook.enabled:
        return f"disabled: {short(webhook.disabled_reason, 100)}"
    return f"in trouble, {webhook.failures} tries failed in a row" if webhook.failures else "well"


def _told_once(target: Target, made: MadeWebhook) -> None:
    told = {"id": made.id, "url": made.url, "events": ", ".join(made.events), "secret": made.secret}
    print_one(target.output, made.wire, pairs(told))
    if target.for_people:
        say("Keep the secret now: it is not shown again.")
