"""The loop that repeats a step."""

import asyncio

import pytest

from mainspring.adapters.memory.wakeups import InProcessWakeups
from mainspring.engine.service import Loop
from mainspring.testing.loop import VirtualLoop


async def test_a_step_that_swallows_a_cancellation_is_ended_all_the_same() -> None:
    """As a driver may that gets its answer in the very moment it is told to stop."""
    begun, swallowed = asyncio.Event(), 0

    async def step() -> float | None:
        nonlocal swallowed
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            swallowed += 1
            if swallowed > 1:
                raise
        return None

    loop = Loop("deaf", step, wakeups=InProcessWakeups(), topics=(), poll=0.01)
    loop.start()
    await begun.wait()
    await asyncio.wait_for(loop.stop(), 30)
    assert swallowed == 2


@pytest.mark.parametrize(
    ("wanted", "notified_at", "comes_at"),
    [(None, None, 1.07), (0.4, None, 0.4), (None, 0.3, 0.3), (None, 1.02, 1.02)],
    ids=["its poll", "its own wish", "news", "news while it waits"],
)
def test_only_what_its_poll_woke_waits_for_a_gap(
    wanted: float | None, notified_at: float | None, comes_at: float
) -> None:
    async def main() -> None:
        time, came, wakeups = asyncio.get_running_loop().time, asyncio.Event(), InProcessWakeups()
        begun, steps = time(), list[float]()

        async def step() -> float | None:
            steps.append(time() - begun)
            if len(steps) == 2:
                came.set()
            return wanted

        loop = Loop("looks", step, wakeups=wakeups, topics=("news",), poll=1.0, gap=lambda now: 0.07)
        loop.start()
        if notified_at is not None:
            await asyncio.sleep(notified_at)
            wakeups.notify("news")
        await came.wait()
        await loop.stop()
        assert steps == pytest.approx([0.0, comes_at])

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(main())


def test_without_a_poll_it_waits_for_news_alone() -> None:
    async def main() -> None:
        came, wakeups, steps = asyncio.Event(), InProcessWakeups(), 0

        async def step() -> None:
            nonlocal steps
            steps += 1
            came.set()

        loop = Loop("hears", step, wakeups=wakeups, topics=("news",), poll=None)
        loop.start()
        await asyncio.sleep(1_000_000)
        assert steps == 1
        came.clear()
        wakeups.notify("news")
        await came.wait()
        assert steps == 2
        await loop.stop()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(main())
