"""The loop that repeats a step."""

import asyncio

from mainspring.adapters.memory.wakeups import InProcessWakeups
from mainspring.engine.service import Loop


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
