"""Alarms go off once, in time and in order, and not after they were dropped."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any

from mainspring.engine.alarms import GRID, SLACK, Alarms
from mainspring.testing.loop import VirtualLoop


def run(main: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(main)


class Rung:
    """What has gone off, with the loop's time."""

    def __init__(self) -> None:
        self.at: dict[Any, float] = {}

    def bell(self, key: Any) -> Callable[[], None]:
        def ring() -> None:
            assert key not in self.at, f"{key} has gone off twice"
            self.at[key] = asyncio.get_running_loop().time()

        return ring


def test_alarms_go_off_at_their_time_and_at_most_a_grid_step_late(seed: int) -> None:
    async def main() -> None:
        rung, draws, loop = Rung(), random.Random(seed), asyncio.get_running_loop()
        alarms, start = Alarms(loop), loop.time()
        wanted = {number: draws.uniform(0, 60) for number in range(500)}
        for key, seconds in wanted.items():
            alarms.set(seconds, key, rung.bell(key))
        await asyncio.sleep(61)
        late = [rung.at[key] - start - seconds for key, seconds in wanted.items()]
        assert min(late) > -1e-6
        assert max(late) <= GRID + 1e-6

    run(main())


def test_a_dropped_alarm_stays_silent_and_leaves_the_others_alone(seed: int) -> None:
    async def main() -> None:
        rung, draws, loop = Rung(), random.Random(seed), asyncio.get_running_loop()
        alarms = Alarms(loop)
        set_ = {number: alarms.set(draws.uniform(0, 5), number, rung.bell(number)) for number in range(200)}
        dropped = set(draws.sample(sorted(set_), 120))
        for key in dropped:
            alarms.drop(set_[key], key)
            alarms.drop(set_[key], key)
        await asyncio.sleep(6)
        assert set(rung.at) == set(set_) - dropped

    run(main())


def test_an_alarm_may_set_another() -> None:
    async def main() -> None:
        rung, loop = Rung(), asyncio.get_running_loop()
        alarms, start = Alarms(loop), loop.time()
        alarms.set(1, "first", lambda: alarms.set(0, "second", rung.bell("second")))
        await asyncio.sleep(2)
        assert 1 <= rung.at["second"] - start <= 1 + 3 * GRID

    run(main())


def test_alarms_that_are_dropped_long_before_their_time_leave_nothing_behind(seed: int) -> None:
    """They did: an empty place in the order for each hundredth of a second, until the time had come."""

    async def main() -> None:
        rung, draws = Rung(), random.Random(seed)
        alarms = Alarms(asyncio.get_running_loop())
        alarms.set(4_000, "last", rung.bell("last"))
        for number in range(20_000):
            slot = alarms.set(draws.uniform(3_000, 3_600), number, rung.bell(number))
            alarms.drop(slot, number)
        assert len(alarms._slots) == 1
        assert len(alarms._order) <= 2 + SLACK
        await asyncio.sleep(4_001)
        assert set(rung.at) == {"last"}

    run(main())
