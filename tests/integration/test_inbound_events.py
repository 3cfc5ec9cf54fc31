"""Events in from a stream: accepted once, acknowledged after the commit, refused with the reason, never lost."""

from __future__ import annotations

import asyncio
import json
import random
import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis

from mainspring import Event as InjectedEvent
from mainspring import Mainspring
from mainspring.adapters.redis.connection import RedisSettings
from mainspring.adapters.redis.inbound import InboundSettings, RedisInbound
from mainspring.adapters.sql.store import SqlStore
from mainspring.adapters.system import SystemClock
from mainspring.engine.inbound import InboundReader
from mainspring.errors import BusUnavailableError, SettingsError, StoreUnavailableError
from mainspring.model.wire import definition_from_wire
from mainspring.moves.jobs import create_job
from mainspring.moves.schedules import Schedules
from tests import servers
from tests.waiting import PATIENCE

pytestmark = pytest.mark.servers


def cloud_event(id: str, kind: str = "order.paid", **more: Any) -> str:
    return json.dumps({"specversion": "1.0", "id": id, "source": "shop", "type": kind, "data": {"n": 1}, **more})


class Stream:
    """A stream of a test's own, from the side of those who write it."""

    def __init__(self, url: str) -> None:
        self.url, self.name = url, f"orders-{secrets.token_hex(4)}"
        self.client: Any = redis.Redis.from_url(url)

    def add(self, *events: str) -> None:
        for event in events:
            self.client.xadd(self.name, {"event": event})

    def refused(self) -> list[tuple[str, str]]:
        return [(f[b"reason"].decode(), f[b"event"].decode()) for _, f in self.client.xrange(f"{self.name}.dead")]

    def owned(self) -> int:
        return int(self.client.xpending(self.name, "mainspring")["pending"])

    def inbound(self, consumer: str, **settings: Any) -> RedisInbound:
        quick = {"block": timedelta(milliseconds=50), "abandoned": timedelta(milliseconds=100), "look": timedelta(0)}
        return RedisInbound(
            RedisSettings(self.url), InboundSettings(self.name, **{**quick, **settings}), consumer=consumer
        )


@pytest.fixture
def stream(valkey_url: str) -> Iterator[Stream]:
    made = Stream(valkey_url)
    with closing(made.client):
        yield made


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqlStore]:
    store = SqlStore(tmp_path / "jobs.db", clock=SystemClock(), random=random.Random(1))
    await store.open()
    wire = {
        "name": "ship",
        "type": "event",
        "handler": "h",
        "overlap": "allow_all",
        "schedule": {"events": ["order.*"]},
    }
    await store.write(lambda tx: create_job(tx, "default", definition_from_wire(wire)))
    yield store
    await store.close()


@pytest.fixture
async def reader(stream: Stream, store: SqlStore) -> AsyncIterator[Callable[..., InboundReader]]:
    made: list[InboundReader] = []

    def make(consumer: str = "one", inbound: Any = None, **settings: Any) -> InboundReader:
        source = inbound or stream.inbound(consumer, **settings)
        made.append(InboundReader(store, source, Schedules(), platform_id="default"))
        return made[-1]

    yield make
    for one in made:
        await one.close()


async def step(reader: InboundReader, times: int = 2) -> None:
    for _ in range(times):  # the first finds no group and makes it
        await reader.step()


async def decided(store: SqlStore) -> list[str]:
    def work(tx: Any) -> list[str]:
        job = tx.jobs.get("default", "ship")
        return sorted(d.key for d in tx.decisions.find(job.id, limit=1000))

    return await store.read(work)


async def test_what_was_there_before_and_what_comes_later_is_accepted_and_acknowledged(stream, store, reader) -> None:
    stream.add(cloud_event("1"))
    one = reader()
    await step(one)
    stream.add(cloud_event("2"), cloud_event("3", kind="stock.low"))
    await step(one)
    assert await decided(store) == ["shop#1", "shop#2"]
    assert stream.owned() == 0
    assert stream.client.xlen(stream.name) == 3, "the stream is its writers' own"
    stored = await store.read(lambda tx: tx.inbox.get("default", "shop", "3"))
    assert stored.data == {"n": 1}


