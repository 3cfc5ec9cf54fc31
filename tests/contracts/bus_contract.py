"""What every `Bus` promises, as tests. An adapter subclasses `BusContract` and provides ``buses``.

``buses`` are two ends of one bus: what is published on the second reaches those who subscribed on the first.
"""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime

import pytest

from mainspring.model.events import Event
from mainspring.ports.bus import Bus
from tests.waiting import PATIENCE

AT = datetime(2026, 3, 2, 9, 0, 1, 250, tzinfo=UTC)


def an_event(id: str, kind: str = "scheduler:execution.success", **data: object) -> Event:
    return Event(
        id, kind, "acme", AT, subject="execution-1", data=data, extensions={"sequence": "00000002", "chaindepth": 3}
    )


class Ear:
    """A subscriber that remembers, and can be waited on."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._came = asyncio.Event()

    async def __call__(self, event: Event) -> None:
        self.events.append(event)
        self._came.set()

    @property
    def ids(self) -> list[str]:
        return [event.id for event in self.events if event.type != "probe"]

    async def hears(self, id: str) -> None:
        async with asyncio.timeout(PATIENCE):
            while all(event.id != id for event in self.events):
                self._came.clear()
                await self._came.wait()


async def ready(listening: Bus, publishing: Bus) -> None:
    """Return once what is published on one end reaches the subscribers of the other: they know where they began."""
    heard = asyncio.Event()
    end = listening.subscribe("probe", lambda event: heard.set())
    async with asyncio.timeout(PATIENCE):
        while not heard.is_set():
            await publishing.publish([an_event(f"probe-{random.random()}", "probe")])
            try:
                await asyncio.wait_for(heard.wait(), 0.1)
            except TimeoutError:
                continue
    end()


class BusContract:
    """Every promise of `mainspring.ports.bus`. The fixture ``buses`` of who inherits it gives two ends of one bus."""

    async def test_an_event_arrives_whole(self, buses: tuple[Bus, Bus]) -> None:
        ear = Ear()
        buses[0].subscribe("scheduler:**", ear)
        await ready(*buses)
        event = an_event("1", text="ü", deep={"n": [1, None]})
        await buses[1].publish([event])
        await ear.hears("1")
        assert [e for e in ear.events if e.type != "probe"] == [event]

    async def test_events_arrive_in_the_order_in_which_they_were_published(self, buses: tuple[Bus, Bus]) -> None:
        ear = Ear()
        buses[0].subscribe("**", ear)
        await ready(*buses)
        for start in range(0, 60, 20):
            await buses[1].publish([an_event(str(n)) for n in range(start, start + 20)])
        await ear.hears("59")
        assert ear.ids == [str(n) for n in range(60)]

    async def test_a_subscriber_hears_what_its_pattern_matches_and_every_subscriber_does(
        self, buses: tuple[Bus, Bus]
    ) -> None:
        some, every, other = Ear(), Ear(), Ear()
        buses[0].subscribe("scheduler:job.*", some)
        buses[0].subscribe("**", every)
        buses[1].subscribe("scheduler:job.paused", other)
        await ready(*buses)
        await ready(buses[1], buses[0])
        await buses[1].publish([an_event("1"), an_event("2", "scheduler:job.paused")])
        for ear in (some, every, other):
            await ear.hears("2")
        assert (some.ids, every.ids, other.ids) == (["2"], ["1", "2"], ["2"])

    async def test_a_subscriber_that_fails_keeps_neither_others_nor_later_events_back(
        self, buses: tuple[Bus, Bus], caplog: pytest.LogCaptureFixture
    ) -> None:
        ear = Ear()

        def broken(event: Event) -> None:
            raise ValueError(f"cannot take {event.id}")

        buses[0].subscribe("scheduler:**", broken)
        buses[0].subscribe("scheduler:**", ear)
        await ready(*buses)
        await buses[1].publish([an_event("1"), an_event("2")])
        await ear.hears("2")
        assert ear.ids == ["1", "2"]
        assert "failed on event 1" in caplog.text

    async def test_who_has_unsubscribed_hears_nothing_more(self, buses: tuple[Bus, Bus]) -> None:
        gone, stays = Ear(), Ear()
        end = buses[0].subscribe("**", gone)
        buses[0].subscribe("**", stays)
        await ready(*buses)
        await buses[1].publish([an_event("1")])
        await stays.hears("1")
        await gone.hears("1")
        end()
        end()
        await buses[1].publish([an_event("2")])
        await stays.hears("2")
        assert gone.ids == ["1"]

    async def test_publishing_nothing_is_nothing(self, buses: tuple[Bus, Bus]) -> None:
        await buses[0].publish([])
