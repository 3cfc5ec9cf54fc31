"""Wakeups within one process: nothing notified between two waits is lost, and nothing is left behind."""

from __future__ import annotations

import asyncio

import pytest

from mainspring.adapters.memory import InProcessWakeups


@pytest.fixture
def wakeups() -> InProcessWakeups:
    return InProcessWakeups()


async def test_what_is_notified_before_the_wait_is_not_lost(wakeups: InProcessWakeups) -> None:
    listener = wakeups.listen("queued", "ended")
    wakeups.notify("ended")
    assert await listener.wait(0)
    assert not await listener.wait(0)


async def test_a_wait_without_timeout_ends_when_notified(wakeups: InProcessWakeups) -> None:
    listener = wakeups.listen("queued")
    waiting = asyncio.create_task(listener.wait(None))
    await asyncio.sleep(0)
    wakeups.notify("queued")
    assert await waiting


async def test_only_who_listens_to_a_topic_is_woken(wakeups: InProcessWakeups) -> None:
    queued, ended, both = wakeups.listen("queued"), wakeups.listen("ended"), wakeups.listen("queued", "ended")
    wakeups.notify("queued", "jobs")
    assert [await listener.wait(0) for listener in (queued, ended, both)] == [True, False, True]


async def test_many_notifications_wake_once(wakeups: InProcessWakeups) -> None:
    listener = wakeups.listen("queued")
    for _ in range(10):
        wakeups.notify("queued")
    assert [await listener.wait(0), await listener.wait(0)] == [True, False]


async def test_a_thread_wakes_a_waiting_loop(wakeups: InProcessWakeups) -> None:
    listener = wakeups.listen("queued")
    waiting = asyncio.create_task(listener.wait(None))
    await asyncio.to_thread(wakeups.notify, "queued")
    assert await waiting


async def test_a_closed_listener_is_forgotten_and_no_task_is_left(wakeups: InProcessWakeups) -> None:
    listener, other = wakeups.listen("queued"), wakeups.listen("queued")
    assert not await listener.wait(0)
    listener.close()
    listener.close()
    wakeups.notify("queued")
    assert not await listener.wait(0)
    assert await other.wait(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_cancelled_wait_loses_nothing(wakeups: InProcessWakeups) -> None:
    listener = wakeups.listen("queued")
    waiting = asyncio.create_task(listener.wait(None))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    wakeups.notify("queued")
    assert await listener.wait(0)


def test_notifying_a_loop_that_is_gone_is_harmless(wakeups: InProcessWakeups) -> None:
    async def listen() -> None:
        wakeups.listen("queued")

    asyncio.run(listen())
    wakeups.notify("queued")
    wakeups.notify("queued")
