"""The relay: at least once, in order, by one dispatcher at a time; and another takes over."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest

from mainspring.adapters.memory import MemoryStore
from mainspring.engine.relay import LOOK, Relay
from mainspring.errors import BusUnavailableError
from mainspring.model.events import Event
from mainspring.moves.relay import TURN
from mainspring.moves.schedules import Schedules
from mainspring.ports.bus import Subscriber
from mainspring.testing.clock import ManualClock


class Heard:
    """A bus that remembers, and can be away."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.away = False

    async def publish(self, events: Sequence[Event]) -> None:
        if self.away:
            raise BusUnavailableError("the bus is away")
        self.events += [event.id for event in events]

    def subscribe(self, pattern: str, subscriber: Subscriber) -> Callable[[], None]:
        raise AssertionError("nobody subscribes here")

    async def close(self) -> None:
        """Nothing to close."""


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def store(clock: ManualClock) -> MemoryStore:
    store = MemoryStore(clock, random=random.Random(1))
    await store.open()
    return store


async def add(store: MemoryStore, *names: str) -> None:
    def work(tx: Any) -> None:
        tx.outbox.add([Event(name, "a.b", "default", tx.now) for name in names])

    await store.write(work)


def relay(store: MemoryStore, bus: Heard, holder: str, **more: Any) -> Relay:
    return Relay(store, bus, Schedules(), holder=holder, **more)


async def test_a_batch_is_published_in_order_and_once(store: MemoryStore) -> None:
    bus = Heard()
    one = relay(store, bus, "one", batch=2)
    await add(store, "a", "b", "c")
    assert await one.step() == 0.0
    assert await one.step() is None
    assert await one.step() is None
    assert bus.events == ["a", "b", "c"]


async def test_a_full_batch_is_no_reason_to_look_again_and_one_more_event_is(store: MemoryStore) -> None:
    bus = Heard()
    one = relay(store, bus, "one", batch=2)
    await add(store, "a", "b")
    assert await one.step() is None
    await add(store, "c", "d", "e")
    assert [await one.step(), await one.step()] == [0.0, None]
    assert bus.events == ["a", "b", "c", "d", "e"]


async def test_what_is_more_urgent_goes_first(store: MemoryStore) -> None:
    bus, urgent = Heard(), [True]
    one = relay(store, bus, "one")
    one.makes_way = lambda: urgent[0]
    await add(store, "a")
    assert await one.step() == LOOK
    assert bus.events == []
    urgent[0] = False
    assert await one.step() is None
    assert bus.events == ["a"]


async def test_events_wait_only_so_long_and_then_all_of_them_go(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus = Heard()
    one = relay(store, bus, "one", batch=2)
    one.makes_way = lambda: True
    await add(store, "a", "b", "c")
    assert await one.step() == LOOK
    with monkeypatch.context() as patched:
        patched.setattr("mainspring.engine.relay.PATIENCE", 0.0)
        assert await one.step() == 0.0
        assert await one.step() is None
    assert bus.events == ["a", "b", "c"]
    await add(store, "d")
    assert await one.step() == LOOK


async def test_what_the_bus_did_not_take_is_published_again(store: MemoryStore) -> None:
    bus = Heard()
    one = relay(store, bus, "one")
    await add(store, "a")
    bus.away = True
    with pytest.raises(BusUnavailableError):
        await one.step()
    bus.away = False
    await one.step()
    assert bus.events == ["a"]


async def test_while_one_relays_the_others_wait_and_take_over_when_it_dies(
    store: MemoryStore, clock: ManualClock
) -> None:
    bus = Heard()
    one, two = relay(store, bus, "one"), relay(store, bus, "two")
    await add(store, "a")
    await one.step()
    await add(store, "b")
    assert await two.step() is None
    assert bus.events == ["a"]
    clock.advance(TURN)
    await two.step()
    assert bus.events == ["a", "b"]


async def test_a_turn_that_is_used_goes_on_and_ends_when_its_dispatcher_stops(
    store: MemoryStore, clock: ManualClock
) -> None:
    bus = Heard()
    one, two = relay(store, bus, "one"), relay(store, bus, "two")
    for number in range(4):
        await add(store, f"{number}")
        await one.step()
        await add(store, f"{number}b")
        await two.step()
        clock.advance(TURN / 2 + timedelta(milliseconds=1))
    assert "3" in bus.events
    await one.stop()
    await two.step()
    assert bus.events == ["0", "0b", "1", "1b", "2", "2b", "3", "3b"]


async def test_while_the_bus_is_away_what_follows_from_events_happens_and_once(store: MemoryStore) -> None:
    bus = Heard()
    one = relay(store, bus, "one", batch=2)

    def ended(*names: str) -> Any:
        data = {"job_id": "j", "execution_id": "e", "duration_ms": 5}
        return lambda tx: tx.outbox.add(
            [Event(name, "scheduler:execution.success", "default", tx.now, data=data) for name in names]
        )

    async def counted() -> int:
        stats = await store.read(lambda tx: tx.jobs.stats(["j"]))
        return stats["j"].success if stats else 0

    await store.write(ended("a", "b", "c"))
    bus.away = True
    for _ in range(2):
        with pytest.raises(BusUnavailableError):
            await one.step()
        assert await counted() == 3
    await store.write(ended("d"))
    with pytest.raises(BusUnavailableError):
        await one.step()
    assert await counted() == 4
    bus.away = False
    await store.write(ended("e"))
    while await store.read(lambda tx: tx.outbox.unpublished(1)):
        await one.step()
    assert bus.events == ["a", "b", "c", "d", "e"]
    assert await counted() == 5