async def test_source_and_id_are_accepted_once_however_often_they_come(stream, store, reader) -> None:
    stream.add(cloud_event("1"), cloud_event("1"), cloud_event("1", kind="order.sent"))
    await step(reader())
    assert await decided(store) == ["shop#1"]
    assert stream.owned() == 0


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ("{", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ("[]", "must be a JSON object"),
        (cloud_event("1", specversion="2.0"), "specversion"),
        (cloud_event(""), "id"),
        (cloud_event("1", kind="a b"), "type"),
        (cloud_event("1", data="text"), "data"),
        (cloud_event("1", data={"x": "y" * 300_000}), "data in bytes"),
        (cloud_event("1", platformid="other"), "platformid"),
        (cloud_event("1", data={"half": "\ud800"}), "surrogates not allowed"),
        (cloud_event("1", data={"null": "\x00"}), "a null character"),
        (cloud_event("1", data={"n": 10**30}), "beyond 64 bits"),
        (
            '{"specversion": "1.0", "id": "1", "id": "2", "source": "shop", "type": "a", "data": {}}',
            "'id' is there twice",
        ),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_garbage_is_put_aside_with_the_reason_and_holds_nothing_up(
    stream, store, reader, wrong: str, reason: str
) -> None:
    stream.add(wrong, cloud_event("good"))
    await step(reader())
    ((told, kept),) = stream.refused()
    assert reason in told
    assert 0 < len(kept) <= 64 * 1024
    assert await decided(store) == ["shop#good"]
    assert stream.owned() == 0


async def test_an_entry_without_an_event_is_refused_and_the_refused_are_bounded(stream, store, reader) -> None:
    for n in range(400):
        stream.client.xadd(stream.name, {"wrong": str(n)})
    one = reader(refused=100)
    await step(one, times=8)
    assert "no field 'event', only: wrong" in stream.refused()[-1][0]
    assert stream.client.xlen(f"{stream.name}.dead") < 400
    assert stream.owned() == 0


class Dies:
    """A source whose process dies at a given moment."""

    def __init__(self, inner: RedisInbound, at: str) -> None:
        self._inner, self._at = inner, at

    async def take(self, limit: int) -> Any:
        taken = await self._inner.take(limit)
        if taken and self._at == "taken":
            raise asyncio.CancelledError
        return taken

    async def done(self, places: Sequence[str]) -> None:
        if places and self._at == "accepted":
            raise asyncio.CancelledError
        await self._inner.done(places)

    async def refuse(self, incoming: Any, reason: str) -> None:
        await self._inner.refuse(incoming, reason)

    async def close(self) -> None:
        await self._inner.close()


@pytest.mark.parametrize("moment", ["taken", "accepted"])
async def test_whatever_moment_a_dispatcher_dies_at_another_accepts_each_event_once(
    stream, store, reader, moment: str
) -> None:
    stream.add(cloud_event("1"), cloud_event("2"))
    dying = reader(inbound=Dies(stream.inbound("dying"), moment))
    with pytest.raises(asyncio.CancelledError):
        await step(dying)
    assert stream.owned() == 2
    other = reader("other")
    async with asyncio.timeout(PATIENCE):
        while stream.owned():
            await other.step()
    assert await decided(store) == ["shop#1", "shop#2"]


async def test_a_record_that_is_away_loses_nothing(stream, store, reader) -> None:
    stream.add(cloud_event("1"))
    one = reader()
    await one.step()
    write, store.write = store.write, _unavailable
    with pytest.raises(StoreUnavailableError):
        await one.step()
    store.write = write
    await one.step()
    assert await decided(store) == ["shop#1"]
    assert stream.owned() == 0


async def _unavailable(work: Any) -> Any:
    raise StoreUnavailableError("away")


async def test_a_group_that_is_gone_is_made_again_and_repeats_change_nothing(stream, store, reader) -> None:
    stream.add(cloud_event("1"))
    one = reader()
    await step(one)
    stream.client.xgroup_destroy(stream.name, "mainspring")
    stream.add(cloud_event("2"))
    await step(one, times=3)
    assert await decided(store) == ["shop#1", "shop#2"]
    stream.client.delete(stream.name)
    stream.add(cloud_event("3"))
    await step(one, times=3)
    assert await decided(store) == ["shop#1", "shop#2", "shop#3"]


async def test_consumers_that_own_nothing_are_removed(stream, store, reader) -> None:
    stream.add(cloud_event("1"))
    await step(reader("old", consumer_idle=timedelta(0)))
    stream.add(cloud_event("2"))
    await step(reader("new", consumer_idle=timedelta(0)))
    names = [c["name"] for c in stream.client.xinfo_consumers(stream.name, "mainspring")]
    assert names == [b"new"]


async def test_a_server_that_is_away_is_told_and_read_again_when_it_is_back(store) -> None:
    with servers.valkey() as server:
        stream = Stream(server.url)
        one = InboundReader(store, stream.inbound("one"), Schedules(), platform_id="default")
        await one.step()
        server.stop()
        with pytest.raises(BusUnavailableError):
            await one.step()
        server.start()
        stream.client.close()
        stream.client = redis.Redis.from_url(server.url)
        stream.add(cloud_event("1"))
        async with asyncio.timeout(PATIENCE):
            while await decided(store) != ["shop#1"]:
                try:
                    await one.step()
                except BusUnavailableError:
                    await asyncio.sleep(0.05)
        await one.close()
        stream.client.close()


async def test_an_application_reads_its_stream_and_what_it_publishes_carries_the_depth_on(
    stream, valkey_url: str, tmp_path: Path
) -> None:
    ms = Mainspring(
        f"sqlite:///{tmp_path}/jobs.db", redis_url=valkey_url, events_in=stream.name, poll_ms=100, lease_ms=60_000
    )
    heard: list[tuple[str, Any]] = []
    done = asyncio.Event()

    @ms.on("order.*")
    async def ship(event: InjectedEvent) -> None:
        heard.append((event.type, event.data))
        await ms.apublish("parcel.sent", {"order": event.id}, id=event.id, source="ship")

    @ms.on("parcel.sent")
    async def tell(event: InjectedEvent) -> None:
        heard.append((event.type, event.data))
        done.set()

    stream.add(cloud_event("7", chaindepth=3))
    async with ms.running():
        async with asyncio.timeout(PATIENCE):
            await done.wait()
        depths = await ms.store.read(lambda tx: {e.job_name: e.chain_depth for e in _all(tx)})
    assert heard == [("order.paid", {"n": 1}), ("parcel.sent", {"order": "7"})]
    assert depths == {"ship": 3, "tell": 4}


def _all(tx: Any) -> Any:
    from mainspring.ports.store import ExecutionQuery

    return tx.executions.find(ExecutionQuery(limit=10))


def test_a_stream_without_a_redis_is_refused_with_the_setting() -> None:
    with pytest.raises(SettingsError, match="events_in"):
        Mainspring("sqlite:///jobs.db", events_in="orders")
