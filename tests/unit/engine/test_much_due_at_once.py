"""What makes way while more is due than is decided, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from mainspring.engine.planning import PRESSED, Planning
from mainspring.engine.worker import FEW
from mainspring.engine.worker_settings import WorkerSettings
from mainspring.moves.claim import claim
from mainspring.moves.enqueue import EnqueueRequest, enqueue
from tests.unit.engine.test_dispatcher_and_worker import START, House, virtually


async def with_due(house: House, jobs: int, *, batch_size: int, foreseen: bool = False) -> None:
    """Let so many jobs be due now, of which nothing is decided yet."""
    await house.store.open()
    for number in range(jobs):
        run_at = START + timedelta(seconds=1)
        await house.job(name=f"job-{number}", type="one_time", schedule={"run_at": run_at.isoformat()})
    house.dispatcher.planning = Planning(
        house.store, house.wakeups, house.schedules, batch_size=batch_size, who="d", on_planned=lambda planned: None
    )
    if foreseen:
        await house.store.read(lambda tx: house.dispatcher.planning.ahead.look(tx, jobs))
    await asyncio.sleep(1)


async def claimed_at_once(
    house: House, monkeypatch: pytest.MonkeyPatch, makes_way: Callable[[], bool], executions: int
) -> list[int]:
    """Let so many executions be queued at once; return how many each claim took."""
    taken: list[int] = []

    def counted(*arguments: Any, **options: Any) -> list[Any]:
        found = claim(*arguments, **options)
        taken.append(len(found))
        return found

    monkeypatch.setattr("mainspring.engine.claims.claim", counted)
    house.worker.settings = WorkerSettings(queues={"default": 500})
    house.registry.register_handler("h", asyncio.Event().wait)
    house.worker.makes_way = makes_way
    await house.start()
    await asyncio.sleep(1)  # it has looked and found nothing
    taken.clear()
    await house.store.write(lambda tx: enqueue(tx, [EnqueueRequest("h")] * executions))
    await asyncio.sleep(0.5)
    await house.stop()
    return [count for count in taken if count]


def test_few_are_claimed_at_once_while_starting_makes_way(monkeypatch: pytest.MonkeyPatch):
    async def test(house: House) -> None:
        taken = await claimed_at_once(house, monkeypatch, lambda: True, 120)
        assert sum(taken) == 120
        assert max(taken) == FEW

    virtually(test)


def test_all_there_is_room_for_is_claimed_at_once_otherwise(monkeypatch: pytest.MonkeyPatch):
    async def test(house: House) -> None:
        assert await claimed_at_once(house, monkeypatch, lambda: False, 120) == [120]

    virtually(test)


def test_starting_makes_way_for_deciding_once_planning_has_filled_a_transaction_and_more_is_due():
    async def test(house: House) -> None:
        await with_due(house, 25, batch_size=10)
        seen = []
        for _ in range(3):
            await house.dispatcher.planning.step()
            seen.append((house.dispatcher.planning.behind, house.dispatcher.planning.pressed))
        assert seen == [(True, True), (True, True), (False, False)]

    virtually(test)


def test_starting_makes_no_way_for_what_the_first_small_transactions_decide():
    async def test(house: House) -> None:
        await with_due(house, 60, batch_size=500)
        await house.dispatcher.planning.step()
        assert (house.dispatcher.planning.behind, house.dispatcher.planning.pressed) == (True, False)

    virtually(test)


@pytest.mark.parametrize(("due", "pressed"), [(150, True), (4 * 10 + 4, False)], ids=["far more", "little more"])
def test_starting_makes_way_from_the_first_transaction_on_where_far_more_is_foreseen_to_be_due(due: int, pressed: bool):
    async def test(house: House) -> None:
        await with_due(house, due, batch_size=10, foreseen=True)
        planning = house.dispatcher.planning
        planning._limit = 5
        await planning.step()
        assert (planning.behind, planning.pressed) == (True, pressed)

    virtually(test)


def test_starting_makes_way_for_a_while_only_however_much_is_due():
    async def test(house: House) -> None:
        await with_due(house, 40, batch_size=10)
        await house.dispatcher.planning.step()
        await asyncio.sleep(PRESSED)
        for _ in range(2):
            assert (house.dispatcher.planning.behind, house.dispatcher.planning.pressed) == (True, False)
            await house.dispatcher.planning.step()

    virtually(test)
