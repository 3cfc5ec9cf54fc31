"""What a store promises of webhooks: each delivery is owed once, taken by one at a time, in order where it matters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest

from mainspring.errors import ConflictError
from mainspring.model.webhook import DeliveryState, Webhook, WebhookDelivery
from mainspring.ports.store import Store, Tx
from tests.contracts.store_rows import HOUR, MINUTE, PLATFORM, SECOND, new_id


def a_webhook(now: datetime, **values: Any) -> Webhook:
    fields = {"id": new_id(now), "platform_id": PLATFORM, "url": "https://example.com/in", "events": ("order.*",)}
    secrets = [{"secret": "whsec_" + "a" * 32, "until": None}]
    return Webhook(**{**fields, "created_at": now, "updated_at": now, "secrets": secrets, **values})


def a_delivery(webhook: Webhook, now: datetime, **values: Any) -> WebhookDelivery:
    fields = {"id": new_id(now), "webhook_id": webhook.id, "platform_id": webhook.platform_id, "body": '{"n":"ü"}'}
    times = {"created_at": now, "available_at": now}
    return WebhookDelivery(**{**fields, "event_id": new_id(now), "event_type": "order.paid", **times, **values})


def ended(tx: Tx, delivery: WebhookDelivery) -> bool:
    return tx.webhooks.end_try(delivery)


def put(webhook: Webhook) -> Callable[[Tx], None]:
    return lambda tx: tx.webhooks.add(webhook)


class WebhookContract:
    """`WebhookTable`."""

    async def test_a_webhook_comes_back_whole_to_its_own_platform_only(self, store: Store, now: datetime) -> None:
        one, two = a_webhook(now), a_webhook(now, description="ü", failures=3, failing_since=now, retry_at=now + HOUR)
        foreign = a_webhook(now, platform_id="other")
        for webhook in (two, one, foreign):
            await store.write(put(webhook))
        assert await store.read(lambda tx: tx.webhooks.find(PLATFORM)) == [one, two]
        assert await store.read(lambda tx: tx.webhooks.get(PLATFORM, two.id)) == two
        assert await store.read(lambda tx: tx.webhooks.get(PLATFORM, foreign.id)) is None
        with pytest.raises(ConflictError):
            await store.write(lambda tx: tx.webhooks.add(one))

    async def test_a_deleted_webhook_is_owed_nothing_and_not_saved_again(self, store: Store, now: datetime) -> None:
        webhook = a_webhook(now)
        await store.write(lambda tx: tx.webhooks.add(webhook))
        await store.write(lambda tx: tx.webhooks.owe([a_delivery(webhook, now)]))
        changed = replace(webhook, url="https://example.com/other", enabled=False, disabled_reason="gone")
        await store.write(lambda tx: tx.webhooks.save(changed))
        assert await store.read(lambda tx: tx.webhooks.get(PLATFORM, webhook.id)) == changed
        await store.write(lambda tx: tx.webhooks.delete(webhook.id))
        await store.write(lambda tx: tx.webhooks.save(changed))
        assert await store.read(lambda tx: tx.webhooks.find(PLATFORM)) == []
        assert await store.read(lambda tx: tx.webhooks.deliveries(webhook.id)) == []
        assert await store.read(lambda tx: tx.webhooks.next_due_at()) is None

    async def test_only_enabled_webhooks_of_the_platforms_are_asked_for_by_id(
        self, store: Store, now: datetime
    ) -> None:
        one, two = a_webhook(now), a_webhook(now)
        for webhook in (two, one, a_webhook(now, enabled=False), a_webhook(now, platform_id="other")):
            await store.write(put(webhook))
        assert await store.write(lambda tx: tx.webhooks.lock_enabled([PLATFORM, "nobody"])) == [one, two]

    async def test_due_webhooks_are_those_whose_delivery_s_time_and_own_time_have_come(
        self, store: Store, now: datetime
    ) -> None:
        due, resting, later, disabled, idle = (
            a_webhook(now),
            a_webhook(now, retry_at=now + MINUTE),
            a_webhook(now),
            a_webhook(now, enabled=False),
            a_webhook(now),
        )
        for webhook in (due, resting, later, disabled, idle):
            await store.write(put(webhook))
        owed = [a_delivery(webhook, now - MINUTE) for webhook in (due, resting, disabled)]
        owed.append(a_delivery(later, now, available_at=now + HOUR))
        owed.append(a_delivery(idle, now - MINUTE, state=DeliveryState.HELD))
        await store.write(lambda tx: tx.webhooks.owe(owed))
        assert await store.read(lambda tx: tx.webhooks.due(10)) == [due]
        assert await store.read(lambda tx: tx.webhooks.next_due_at()) == now - MINUTE
        await store.write(lambda tx: tx.webhooks.delete(due.id))
        assert await store.read(lambda tx: tx.webhooks.next_due_at()) == now + MINUTE

    async def test_a_try_is_counted_and_taken_by_one_at_a_time(self, store: Store, now: datetime) -> None:
        webhook, other = a_webhook(now), a_webhook(now)
        owed = [a_delivery(webhook, now - n * SECOND) for n in (0, 2, 1)]
        future = a_delivery(webhook, now, available_at=now + HOUR)
        await store.write(lambda tx: tx.webhooks.owe([*owed, future, a_delivery(other, now)]))
        until = now + HOUR
        first = await store.write(lambda tx: tx.webhooks.take(webhook.id, 2, until))
        assert first == [replace(d, attempts=1, available_at=until) for d in (owed[1], owed[2])]
        rest = await store.write(lambda tx: tx.webhooks.take(webhook.id, 10, until))
        assert [d.id for d in rest] == [owed[0].id]
        assert await store.write(lambda tx: tx.webhooks.take(webhook.id, 10, until)) == []

    async def test_only_the_present_try_of_an_open_delivery_is_ended(self, store: Store, now: datetime) -> None:
        webhook = a_webhook(now)
        await store.write(lambda tx: tx.webhooks.owe([a_delivery(webhook, now)]))
        (taken,) = await store.write(lambda tx: tx.webhooks.take(webhook.id, 1, now + HOUR))
        failed = replace(taken, available_at=now, failing_since=now, detail="answered 500")
        assert await store.write(lambda tx: tx.webhooks.end_try(failed))
        (again,) = await store.write(lambda tx: tx.webhooks.take(webhook.id, 1, now + HOUR))
        assert not await store.write(lambda tx: tx.webhooks.end_try(taken)), "the first try is over"
        done = replace(again, state=DeliveryState.DELIVERED, ended_at=now, detail="answered 200")
        assert await store.write(lambda tx: tx.webhooks.end_try(done))
        assert not await store.write(lambda tx: tx.webhooks.end_try(done)), "it has ended"
        assert await store.read(lambda tx: tx.webhooks.deliveries(webhook.id)) == [done]

    async def test_held_deliveries_are_released_one_by_one_in_order(self, store: Store, now: datetime) -> None:
        webhook = a_webhook(now)
        first = a_delivery(webhook, now, subject="x")
        held = [a_delivery(webhook, now, subject="x", state=DeliveryState.HELD) for _ in range(2)]
        other = a_delivery(webhook, now, subject="y", state=DeliveryState.HELD)
        await store.write(lambda tx: tx.webhooks.owe([first, *held, other]))
        asked = ["x", "y", "z"]
        assert await store.read(lambda tx: tx.webhooks.open_subjects(webhook.id, asked)) == {"x", "y"}
        assert await store.read(lambda tx: tx.webhooks.owed(webhook.id, 3)) == 3
        for expected in held:
            (taken,) = await store.write(lambda tx: tx.webhooks.take(webhook.id, 10, now + HOUR))
            done = replace(taken, state=DeliveryState.DELIVERED, ended_at=now)
            await store.write(partial(ended, delivery=done))
            await store.write(lambda tx: tx.webhooks.release_next(webhook.id, "x"))
            ready = await store.read(lambda tx: tx.webhooks.deliveries(webhook.id, state=DeliveryState.READY))
            assert [d.id for d in ready] == [expected.id]

    async def test_what_failed_in_one_outage_is_hastened_and_nothing_else(self, store: Store, now: datetime) -> None:
        webhook = a_webhook(now)
        far = {"available_at": now + HOUR}
        outage = a_delivery(webhook, now, failing_since=now, **far)
        poison = a_delivery(webhook, now, failing_since=now - HOUR, **far)
        under_way = a_delivery(webhook, now, failing_since=now, available_at=now + 30 * SECOND)
        fresh = a_delivery(webhook, now, **far)
        await store.write(lambda tx: tx.webhooks.owe([outage, poison, under_way, fresh]))
        await store.write(lambda tx: tx.webhooks.hasten(webhook.id, now + MINUTE, now - MINUTE))
        found = await store.write(lambda tx: (tx.now, tx.webhooks.take(webhook.id, 10, tx.now + HOUR)))
        assert [d.id for d in found[1]] == [outage.id]

    async def test_ended_deliveries_are_listed_newest_first_and_deleted_by_when_they_ended(
        self, store: Store, now: datetime, advance: Callable[[timedelta], datetime]
    ) -> None:
        webhook = a_webhook(now)
        old = a_delivery(webhook, now, state=DeliveryState.FAILED, ended_at=now - HOUR)
        young = a_delivery(webhook, now, state=DeliveryState.DELIVERED, ended_at=now)
        waiting = a_delivery(webhook, now - HOUR)
        await store.write(lambda tx: tx.webhooks.owe([old, young, waiting]))
        everything = await store.read(lambda tx: tx.webhooks.deliveries(webhook.id))
        assert everything == [waiting, young, old]
        assert await store.read(lambda tx: tx.webhooks.deliveries(webhook.id, before_id=young.id, limit=5)) == [old]
        advance(HOUR)
        assert await store.write(lambda tx: tx.webhooks.delete_ended(now - MINUTE, 10)) == 1
        assert await store.read(lambda tx: tx.webhooks.deliveries(webhook.id)) == [waiting, young]
