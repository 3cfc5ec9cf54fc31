"""Periods as people type them: 10m, PT10M, and calendar steps; what is not one is refused with the way to write it."""

from __future__ import annotations

import pytest

from mainspring.cli.durations import calendar_step, elapsed_ms
from mainspring.errors import ScheduleError

MINUTE = 60_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10m", 10 * MINUTE),
        ("PT10M", 10 * MINUTE),
        ("pt10m", 10 * MINUTE),
        ("PT1H30M", 90 * MINUTE),
        ("P1DT12H", 36 * 60 * MINUTE),
        ("P2W", 14 * 24 * 60 * MINUTE),
        ("PT0.5S", 500),
        ("PT1,25S", 1250),
        ("1h30m", 90 * MINUTE),
    ],
)
def test_both_ways_of_writing_a_length_of_time_are_read(text: str, expected: int) -> None:
    assert elapsed_ms(text) == expected


@pytest.mark.parametrize(
    "text", ["", "P", "PT", "P1", "10", "ten", "PT10", "P1H", "-5m", "-PT5M", "PT1M1H", "9" * 500 + "w"]
)
def test_what_is_no_length_of_time_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ScheduleError) as refused:
        elapsed_ms(text)
    assert "PT10M" in str(refused.value.fix)


@pytest.mark.parametrize("text", ["P1M", "P1Y", "P1Y2M10DT2H"])
def test_months_and_years_have_no_length_and_lead_to_the_calendar(text: str) -> None:
    with pytest.raises(ScheduleError, match="--calendar"):
        elapsed_ms(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("P1M", {"months": 1}),
        ("P3Y", {"years": 3}),
        ("P1Y6M", {"months": 18}),
        ("P2W", {"weeks": 2}),
        ("P1W3D", {"days": 10}),
        ("1d", {"days": 1}),
        ("2 weeks", {"weeks": 2}),
        ("3mo", {"months": 3}),
        ("1y", {"years": 1}),
    ],
)
def test_calendar_steps_are_read(text: str, expected: dict[str, int]) -> None:
    assert calendar_step(text) == expected


@pytest.mark.parametrize("text", ["PT1H", "P1DT1H", "P1M2D", "5m", "1h", "", "P0D"])
def test_what_is_no_calendar_step_is_refused(text: str) -> None:
    with pytest.raises(ScheduleError):
        calendar_step(text)
