"""The watchdog in the heartbeat's thread."""

import asyncio
import random
import threading
import time
from collections.abc import Callable

import pytest

from mainspring.adapters.memory.store import MemoryStore
from mainspring.engine import heartbeat
from mainspring.engine.heartbeat import HeartbeatThread, Held
from mainspring.ports.store import Tx
from mainspring.testing.clock import ManualClock


def watchdog(monkeypatch, at: list[float], *, busy: bool = True, interval: float = 1.0) -> HeartbeatThread:
    monkeypatch.setattr(HeartbeatThread, "_monotonic", staticmethod(lambda: at[0]))
    loop = asyncio.get_running_loop()
    store = MemoryStore(ManualClock(), random=random.Random(1))
    return HeartbeatThread(
        store, loop, interval=interval, work=lambda: lambda tx: [], on_beat=lambda held: None, busy=lambda: busy
    )


async def test_a_loop_that_owes_no_answer_is_not_blamed_for_the_time_a_beat_hung(monkeypatch) -> None:
    at = [0.0]
    watch = watchdog(monkeypatch, at)
    watch._watch()
    await asyncio.sleep(0)
    at[0] = 10 * heartbeat.BLOCKED_AFTER  # the thread was in the database
    watch._watch()
    assert watch.blocked is None


async def test_a_loop_that_does_not_answer_is_named_until_it_does(monkeypatch) -> None:
    at = [0.0]
    watch = watchdog(monkeypatch, at)
    watch._watch()
    at[0] = heartbeat.BLOCKED_AFTER + 0.1
    watch._watch()
    assert watch.blocked is not None
    await asyncio.sleep(0)
    assert watch.blocked is None


def beaten(monkeypatch, *, asked_for: bool, gap: float = 0.07) -> list[float]:
    """Return for how long the thread has rested before its first beat."""
    at, rests = [0.0], list[float]()
    watch = watchdog(monkeypatch, at)

    def rest(thread: HeartbeatThread, seconds: float) -> None:
        rests.append(seconds)
        at[0] += seconds
        thread._wanted = asked_for

    monkeypatch.setattr(HeartbeatThread, "_rest", rest)
    monkeypatch.setattr(HeartbeatThread, "_beat", lambda thread: setattr(thread, "_stopped", True))
    watch._gap = lambda now: gap
    watch._run()
    return rests


async def test_a_beat_nobody_asked_for_waits_for_a_gap(monkeypatch) -> None:
    assert beaten(monkeypatch, asked_for=False) == [1.0, 0.07]


async def test_a_beat_that_was_asked_for_comes_at_once(monkeypatch) -> None:
    assert beaten(monkeypatch, asked_for=True) == [1.0]


async def test_a_gap_takes_a_tenth_of_the_interval_at_most(monkeypatch) -> None:
    assert beaten(monkeypatch, asked_for=False, gap=7200.0) == [1.0, 0.1]


@pytest.mark.parametrize(("busy", "rests"), [(False, [5.0]), (True, [1.0] * 5)])
async def test_between_beats_it_watches_only_while_something_runs(monkeypatch, busy, rests) -> None:
    at, rested = [0.0], list[float]()
    watch = watchdog(monkeypatch, at, busy=busy, interval=5.0)

    def rest(thread: HeartbeatThread, seconds: float) -> None:
        rested.append(seconds)
        at[0] += seconds

    monkeypatch.setattr(HeartbeatThread, "_rest", rest)
    monkeypatch.setattr(HeartbeatThread, "_beat", lambda thread: setattr(thread, "_stopped", True))
    watch._run()
    assert [one for one in rested if one] == rests


async def test_a_loop_that_owes_an_answer_after_a_beat_is_watched_until_it_gives_it(monkeypatch) -> None:
    """What blocks it need not be an attempt: the engine may live in an application's loop."""
    at, rested = [0.0], list[float]()
    watch = watchdog(monkeypatch, at, busy=False, interval=5.0)

    def rest(thread: HeartbeatThread, seconds: float) -> None:
        rested.append(seconds)
        at[0] += seconds
        if thread.blocked is not None:
            thread._stopped = True

    monkeypatch.setattr(HeartbeatThread, "_rest", rest)
    watch._gap = lambda now: 0.0
    watch._run()  # in the loop's own thread, which cannot answer meanwhile
    assert [one for one in rested if one] == [5.0, 1.0, 1.0, 1.0, 1.0]
    assert watch.blocked is not None


async def test_what_begins_to_block_the_loop_while_it_rests_is_named(monkeypatch) -> None:
    monkeypatch.setattr(heartbeat, "BLOCKED_AFTER", 0.02)
    watch, busy, named = watchdog(monkeypatch, [0.0], interval=3600.0), threading.Event(), threading.Event()
    monkeypatch.setattr(HeartbeatThread, "_monotonic", staticmethod(time.monotonic))
    watch._busy = busy.is_set
    rested = threading.Event()
    wait = watch._rest

    def rest(seconds: float) -> None:
        (rested if seconds > 1 else threading.Event()).set()
        if watch.blocked is not None:
            named.set()
        wait(seconds)

    monkeypatch.setattr(watch, "_rest", rest)
    watch.start()
    assert await asyncio.to_thread(rested.wait, 30)
    busy.set()
    watch.attend()
    assert named.wait(30), "this blocks the loop"
    await watch.stop()


async def test_a_beat_that_fails_for_whatever_reason_is_followed_by_others(monkeypatch) -> None:
    watch, again = watchdog(monkeypatch, [0.0]), threading.Event()
    beats = 0

    def work() -> Callable[[Tx], list[Held]]:
        nonlocal beats
        beats += 1
        watch.beat_now()
        if beats > 1:
            again.set()
        raise LookupError("nobody has thought of this")

    watch._work = work
    watch.start()
    watch.beat_now()
    assert await asyncio.to_thread(again.wait, 30)
    await watch.stop()
