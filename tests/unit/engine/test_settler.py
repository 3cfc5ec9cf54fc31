"""When outcomes are recorded, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest

from mainspring.engine.settler import LOOK, LOOKS
from mainspring.moves.enqueue import EnqueueRequest, enqueue
from tests.unit.engine.test_dispatcher_and_worker import House, virtually


async def ends(house: House, more_comes: Callable[[], bool], milliseconds: list[int]) -> list[float]:
    """Run a handler so many milliseconds each, all at once; return after how many each was recorded."""

    async def h(ms: int) -> None:
        await asyncio.sleep(ms / 1000)

    house.registry.register_handler("h", h)
    await house.start()
    house.worker.more_comes = more_comes
    requests = [EnqueueRequest("h", {"ms": ms}) for ms in milliseconds]
    made = await house.store.write(lambda tx: enqueue(tx, requests))
    await asyncio.sleep(1)
    at = {one.id: one.finished_at - one.started_at for one in await house.all()}
    await house.stop()
    return [round(at[one.id] / timedelta(milliseconds=1)) for one in made]


def test_each_outcome_is_recorded_at_once_while_nothing_more_is_to_be_started():
    async def test(house: House) -> None:
        assert await ends(house, lambda: False, [1, 6, 11]) == [1, 6, 11]

    virtually(test)


def test_outcomes_gather_while_more_is_to_be_started_but_not_for_long():
    async def test(house: House) -> None:
        wait = round(LOOK * LOOKS * 1000)
        assert await ends(house, lambda: True, [1, 6, 11, 100]) == [1 + wait, 1 + wait, 1 + wait, 100 + wait]

    virtually(test)


def test_outcomes_gather_no_longer_once_everything_has_started():
    async def test(house: House) -> None:
        asked: list[bool] = []

        def more_comes() -> bool:
            asked.append(len(asked) < 1)
            return asked[-1]

        look = round(LOOK * 1000)
        assert await ends(house, more_comes, [1, 3, 10]) == [1 + look, 1 + look, 10]

    virtually(test)


def test_a_full_batch_waits_for_nothing(monkeypatch: pytest.MonkeyPatch):
    async def test(house: House) -> None:
        monkeypatch.setattr(house.worker._settler, "_batch", 2)
        assert (await ends(house, lambda: True, [1, 1, 50]))[:2] == [1, 1]

    virtually(test)
