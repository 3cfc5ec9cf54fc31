"""What may wait keeps out of the way of what is due, in virtual time."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from mainspring.engine.gaps import AFTER, BEFORE, Gaps
from tests.unit.engine.test_dispatcher_and_worker import START, House, virtually


def test_a_dispatcher_looks_at_nothing_just_before_an_instant() -> None:
    """Its looks come each second; so does the job, ten milliseconds later each time."""

    async def test(house: House) -> None:
        reads, read, time = list[float](), house.store.read, asyncio.get_running_loop().time
        begun = time()

        async def noted(work: Any) -> Any:
            reads.append(time() - begun)
            return await read(work)

        await house.start()
        house.store.read = noted  # type: ignore[method-assign]
        anchor = START + timedelta(milliseconds=10)
        await house.job(type="recurring", schedule={"every_ms": 1000, "anchor_at": anchor.isoformat()})
        await asyncio.sleep(10.5)
        await house.stop()
        assert len(reads) > 10
        assert not [at for at in reads if at > 0.5 and (at - 0.01) % 1 > 1 - BEFORE], "which a look each second meets"

    virtually(test)


def test_while_planning_goes_on_everything_else_waits() -> None:
    gaps = Gaps()
    gaps.begun()
    assert gaps.wait(100.0) == AFTER
    gaps.ended(100.0, next_at=100.0, more=True, decided=True)
    assert gaps.wait(100.2) == AFTER
    gaps.ended(100.3)
    assert gaps.wait(100.3) == 0


def test_what_was_decided_has_time_to_begin() -> None:
    gaps = Gaps()
    gaps.ended(100.0, next_at=101.0, decided=True)
    assert 0 < gaps.wait(100.0) <= AFTER
    assert gaps.wait(100.0 + AFTER) == 0


def test_whoever_asks_by_another_clock_waits_no_longer() -> None:
    gaps = Gaps()
    gaps.ended(7200.0, next_at=7201.0, decided=True)
    assert gaps.wait(5.0) <= AFTER
