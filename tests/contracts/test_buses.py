"""The buses keep the promises of the port; and what only the one on Redis has to promise besides."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from dataclasses import replace
from random import Random
from typing import Any

import pytest
import redis
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from mainspring.adapters.memory.bus import InProcessBus
from mainspring.adapters.redis.bus import EVENTS, RedisBus
from mainspring.adapters.redis.connection import RedisSettings
from mainspring.errors import BusUnavailableError
from mainspring.model.cloudevents import encoded
from mainspring.model.events import EventType
from mainspring.ports.bus import Bus
from tests import servers
from tests.contracts.bus_contract import BusContract, Ear, an_event, ready
from tests.waiting import PATIENCE


class TestInProcessBus(BusContract):
    """Both ends are the same one."""

    @pytest.fixture
    async def buses(self) -> AsyncIterator[tuple[Bus, Bus]]:
        bus = InProcessBus()
        yield bus, bus
        await bus.close()


class RedisBusContract(BusContract):
    """Two processes' ends of one stream, at the fixture ``url`` of who inherits it."""

    @pytest.fixture
    async def buses(self, url: str) -> AsyncIterator[tuple[Bus, Bus]]:
        with closing(redis.Redis.from_url(url)) as client:
            client.delete(EVENTS)
        one, two = (RedisBus(RedisSettings(url), random=Random(n), length=1000) for n in range(2))
        yield one, two
        await one.close()
        await two.close()

    async def test_the_stream_holds_cloud_events_and_is_bounded(self, buses: tuple[Bus, Bus], url: str) -> None:
        for start in range(0, 3000, 500):
            await buses[0].publish([an_event(str(n), n=n) for n in range(start, start + 500)])
        with closing(redis.Redis.from_url(url)) as client:
            assert 1000 <= client.xlen(EVENTS) < 2000
            newest: Any = client.xrevrange(EVENTS, count=1)
        ((_, fields),) = newest
        found = JSONFormat().read(CloudEvent, fields[b"event"])
        assert (found.get_id(), found.get_data()) == ("2999", {"n": 2999})
        assert (fields[b"type"], fields[b"platform_id"]) == (b"scheduler:execution.success", b"acme")

    async def test_events_of_one_batch_are_told_apart_whatever_is_in_them(
        self, buses: tuple[Bus, Bus], url: str
    ) -> None:
        """They go to the server in a row, by their lengths in bytes."""
        told = ["", "Grüße ✓ 你好", "\x00\r\n", "7 3 5", '"quoted" \\', "x" * 70_000]
        events = [replace(an_event(str(n), text=text), platform_id=f"ä{text[:5]}") for n, text in enumerate(told)]
        await buses[0].publish(events)
        with closing(redis.Redis.from_url(url)) as client:
            entries: Any = client.xrange(EVENTS)
        assert [fields[b"type"].decode() for _, fields in entries] == [event.type for event in events]
        assert [fields[b"platform_id"].decode() for _, fields in entries] == [event.platform_id for event in events]
        assert [fields[b"event"].decode() for _, fields in entries] == [encoded(event) for event in events]

    async def test_events_that_follow_each_other_are_told_in_their_order_whoever_they_are_of(
        self, buses: tuple[Bus, Bus], url: str
    ) -> None:
        """Runs of one type and platform go to the server together, and keep their place."""
        kinds = [EventType.EXECUTION_SUCCESS, EventType.EXECUTION_RETRY]
        events = [
            replace(an_event(str(n)), platform_id=platform, type=kinds[kind])
            for n, (platform, kind) in enumerate([("a", 0), ("a", 0), ("a", 1), ("b", 1), ("b", 1), ("b", 1), ("a", 0)])
        ]
        await buses[0].publish(events)
        with closing(redis.Redis.from_url(url)) as client:
            entries: Any = client.xrange(EVENTS)
        assert [tuple(fields.values()) for _, fields in entries] == [
            (str(event.type).encode(), event.platform_id.encode(), encoded(event).encode()) for event in events
        ]

    async def test_the_stream_keeps_about_as_many_events_as_it_is_told_to(
        self, buses: tuple[Bus, Bus], url: str
    ) -> None:
        for begin in range(0, 3000, 500):
            await buses[0].publish([an_event(str(begin + n)) for n in range(500)])
        with closing(redis.Redis.from_url(url)) as client:
            kept: Any = client.xrange(EVENTS)
        assert 1000 <= len(kept) <= 1200
        assert json.loads(kept[-1][1][b"event"])["id"] == "2999"

    async def test_what_others_write_into_the_stream_is_ignored(self, buses: tuple[Any, Bus], url: str) -> None:
        ear = Ear()
        buses[0].subscribe("**", ear)
        await ready(*buses)
        before = buses[0].ignored
        with closing(redis.Redis.from_url(url)) as client:
            for text in ("{", "[]", "null", '{"specversion": "1.0"}', "\xff", "[" * 100_000):
                client.xadd(EVENTS, {"event": text})
            client.xadd(EVENTS, {"other": "x"})
        await buses[1].publish([an_event("1")])
        await ear.hears("1")
        assert ear.ids == ["1"]
        assert buses[0].ignored - before == 7

    async def test_after_a_flush_subscribers_hear_on(self, buses: tuple[Bus, Bus], url: str) -> None:
        ear = Ear()
        buses[0].subscribe("**", ear)
        await ready(*buses)
        with closing(redis.Redis.from_url(url)) as client:
            client.delete(EVENTS)
        await buses[1].publish([an_event("1")])
        await ear.hears("1")


