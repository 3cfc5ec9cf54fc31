"""Webhooks to real servers on loopback: signed so that an independent library verifies, in order, through outages."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from mainspring import Mainspring
from mainspring.adapters.http import AddressPolicy, OutboundHttp
from mainspring.adapters.memory.wakeups import InProcessWakeups
from mainspring.adapters.notify_webhook.sender import SignedSender
from mainspring.adapters.sql.store import SqlStore
from mainspring.adapters.system import SystemClock
from mainspring.control.webhooks import NewSecret, WebhookService, webhook_to_wire
from mainspring.engine.deliver import Deliverer, DeliverySettings
from mainspring.errors import NotFoundError, ValidationError
from mainspring.model.events import Event
from mainspring.model.webhook import Answer, Reception
from mainspring.moves.relay import mark_published
from mainspring.moves.schedules import Schedules
from mainspring.ports.clock import Clock
from mainspring.testing.clock import ManualClock
from tests.integration.local_servers import Asked, HttpServer, serving, status
from tests.waiting import PATIENCE, auntil


class Fleet:
    """A store, a service and a dispatcher's deliverer, whose steps are made one by one."""

    def __init__(self, path: Path, ports: Sequence[int], clock: Clock) -> None:
        self.wakeups = InProcessWakeups()
        self.store = SqlStore(path, clock=clock, random=random.Random(1), wakeups=self.wakeups)
        policy = AddressPolicy.allowing([f"127.0.0.1/32:{port}" for port in ports])
        self.sender = SignedSender(lambda: OutboundHttp(policy), SystemClock())
        self.service = WebhookService(self.store)
        self.deliverer = self.another()

    def another(self) -> Deliverer:
        return Deliverer(self.store, self.sender, self.wakeups, random=random.Random(2))

    async def happens(self, *subjects: str | None, kind: str = "scheduler:execution.success") -> list[Event]:
        def work(tx: Any) -> list[Event]:
            data = {"n": 1, "execution_id": tx.new_id()}  # of which the rollups read when it was made
            events = [Event(tx.new_id(), kind, "default", tx.now, subject=s, data=data) for s in subjects]
            tx.outbox.add(events)
            mark_published(tx, Schedules(), events)
            return events

        return await self.store.write(work)

    async def deliver(self) -> None:
        """Step until nothing more is due."""
        while True:
            await self.deliverer.step()
            under_way = list(self.deliverer._under_way)
            if not under_way:
                return
            await asyncio.gather(*under_way)


@asynccontextmanager
async def fleet(tmp_path: Path, *ports: int, clock: Clock | None = None) -> AsyncIterator[Fleet]:
    made = Fleet(tmp_path / "jobs.db", ports, clock or SystemClock())
    await made.store.open()
    try:
        yield made
    finally:
        await made.deliverer.stop()
        await made.store.close()


def verified(asked: Asked, secret: str) -> Any:
    return Verifier(secret).verify(asked.body, asked.headers)


async def test_an_event_arrives_as_a_signed_cloud_event_an_independent_library_verifies(tmp_path: Path) -> None:
    server = HttpServer()
    async with serving(server.talk) as port, fleet(tmp_path, port) as it:
        made = await it.service.create(f"http://127.0.0.1:{port}/in?x=1", ["scheduler:execution.*"])
        await it.happens("other", kind="scheduler:job.paused")
        (event,) = await it.happens("execution-1")
        await it.deliver()
        (asked,) = server.asked
        assert verified(asked, made.secret)["id"] == event.id
        assert asked.headers["webhook-id"] == event.id
        assert asked.headers["content-type"] == "application/cloudevents+json"
        body = json.loads(asked.body)
        assert (body["specversion"], body["type"]) == ("1.0", "scheduler:execution.success")
        assert (body["subject"], body["sequence"], body["platformid"]) == ("execution-1", "00000001", "default")
        with pytest.raises(WebhookVerificationError):
            verified(asked, "whsec_" + "QUFB" * 10)
        (delivery,) = await it.service.deliveries(made.webhook.id)
        assert (delivery.state, delivery.detail) == ("delivered", "the receiver answered 204")


async def test_during_a_rotation_the_former_and_the_new_secret_both_verify(tmp_path: Path) -> None:
    server, clock = HttpServer(), ManualClock()
    async with serving(server.talk) as port, fleet(tmp_path, port, clock=clock) as it:
        made = await it.service.create(f"http://127.0.0.1:{port}/")
        rotated = await it.service.rotate(made.webhook.id, keep="1h")
        await it.happens("1")
        await it.deliver()
        for secret in (made.secret, rotated.secret):
            verified(server.asked[0], secret)
        clock.advance(timedelta(hours=1))
        await it.happens("2")
        await it.deliver()
        verified(server.asked[1], rotated.secret)
        with pytest.raises(WebhookVerificationError):
            verified(server.asked[1], made.secret)


