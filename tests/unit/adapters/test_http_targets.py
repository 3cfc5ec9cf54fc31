"""One address gets so many calls at once and a second, whatever names lead there; the others wait their turn."""

from __future__ import annotations

import asyncio
import threading

import pytest

from mainspring.adapters.http import TargetLimits, Targets

MANY = TargetLimits(at_once=2, per_second=1e6, burst=10**6)


class Calls:
    """Calls to one address that end when they are told to."""

    def __init__(self, targets: Targets, address: str = "192.0.2.1") -> None:
        self.targets, self.address = targets, address
        self.begun: list[int] = []
        self.most = self._now = 0
        self.end = asyncio.Event()

    async def call(self, number: int) -> None:
        async with self.targets.turn(self.address):
            self._now += 1
            self.most = max(self.most, self._now)
            self.begun.append(number)
            await self.end.wait()
            self._now -= 1


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_no_more_calls_at_once_than_allowed_and_the_others_in_their_order() -> None:
    calls = Calls(Targets(MANY))
    tasks = [asyncio.create_task(calls.call(number)) for number in range(7)]
    await settled()
    assert calls.begun == [0, 1]
    calls.end.set()
    await asyncio.gather(*tasks)
    assert (calls.begun, calls.most) == ([0, 1, 2, 3, 4, 5, 6], 2)


async def test_another_target_does_not_wait() -> None:
    targets = Targets(MANY)
    flooded, quiet = Calls(targets), Calls(targets, "192.0.2.2")
    tasks = [asyncio.create_task(flooded.call(number)) for number in range(5)]
    tasks.append(asyncio.create_task(quiet.call(0)))
    await settled()
    assert quiet.begun == [0]
    for one in (flooded, quiet):
        one.end.set()
    await asyncio.gather(*tasks)


async def test_who_gives_up_or_fails_leaves_its_place() -> None:
    calls = Calls(Targets(MANY))
    tasks = [asyncio.create_task(calls.call(number)) for number in range(4)]
    await settled()
    tasks[2].cancel()  # waits
    tasks[0].cancel()  # has its turn
    await settled()
    assert calls.begun == [0, 1, 3]
    calls.end.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    again = asyncio.create_task(calls.call(9))
    await asyncio.wait_for(again, 5)


async def test_who_gives_up_just_as_it_is_handed_a_place_hands_it_on() -> None:
    targets = Targets(TargetLimits(at_once=1, per_second=1e6, burst=10**6))
    calls = Calls(targets)
    first, second, third = (asyncio.create_task(calls.call(number)) for number in range(3))
    await settled()
    first.add_done_callback(lambda _: second.cancel())
    calls.end.set()
    await asyncio.gather(first, second, third, return_exceptions=True)
    assert second.cancelled() or 1 in calls.begun
    assert 2 in calls.begun


async def test_the_rate_is_kept_beyond_the_burst() -> None:
    targets = Targets(TargetLimits(at_once=10, per_second=2.0, burst=3))
    pauses = []
    for _ in range(5):
        await targets._slot("192.0.2.1")
        pauses.append(targets._pause("192.0.2.1", 100.0))
    assert pauses == pytest.approx([0, 0, 0, 0.5, 1.0])
    assert targets._pause("192.0.2.1", 200.0) == 0


async def test_callers_of_another_event_loop_are_handed_places_too() -> None:
    targets = Targets(TargetLimits(at_once=1, per_second=1e6, burst=10**6))
    there = threading.Event()

    async def elsewhere() -> None:
        waiting = asyncio.create_task(Calls.call(calls_there := Calls(targets), 1))
        await asyncio.sleep(0)
        calls_there.end.set()
        there.set()
        await waiting

    async with targets.turn("192.0.2.1"):
        thread = threading.Thread(target=lambda: asyncio.run(elsewhere()))
        thread.start()
        assert await asyncio.to_thread(there.wait, 10)
    await asyncio.to_thread(thread.join, 10)
    assert not thread.is_alive()
