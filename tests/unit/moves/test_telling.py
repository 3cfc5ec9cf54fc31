"""Events of executions that ended alike are made together, and say what each would say of itself."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mainspring.model.execution import Cause, Execution, Failure, Status
from mainspring.model.outcome import Succeeded
from mainspring.model.policy import RetryPolicy
from mainspring.moves.telling import event_of, events_of
from mainspring.schedule.settle import settle
from tests.contracts.store_rows import an_execution

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
TRACED = an_execution(
    NOW - timedelta(seconds=2),
    Status.RUNNING,
    job_id="j-1",
    job_name="tidy",
    scheduled_at=NOW - timedelta(minutes=1),
    chain_depth=1,
    trace_id="a" * 32,
    span_id="b" * 16,
)
#: Of each type of a field, something that no execution has in it here.
OTHERS: tuple[Any, ...] = (
    Status.WAITING,
    Cause.MANUAL,
    Failure.LOST,
    NOW - timedelta(seconds=1),
    timedelta(minutes=7),
    RetryPolicy(max_retries=9),
    True,
    7,
    "other",
    {"other": 1},
)


def other(value: Any) -> Any:
    """Return another value of the same type."""
    return next((one for one in OTHERS if type(one) is type(value)), "other" if value is None else None)


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Execution)])
def test_whatever_two_executions_differ_in_each_is_told_as_by_itself(name: str) -> None:
    executions = [TRACED, TRACED.changed(id="x-2"), TRACED.changed(**{name: other(getattr(TRACED, name))})]
    step = settle(TRACED, Succeeded(), now=NOW, draw=0.0)
    told = events_of(["1", "2", "3"], NOW, executions, step)
    assert list(told) == [event_of(new, NOW, one, step) for new, one in zip("123", executions, strict=True)]