async def test_an_outage_loses_nothing_and_keeps_the_order_of_each_execution(tmp_path: Path) -> None:
    """F36: the receiver is down for ten minutes. Each event arrives, again under the same id, in order."""
    clock = ManualClock()
    server = HttpServer(status(503))
    async with serving(server.talk) as port, fleet(tmp_path, port, clock=clock) as it:
        made = await it.service.create(f"http://127.0.0.1:{port}/")
        happened: dict[str, list[str]] = {"a": [], "b": [], "c": []}
        began = clock.now()
        while clock.now() - began < timedelta(minutes=10):
            for subject in happened:
                happened[subject] += [event.id for event in await it.happens(subject)]
            await it.deliver()
            clock.advance(timedelta(seconds=20))
        tried = {asked.headers["webhook-id"] for asked in server.asked}
        server.asked.clear()
        server.answer = None
        for _ in range(60):
            await it.deliver()
            clock.advance(timedelta(seconds=20))
        arrived: dict[str, list[str]] = {"a": [], "b": [], "c": []}
        for asked in server.asked:
            event = verified(asked, made.secret)
            arrived[event["subject"]].append(event["id"])
        assert arrived == happened
        assert tried <= {event for events in happened.values() for event in events}
        assert (await it.service.get(made.webhook.id)).failures == 0


async def test_a_slow_receiver_holds_up_nobody_else(tmp_path: Path) -> None:
    release = asyncio.Event()

    async def slow(_: Asked, writer: asyncio.StreamWriter) -> None:
        await release.wait()
        writer.write(b"HTTP/1.1 204 Whatever\r\n\r\n")

    held, quick = HttpServer(slow), HttpServer()
    async with (
        serving(held.talk) as slow_port,
        serving(quick.talk) as port,
        fleet(tmp_path, slow_port, port) as it,
    ):
        await it.service.create(f"http://127.0.0.1:{slow_port}/")
        await it.service.create(f"http://127.0.0.1:{port}/")
        await it.happens(*(str(n) for n in range(12)))
        async with asyncio.timeout(PATIENCE):
            while len(quick.asked) < 12:
                await it.deliverer.step()
                await asyncio.sleep(0.01)
        assert len(held.asked) <= 4
        release.set()
        await it.deliver()
        assert len(held.asked) == 12


async def test_a_dispatcher_that_stops_gives_back_what_it_was_posting(tmp_path: Path) -> None:
    started, release = asyncio.Event(), asyncio.Event()

    async def slow(_: Asked, writer: asyncio.StreamWriter) -> None:
        started.set()
        await release.wait()

    server = HttpServer(slow)
    async with serving(server.talk) as port, fleet(tmp_path, port) as it:
        await it.service.create(f"http://127.0.0.1:{port}/")
        (event,) = await it.happens("1")
        await it.deliverer.step()
        await started.wait()
        await it.deliverer.stop()
        server.answer = None
        it.deliverer = it.another()
        await it.deliver()
        assert [asked.headers["webhook-id"] for asked in server.asked] == [event.id, event.id]


async def test_gone_disables_and_enabling_delivers_what_was_owed(tmp_path: Path) -> None:
    server = HttpServer(status(410))
    async with serving(server.talk) as port, fleet(tmp_path, port) as it:
        made = await it.service.create(f"http://127.0.0.1:{port}/old")
        await it.happens("1")
        await it.deliver()
        off = await it.service.get(made.webhook.id)
        assert (off.enabled, "410" in (off.disabled_reason or "")) == (False, True)
        server.answer = None
        await it.service.enable(made.webhook.id, url=f"http://127.0.0.1:{port}/new")
        await it.deliver()
        assert [asked.target for asked in server.asked] == ["/old", "/new"]


async def test_a_target_inside_our_network_is_not_called_and_the_webhook_says_so(tmp_path: Path) -> None:
    server = HttpServer()
    async with serving(server.talk) as port, fleet(tmp_path) as it:
        made = await it.service.create(f"http://127.0.0.1:{port}/")
        await it.happens("1")
        await it.deliver()
        assert server.asked == []
        assert "must not be called" in ((await it.service.get(made.webhook.id)).disabled_reason or "")


