"""A definition as a store keeps it."""

from __future__ import annotations

from typing import Any

import pytest

from mainspring.errors import ValidationError
from mainspring.model.job import JobDefinition, JobType
from mainspring.model.wire import definition_from_record, definition_from_wire, definition_to_wire

WHOLE = {
    "name": "report", "type": "cron", "handler": "reports:nightly", "handler_type": "workflow", "description": "d",
    "labels": {"team": "a"}, "owner": "ops", "payload": {"n": [1, {"x": None}]}, "schedule": {"cron": "0 9 * * 1-5"},
    "timezone": "Europe/Istanbul", "priority": 9, "queue": "reports", "max_concurrency": 3, "concurrency_key": "k",
    "concurrency_limit": 2, "overlap": "buffer_one", "buffer_limit": 7, "misfire": "fire_all",
    "misfire_grace_ms": 1500, "catch_up_window_ms": 60_000, "max_catch_up": 12, "timeout_ms": 90_000,
    "retry": {"max_retries": 4, "retry_delay_ms": 250, "backoff_multiplier": 3, "jitter": "none"},
    "start_deadline_ms": 5000, "isolation": "process", "on_success": ["after"], "on_failure": ["alarm"],
    "pause_after_failures": 5, "dead_letter": False,
}  # fmt: skip


@pytest.mark.parametrize("fields", [WHOLE, {"name": "tidy", "type": "manual", "handler": "tidy"}])
def test_a_recorded_definition_is_the_one_that_was_written(fields: dict[str, Any]) -> None:
    definition = definition_from_wire(fields)
    recorded = definition_to_wire(definition)
    found = definition_from_record(recorded)
    assert found == definition
    assert definition_to_wire(found) == recorded == definition_to_wire(definition)


def test_an_older_version_s_record_has_the_defaults_of_what_it_lacks() -> None:
    recorded = definition_to_wire(definition_from_wire(WHOLE))
    del recorded["dead_letter"], recorded["retry"]["jitter"]
    found = definition_from_record(recorded)
    assert found.dead_letter
    assert found.retry.jitter.value == "full"
    assert found.catch_up_window == definition_from_wire(WHOLE).catch_up_window


@pytest.mark.parametrize(("field", "value"), [("overlap", "queue_up"), ("color", "red")])
def test_a_newer_version_s_record_is_refused_with_the_field(field: str, value: str) -> None:
    with pytest.raises(ValidationError, match=field):
        definition_from_record({**definition_to_wire(definition_from_wire(WHOLE)), field: value})


def test_a_definition_in_plain_data_shares_nothing_with_it_that_can_be_changed() -> None:
    definition = definition_from_wire(WHOLE)
    wire = definition_to_wire(definition)
    for field in ("labels", "payload", "schedule", "retry"):
        wire[field].clear()
    wire["on_success"].append("more")
    assert definition == definition_from_wire(WHOLE)


def test_what_is_not_said_has_the_defaults_of_a_definition_and_objects_of_its_own() -> None:
    least = {"name": "tidy", "type": "manual", "handler": "tidy"}
    one, other = definition_from_wire(least), definition_from_wire(least)
    assert one == JobDefinition("tidy", JobType.MANUAL, "tidy")
    assert one.payload is not other.payload
    assert one.labels is not other.labels
