"""Post what webhooks are owed. A slow receiver holds up nobody else; one that is away for days loses nothing."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from mainspring.errors import StoreUnavailableError
from mainspring.model.log_events import about
from mainspring.model.webhook import Answer, Reception, Webhook, WebhookDelivery
from mainspring.moves.webhooks import give_back, settle_try, take_due
from mainspring.ports.clock import Wakeups
from mainspring.ports.store import Store
from mainspring.ports.webhooks import WebhookSender

logger = logging.getLogger("mainspring")


@dataclass(frozen=True, slots=True)
class DeliverySettings:
    """``at_once``: most posts of one dispatcher at a time. ``timeout``: longest that one may take, answer included.

    What a dispatcher has taken belongs to it for the timeout and ``margin``, in which it records how it went.
    """

    at_once: int = 64
    timeout: timedelta = timedelta(seconds=15)
    margin: timedelta = timedelta(seconds=10)

    @property
    def lease(self) -> timedelta:
        """How long a try is taken for."""
        return self.timeout + self.margin


class Deliverer:
    """Takes deliveries that are due and posts each in a task of its own, while there is room."""

    def __init__(
        self,
        store: Store,
        sender: WebhookSender,
        wakeups: Wakeups,
        settings: DeliverySettings | None = None,
        *,
        random: random.Random,
    ) -> None:
        self._store, self._sender, self._wakeups = store, sender, wakeups
        self._settings, self._random = settings or DeliverySettings(), random
        self._under_way: dict[asyncio.Task[None], WebhookDelivery] = {}

    async def step(self) -> float | None:
        """Take what is due and begin to post it; return how long until there may be more."""
        room = self._settings.at_once - len(self._under_way)
        if room <= 0:
            return None  # whichever ends first wakes this loop
        lease = self._settings.lease
        busy = Counter(delivery.webhook_id for delivery in self._under_way.values())
        due = await self._store.write(lambda tx: take_due(tx, busy, limit=room, lease=lease))
        for webhook, delivery in due.tries:
            secrets = webhook.keys(due.now)
            task = asyncio.create_task(self._try(webhook, delivery, secrets), name="mainspring:webhook")
            self._under_way[task] = delivery
            task.add_done_callback(self._ended)
        # What is due already was not taken because there is no room for it, and then an end wakes this loop.
        return (due.next_at - due.now).total_seconds() if due.next_at is not None and due.next_at > due.now else None

    async def stop(self) -> None:
        """Break off what is under way and give it back, so that others try it at once."""
        broken = dict(self._under_way)
        for task in broken:
            task.cancel()
        await asyncio.gather(*broken, return_exceptions=True)
        if broken:
            await self._store.write(lambda tx: give_back(tx, list(broken.values())))

    async def _try(self, webhook: Webhook, delivery: WebhookDelivery, secrets: Sequence[str]) -> None:
        answer = await self._post(webhook, delivery, secrets)
        draw, lease = self._random.random(), self._settings.lease
        try:
            disabled = await self._store.write(lambda tx: settle_try(tx, delivery, answer, draw=draw, lease=lease))
        except StoreUnavailableError as error:
            # Nobody knows that it arrived: it is posted again, under the same id.
            logger.warning("could not record delivery %s of webhook %s: %s", delivery.id, webhook.id, error)
            return
        if disabled is not None:
            about_it = about("webhook.disabled", webhook=disabled.id, platform=disabled.platform_id)
            logger.warning("webhook %s is disabled: %s", disabled.id, disabled.disabled_reason, extra=about_it)

    async def _post(self, webhook: Webhook, delivery: WebhookDelivery, secrets: Sequence[str]) -> Answer:
        limit = self._settings.timeout.total_seconds()
        # Whatever the sender promises: some time after this a try is no longer ours alone.
        scope = asyncio.timeout(limit)
        try:
            async with scope:
                return await self._sender.send(webhook.url, id=delivery.event_id, body=delivery.body, secrets=secrets)
        except TimeoutError as error:
            if scope.expired():
                return Answer(Reception.RETRY, f"no answer within {limit:g} s")
            return Answer(Reception.RETRY, f"{type(error).__name__}: {error}"[:200])
        except Exception as error:  # a defect of the sender must not lose the delivery
            logger.exception(
                "webhook %s: posting failed", webhook.id, extra=about("webhook.failed", webhook=webhook.id)
            )
            return Answer(Reception.RETRY, f"{type(error).__name__}: {error}"[:200])

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._under_way.pop(task, None)
        if not task.cancelled() and task.exception() is not None:
            logger.error("a webhook's delivery ended badly", exc_info=task.exception())
        self._wakeups.notify("deliveries")
