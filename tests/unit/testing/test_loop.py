"""Virtual time: jumps, order, deadlocks, and a clock on top of it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from mainspring.testing import DeadlockError, LivelockError, VirtualClock, VirtualLoop

START = datetime(2026, 3, 2, 9, tzinfo=UTC)


def run(main):
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)


def test_a_year_of_sleeping_takes_no_time_and_ends_exactly() -> None:
    async def main() -> float:
        await asyncio.sleep(365 * 86_400)
        return asyncio.get_running_loop().time()

    assert run(main()) == 365 * 86_400


def test_timers_fire_in_the_order_of_their_instants() -> None:
    async def main() -> list[tuple[float, int]]:
        loop, seen = asyncio.get_running_loop(), []

        async def sleeper(n: int, seconds: float) -> None:
            await asyncio.sleep(seconds)
            seen.append((loop.time(), n))

        await asyncio.gather(*(sleeper(n, seconds) for n, seconds in enumerate([3, 0.5, 2, 0.5])))
        return seen

    assert run(main()) == [(0.5, 1), (0.5, 3), (2, 2), (3, 0)]


def test_timeouts_are_in_virtual_time() -> None:
    async def main() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(60):
                await asyncio.Event().wait()
        return asyncio.get_running_loop().time()

    assert run(main()) == 60


def test_waiting_for_what_can_never_come_is_an_error_that_names_who_waits() -> None:
    async def main() -> None:
        await asyncio.Event().wait()

    loop = VirtualLoop()
    task = loop.create_task(main(), name="the one that waits")
    with pytest.raises(DeadlockError, match="the one that waits"):
        loop.run_until_complete(task)
    task.cancel()
    loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
    loop.close()


def test_turning_on_the_spot_is_an_error() -> None:
    async def main() -> None:
        while True:  # noqa: ASYNC110 - that it waits for nothing is the point
            await asyncio.sleep(0)

    with pytest.raises(LivelockError):
        run(main())


def test_what_would_run_in_a_thread_runs_inline() -> None:
    async def main() -> tuple[int, str]:
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(lambda: 1 // 0)
        return await asyncio.to_thread(lambda: 7), "done"

    assert run(main()) == (7, "done")


def test_a_virtual_clock_follows_its_loop_and_jumps_forward_only() -> None:
    async def main() -> None:
        clock = VirtualClock(asyncio.get_running_loop(), START)
        await asyncio.sleep(1.5)
        assert clock.now() == START + timedelta(seconds=1.5)
        clock.jump(timedelta(hours=1))
        assert clock.now() == START + timedelta(hours=1, seconds=1.5)
        with pytest.raises(ValueError, match="forward"):
            clock.jump(-timedelta(seconds=1))
        with pytest.raises(ValueError, match="aware"):
            VirtualClock(asyncio.get_running_loop(), datetime(2026, 1, 1))

    run(main())
