"""Event schedules: patterns, filters, and what is refused."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from mainspring.schedule import ScheduleError, event_matches, validate_event_schedule


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("order.created", ["order.created"], ["order.create", "order.created.v2", "Order.created", "order:created"]),
        ("order.*", ["order.created", "order.x-1_y"], ["order", "order.", "order.a.b", "order.a:b", "orders.a"]),
        ("*.created", ["order.created"], ["created", "a.b.created"]),
        ("order.**", ["order.a", "order.a.b", "order.a:b"], ["order", "orders.a"]),
        ("kb:*", ["kb:reindexed"], ["kb.reindexed", "kb:a:b", "kb:a.b"]),
        ("kb:**", ["kb:a", "kb:a.b", "kb:a:b"], ["kb"]),
        ("*", ["order"], ["order.created", ""]),
        ("**", ["order", "order.created", "kb:a.b"], [""]),
        ("com.github.*.opened", ["com.github.issue.opened"], ["com.github.opened"]),
    ],
)
def test_which_types_a_pattern_matches(pattern: str, matching: list[str], others: list[str]) -> None:
    assert [kind for kind in matching + others if event_matches(pattern, kind)] == matching


def test_an_event_schedule_is_read_whole() -> None:
    schedule = validate_event_schedule(
        {
            "events": ["order.*", "kb:**"],
            "filter": {"data": {"status": ["paid", {"prefix": "re"}], "n": [{"numeric": [">", 10, "<=", 100]}]}},
            "debounce_ms": 500,
            "throttle": {"limit": 10, "per_ms": 60_000},
            "max_executions": 5,
            "start_at": "2026-01-01T00:00",
        },
        timezone="Europe/Istanbul",
    )
    assert schedule.matches("kb:a.b")
    assert not schedule.matches("invoice.paid")
    assert schedule.debounce == timedelta(milliseconds=500)
    assert schedule.throttle is not None
    assert (schedule.throttle.limit, schedule.throttle.per) == (10, timedelta(minutes=1))
    assert schedule.start_at is not None
    assert schedule.start_at.isoformat() == "2025-12-31T21:00:00+00:00"
    assert schedule.filter["data"]["status"][0] == "paid"


def _each(field: str, values: list[Any]) -> list[dict[str, Any]]:
    return [{field: value} for value in values]


def _deep(levels: int) -> dict[str, Any]:
    found: dict[str, Any] = {"a": [1]}
    for _ in range(levels):
        found = {"a": found}
    return found


@pytest.mark.parametrize(
    "wrong",
    [
        *_each("events", [
            None, "order.*", [], [""], [None], ["order."], [".order"], ["or der"], ["order.**.x"], ["**.x"], ["order*"],
            ["order..a"], ["ördér"], ["a" * 300], ["a.b"] * 21, ["(a+)+$"],
        ]),
        *_each("debounce_ms", [-1, 1.5, "5", True, None, 10**10]),
        *_each("throttle", [
            None, 5, {}, {"limit": 1}, {"per_ms": 1}, {"limit": 0, "per_ms": 1}, {"limit": 1, "per_ms": 0},
            {"limit": 1, "per_ms": 1, "x": 1},
        ]),
        *_each("filter", [
            None, [], "a", {"a": "b"}, {"a": []}, {"a": [{}]}, {"a": [{"regex": "x"}]}, {"a": [{"prefix": 5}]},
            {"a": [{"exists": 1}]}, {"a": [{"numeric": [">"]}]}, {"a": [{"numeric": ["~", 1]}]}, {"a": [[1]]},
            {"a": [{"prefix": "a", "suffix": "b"}]}, {5: [1]}, {"a": [1] * 201}, _deep(9), {"a": {5: [1]}},
            {"a": [{"anything-but": []}]}, {"a": [{"numeric": [">", True]}]},
        ]),
        {"cron": "* * * * *"}, {"event": ["a"]}, {"jitter_ms": -1}, {"max_executions": 0},
        {"calendars": {"exclude": ["a"]}},
        {"start_at": "2027-01-01T00:00Z", "end_at": "2026-01-01T00:00Z"},
    ],
    ids=lambda wrong: str(wrong)[:50],
)  # fmt: skip
def test_what_is_not_an_event_schedule_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ScheduleError) as caught:
        validate_event_schedule({"events": ["order.*"], **wrong})
    assert caught.value.fix


def test_a_pattern_that_is_none_is_refused_by_the_matcher_too() -> None:
    with pytest.raises(ScheduleError):
        event_matches("order.**.x", "order.a.x")
