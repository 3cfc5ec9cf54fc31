"""What a dispatcher at rest works out before it is due, in virtual time."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from tests.unit.engine.test_dispatcher_and_worker import START, House, virtually


@pytest.mark.parametrize("ahead", [3.0, 6.0, 8.0, 14.0])
@pytest.mark.parametrize("at_rest", [0.5, 1.5, 4.0, 6.0, 13.0])
def test_what_is_created_while_it_rests_is_foreseen(at_rest: float, ahead: float):
    async def test(house: House) -> None:
        await house.start()
        await asyncio.sleep(at_rest)
        run_at = START + timedelta(seconds=at_rest + ahead)
        made = await house.job(type="one_time", schedule={"run_at": run_at.isoformat()})
        await asyncio.sleep(ahead - 0.1)
        assert made.id in house.dispatcher.planning.ahead.jobs
        await house.stop()

    virtually(test)
