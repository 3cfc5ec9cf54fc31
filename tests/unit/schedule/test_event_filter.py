"""Filters of event schedules: what each condition means, and what is said of the first that fails."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from mainspring.model.events import Event
from mainspring.schedule import validate_event_schedule
from mainspring.schedule.event_filter import checked_filter, first_mismatch

AT = datetime(2026, 3, 2, 9, tzinfo=UTC)


def meets(conditions: list[Any], data: Any) -> bool:
    return first_mismatch(checked_filter({"data": {"x": conditions}}), {"data": data}) is None


@pytest.mark.parametrize(
    ("condition", "matching", "others"),
    [
        ("paid", ["paid", ["open", "paid"]], ["Paid", "", None, 1, ["open"], [], {"paid": 1}, [["paid"]]]),
        (1, [1, 1.0, [2, 1]], [True, "1", 2, None]),
        (True, [True], [1, "true", False]),
        (None, [None, [None]], [0, "", False, []]),
        ({"prefix": "re"}, ["re", "refund", ["x", "re"]], ["Re", "are", 1, None, []]),
        ({"suffix": ".csv"}, ["a.csv"], ["a.CSV", "csv", 5]),
        ({"equals-ignore-case": "STRASSE"}, ["strasse", "Straße"], ["strass", 1]),
        ({"anything-but": "x"}, ["y", 1, None, [], ["y"]], ["x", ["y", "x"]]),
        ({"anything-but": ["x", 1]}, ["y", True, [2]], ["x", 1, 1.0, ["x", 2]]),
        ({"numeric": [">", 5]}, [6, 5.5, [1, 9]], [5, "6", True, None, []]),
        ({"numeric": [">=", 0, "<", 10]}, [0, 9.9], [10, -1, [-1, 10]]),
        ({"numeric": ["=", 3]}, [3, 3.0], [4, 10**400]),
        ({"exists": True}, [0, None, "", [], {}], []),
        ({"exists": False}, [], [0, None, "", []]),
    ],
    ids=str,
)
def test_what_a_condition_matches(condition: Any, matching: list[Any], others: list[Any]) -> None:
    assert [value for value in [*matching, *others] if meets([condition], {"x": value})] == matching


def test_only_exists_false_holds_where_there_is_nothing() -> None:
    conditions = ["a", None, {"prefix": ""}, {"anything-but": "x"}, {"numeric": ["<", 1]}, {"exists": True}]
    nothing: list[Any] = [{}, None, 5, "x", [], {"y": 1}]
    assert not any(meets([condition], data) for condition in conditions for data in nothing)
    assert all(meets([{"exists": False}], data) for data in nothing)


def test_conditions_of_a_list_are_alternatives_and_keys_go_together() -> None:
    pattern = checked_filter({"data": {"status": ["paid", {"prefix": "re"}], "total": [{"numeric": [">", 100]}]}})
    assert first_mismatch(pattern, {"data": {"status": "refunded", "total": 101}}) is None
    mismatch = first_mismatch(pattern, {"data": {"status": "paid", "total": 99}})
    assert mismatch is not None
    assert (mismatch.path, mismatch.found) == ("filter.data.total", "99")
    assert mismatch.why == "filter.data.total is 99, wanted one of [{'numeric': ['>', 100]}]"


def test_one_element_of_an_array_of_objects_has_to_meet_all_of_a_deeper_pattern() -> None:
    pattern = checked_filter({"data": {"items": {"colour": ["blue"], "kind": ["pen"]}}})
    red_pen, blue_cup, blue_pen = (
        {"colour": c, "kind": k} for c, k in (("red", "pen"), ("blue", "cup"), ("blue", "pen"))
    )
    assert first_mismatch(pattern, {"data": {"items": [red_pen, blue_pen]}}) is None
    assert first_mismatch(pattern, {"data": {"items": blue_pen}}) is None
    mismatch = first_mismatch(pattern, {"data": {"items": [red_pen, blue_cup]}})
    assert mismatch is not None
    assert mismatch.path == "filter.data.items.colour"
    assert first_mismatch(pattern, {"data": {"items": []}}) is not None


def test_a_schedule_objects_with_the_path_of_the_first_condition_that_fails() -> None:
    schedule = validate_event_schedule(
        {
            "events": ["order.*"],
            "filter": {"source": ["shop"], "subject": [{"prefix": "eu/"}], "tier": ["gold"], "data": {"n": [1]}},
            "start_at": "2026-03-02T09:00Z",
            "end_at": "2026-03-02T10:00Z",
        }
    )

    def path(**changes: Any) -> str | None:
        data, more = changes.pop("data", {"n": 1}), changes.pop("extensions", {"tier": "gold"})
        fields = {"type": "order.paid", "source": "shop", "subject": "eu/7", "at": AT, **changes}
        objection = schedule.objection(Event("1", platform_id="default", data=data, extensions=more, **fields))
        return None if objection is None else objection.path

    assert path() is None
    assert path(type="invoice.paid") == "events"
    assert path(at=AT.replace(hour=8)) == "start_at"
    assert path(at=AT.replace(hour=11)) == "end_at"
    assert path(source="till") == "filter.source"
    assert path(subject=None) == "filter.subject"
    assert path(extensions={}) == "filter.tier"
    assert path(data={"n": 2}) == "filter.data.n"