async def test_a_test_posts_at_once_and_records_nothing(tmp_path: Path) -> None:
    server = HttpServer()
    async with serving(server.talk) as port, fleet(tmp_path, port) as it:
        made = await it.service.create(f"http://127.0.0.1:{port}/")
        answer = await it.service.test(made.webhook.id, it.sender)
        assert answer.reception is Reception.DELIVERED
        assert verified(server.asked[0], made.secret)["type"] == "scheduler:webhook.test"
        assert await it.service.deliveries(made.webhook.id) == []


async def test_secrets_are_told_once_and_never_shown(tmp_path: Path) -> None:
    async with fleet(tmp_path) as it:
        made: NewSecret = await it.service.create("https://example.com/in")
        shown = json.dumps([webhook_to_wire(webhook) for webhook in await it.service.find()])
        assert made.secret not in shown
        assert made.secret[10:30] not in shown


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"url": "ftp://example.com"}, "url"),
        ({"url": "https://user:pw@example.com"}, "url"),
        ({"url": "https://example.com/#x"}, "url"),
        ({"url": "not a url"}, "url"),
        ({"url": "https://example.com:99999"}, "url"),
        ({"events": []}, "events"),
        ({"events": "**"}, "events"),
        ({"events": ["a..b"]}, "events"),
        ({"secret": "short"}, "secret"),
        ({"secret": "whsec_AAAA"}, "secret"),
    ],
    ids=str,
)
async def test_a_subscription_that_cannot_work_is_refused(tmp_path: Path, changes: Any, field: str) -> None:
    async with fleet(tmp_path) as it:
        with pytest.raises(ValidationError) as caught:
            await it.service.create(**{"url": "https://example.com/in", **changes})
        assert caught.value.field == field


async def test_a_webhook_of_another_platform_is_unknown(tmp_path: Path) -> None:
    async with fleet(tmp_path) as it:
        made = await it.service.create("https://example.com/in")
        other = WebhookService(it.store, platform_id="other")
        for act in (other.get, other.delete, other.enable, other.rotate, other.deliveries):
            with pytest.raises(NotFoundError):
                await act(made.webhook.id)
        await it.service.delete(made.webhook.id)
        assert await it.service.find() == []


async def test_an_application_posts_what_its_executions_do(tmp_path: Path) -> None:
    server = HttpServer()
    async with serving(server.talk) as port:
        ms = Mainspring(
            f"sqlite:///{tmp_path}/jobs.db", webhook_allow=f"127.0.0.1/32:{port}", started_events=True, poll_ms=100
        )

        @ms.handler()
        async def work(n: int) -> int:
            return n

        await ms.open()
        made = await WebhookService(ms.store).create(f"http://127.0.0.1:{port}/", ["scheduler:execution.*"])
        async with ms.running():
            run = await work.aenqueue(n=3)
            assert await run.aresult(PATIENCE) == 3
            await auntil("both were posted", lambda: len(server.asked) == 2)
        found = [verified(asked, made.secret) for asked in server.asked]
        # Several are under way at once, and the later one may get there first.
        assert sorted(event["type"].rpartition(".")[2] for event in found) == ["started", "success"]
        assert {event["subject"] for event in found} == {run.id}


class Silent:
    """A receiver that takes a post and never says a word, and knows how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    async def send(self, url: str, *, id: str, body: str, secrets: Sequence[str]) -> Answer:
        self.asked += 1
        await asyncio.Event().wait()
        raise AssertionError("unreachable")


async def test_a_post_ends_at_its_timeout_and_is_made_again_when_its_dispatcher_has_died(tmp_path: Path) -> None:
    """A try belongs to who makes it for the timeout and a margin to record it in, and not a fixed minute."""
    clock, silent = ManualClock(), Silent()
    settings = DeliverySettings(timeout=timedelta(milliseconds=50), margin=timedelta(seconds=10))
    async with fleet(tmp_path, clock=clock) as it:
        made = await it.service.create("https://receiver.example/")
        one, other = (Deliverer(it.store, silent, it.wakeups, settings, random=random.Random(n)) for n in range(2))
        await it.happens("1")
        await one.step()
        for task in list(one._under_way):  # dead, and without a word: its task ends and nothing is given back
            one._under_way.pop(task)
            task.cancel()
        clock.advance(settings.lease - timedelta(milliseconds=1))
        await other.step()
        assert not other._under_way
        clock.advance(timedelta(milliseconds=1))
        await other.step()
        await asyncio.gather(*other._under_way)
        (delivery,) = await it.service.deliveries(made.webhook.id)
        assert (delivery.attempts, delivery.detail) == (2, "no answer within 0.05 s")
        assert delivery.available_at < clock.now() + settings.lease, "and tried again soon"
