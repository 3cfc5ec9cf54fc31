from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from mainspring.handlers.traces import STEP, cleanup_old_traces
from mainspring.model.outcome import Fail
from mainspring.ports.traces import DeleteStep, TraceAge, TraceScope
from mainspring.testing.clock import START, ManualClock
from tests.unit.handlers.attempts import Attempt


@dataclass
class Traces:
    """So many steps' worth of old traces."""

    steps: int = 3
    asked: list[tuple[TraceScope, TraceAge]] = field(default_factory=list)
    deleted: int = 0

    async def count(self, scope: TraceScope, age: TraceAge) -> int:
        self.asked.append((scope, age))
        return self.steps * 10

    async def delete_older(self, scope: TraceScope, age: TraceAge, *, limit: int) -> DeleteStep:
        assert limit == STEP
        self.deleted += 1
        return DeleteStep(10, 50, more=self.deleted < self.steps)


async def cleanup(traces: Traces | None, attempt: Attempt | None = None, **payload: Any) -> Any:
    return await cleanup_old_traces(traces, ManualClock())((attempt or Attempt()).ctx, **payload)


async def test_it_deletes_step_by_step_until_nothing_is_left() -> None:
    attempt, traces = Attempt(), Traces()
    done = await cleanup(traces, attempt)
    assert (done.traces, done.spans, done.steps, done.complete) == (30, 150, 3, True)
    assert [p["current"] for p in attempt.said.progresses] == [10, 20, 30]
    age = TraceAge(START - timedelta(days=30), START - timedelta(days=90))
    assert traces.asked == [(TraceScope("acme"), age)]


async def test_the_age_counts_from_the_scheduled_instant_so_that_a_retry_deletes_the_same() -> None:
    at = START - timedelta(days=5)
    done = await cleanup(Traces(), Attempt(scheduled_at=at), older_than="1d", keep_failed="2h")
    assert (done.before, done.failed_before) == (at - timedelta(days=1), at - timedelta(days=1))
    assert (await cleanup(Traces(), Attempt(scheduled_at=None), older_than="1d")).before == START - timedelta(days=1)


async def test_a_dry_run_deletes_nothing() -> None:
    traces = Traces()
    done = await cleanup(traces, dry_run=True)
    assert (done.traces, done.dry_run, done.complete, traces.deleted) == (30, True, False, 0)


async def test_it_stops_between_two_steps_when_cancelled() -> None:
    traces = Traces(steps=100)
    with pytest.raises(asyncio.CancelledError):
        await cleanup(traces, Attempt(stop_after=1))
    assert traces.deleted == 2


async def test_it_ends_with_a_result_when_its_time_is_over() -> None:
    class Slow(Traces):
        async def delete_older(self, scope: TraceScope, age: TraceAge, *, limit: int) -> DeleteStep:
            loop = asyncio.get_running_loop()
            now = loop.time()
            loop.time = lambda: now + 61  # type: ignore[method-assign]
            return await super().delete_older(scope, age, limit=limit)

    attempt = Attempt()
    done = await cleanup(Slow(), attempt, max_seconds=60)
    assert (done.complete, done.steps, done.traces) == (False, 1, 10)
    assert attempt.said.lines == [("info", "out of time after 60 s: about 20 old traces are left")]


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        ({"older_than": "0s"}, "at least 1h"),
        ({"older_than": "59m"}, "at least 1h"),
        ({"older_than": "soon"}, "not a duration"),
        ({"keep_failed": "9999999d"}, "out of range"),
        ({"keep_failed": "9999999999d"}, "no length of time"),
        ({"max_seconds": 0}, "max_seconds"),
        ({"max_seconds": 1e9}, "max_seconds"),
        ({"max_seconds": float("nan")}, "max_seconds"),
    ],
)
async def test_a_payload_that_is_a_slip_deletes_nothing(payload: dict[str, Any], words: str) -> None:
    traces = Traces()
    with pytest.raises(Fail, match=words):
        await cleanup(traces, **payload)
    assert traces.deleted == 0


async def test_without_a_store_it_says_how_to_set_one_up() -> None:
    with pytest.raises(Fail, match="Builtins\\(traces="):
        await cleanup(None)
