"""The watchdog in the heartbeat's thread."""

import asyncio
import random
import threading
from collections.abc import Callable

from mainspring.adapters.memory.store import MemoryStore
from mainspring.engine import heartbeat
from mainspring.engine.heartbeat import HeartbeatThread, Held
from mainspring.ports.store import Tx
from mainspring.testing.clock import ManualClock


def watchdog(monkeypatch, at: list[float]) -> HeartbeatThread:
    monkeypatch.setattr(HeartbeatThread, "_monotonic", staticmethod(lambda: at[0]))
    loop = asyncio.get_running_loop()
    store = MemoryStore(ManualClock(), random=random.Random(1))
    return HeartbeatThread(store, loop, interval=1.0, work=lambda: lambda tx: [], on_beat=lambda held: None)


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

    def rest(thread: HeartbeatThread, seconds: float) -> bool:
        rests.append(seconds)
        at[0] += seconds
        return asked_for

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
