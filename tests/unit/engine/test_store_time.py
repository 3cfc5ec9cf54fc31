"""When the event loop asks for what is due by the store's clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from mainspring.engine.store_time import MOST, RECENT, TOLERANCE, StoreTime

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def kept(*looks: tuple[float, float]) -> StoreTime:
    """Return what was learned from transactions: when they were asked for, and the seconds after noon they read."""
    time = StoreTime()
    for asked, read in looks:
        time.keep(asked, NOON + timedelta(seconds=read))
    return time


def at(time: StoreTime, seconds: float) -> float:
    return time.at(NOON + timedelta(seconds=seconds))


def test_the_transaction_with_the_shortest_way_tells_when_to_ask():
    for looks in ([(10, 0.004), (11, 1.001), (12, 2.010)], [(10, 0.010), (11, 1.004), (12, 2.001)]):
        assert at(kept(*looks), 3) == pytest.approx(12.999, abs=1e-6)


@pytest.mark.parametrize("step", [-3600.0, -2 * TOLERANCE, 2 * TOLERANCE, 3600.0])
def test_a_clock_that_steps_is_followed_at_once(step):
    assert at(kept((10, 0.001), (11, 1.004 + step)), 2 + step) == pytest.approx(11.996, abs=1e-6)


def test_what_lies_back_for_long_no_longer_counts_as_clocks_drift_apart():
    looks = [(10, 0.0), (10 + RECENT + 1, RECENT + 1.002)]
    assert at(kept(*looks), 100) == pytest.approx(109.998, abs=1e-6)


def test_however_often_it_is_asked_it_keeps_few():
    busy = kept((10, 0.0), *((10 + number / 1000, 0.003 + number / 1000) for number in range(1, MOST + 1)))
    assert at(busy, 1) == pytest.approx(10.997, abs=1e-6)