@pytest.mark.servers
class TestRedisBusOnValkey(RedisBusContract):
    """On Valkey, from its wheel."""

    @pytest.fixture
    def url(self, valkey_url: str) -> str:
        return valkey_url


@pytest.fixture(scope="module")
def system_redis_url() -> Iterator[str]:
    exe = servers.system_redis_exe()
    if exe is None:
        pytest.skip("no redis-server is installed")
    with servers.valkey(exe=exe) as server:
        yield server.url


@pytest.mark.servers
class TestRedisBusOnRedis(RedisBusContract):
    """On the Redis that is installed."""

    @pytest.fixture
    def url(self, system_redis_url: str) -> str:
        return system_redis_url


@pytest.mark.servers
async def test_a_server_that_is_away_is_told_and_what_was_given_is_published_when_it_is_back() -> None:
    with servers.valkey() as server:
        bus = RedisBus(RedisSettings(server.url), random=Random(1))
        ear = Ear()
        bus.subscribe("**", ear)
        await bus.publish([an_event("1")])
        await ear.hears("1")
        server.stop()
        with pytest.raises(BusUnavailableError):
            await bus.publish([an_event("2")])
        server.start()
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    await bus.publish([an_event("2")])
                    break
                except BusUnavailableError:
                    await asyncio.sleep(0.05)
        await ear.hears("2")
        await bus.close()


@pytest.mark.servers
async def test_a_server_without_memory_takes_all_of_a_batch_or_nothing() -> None:
    with servers.valkey("maxmemory 3mb", "maxmemory-policy noeviction") as server:
        bus = RedisBus(RedisSettings(server.url), random=Random(1))
        big = "x" * 400_000
        taken = 0
        try:
            while taken < 20:
                await bus.publish([an_event(f"{taken}-a", text=big), an_event(f"{taken}-b", text=big)])
                taken += 1
        except BusUnavailableError as error:
            assert "OOM" in str(error) or "EXECABORT" in str(error) or "memory" in str(error)
        await bus.close()
        assert 0 < taken < 20
        with closing(redis.Redis.from_url(server.url)) as client:
            entries: Any = client.xrange(EVENTS)
        ids = [json.loads(fields[b"event"])["id"] for _, fields in entries]
        assert ids == [f"{n}-{half}" for n in range(taken) for half in "ab"]
