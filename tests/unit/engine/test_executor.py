"""One attempt: what can be stopped is stopped, what cannot is let go, and it ends exactly once."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import threading
import weakref
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mainspring import Context, Event, Execution, Fail, Retry, Snooze, current
from mainspring.engine.children import Children
from mainspring.engine.executor import Attempt, Stop
from mainspring.engine.registry import JobHandlerRegistry
from mainspring.engine.threads import Threads
from mainspring.errors import ValidationError
from mainspring.model.execution import Cause, Status
from mainspring.model.outcome import Cancelled, Failed, Lost, Outcome, Released, Snoozed, Succeeded, TimedOut
from tests.unit.engine import handlers_for_children as there

NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)


class Runner:
    """Starts attempts and hands out how they ended."""

    def __init__(self) -> None:
        self.threads, self.children = Threads(asyncio.get_running_loop()), Children()
        self.ended: list[Outcome] = []

    def start(
        self,
        fn: Callable[..., Any],
        payload: dict[str, Any] | None = None,
        *,
        timeout: float = 30,
        grace: float = 30,
        isolation: str | None = None,
        event: dict[str, Any] | None = None,
    ) -> tuple[Attempt, asyncio.Future[Outcome]]:
        handler = JobHandlerRegistry().register_handler("h", fn, isolation=isolation)
        execution = Execution(
            id="e",
            platform_id="default",
            handler="h",
            status=Status.RUNNING,
            cause=Cause.ENQUEUE,
            created_at=NOW,
            available_at=NOW,
            attempt=1,
            fence=1,
            worker_id="w",
            payload=payload or {},
            event=event,
            timeout=timedelta(seconds=timeout),
        )
        ended: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

        def on_end(attempt: Attempt, outcome: Outcome) -> None:
            self.ended.append(outcome)
            ended.set_result(outcome)

        attempt = Attempt(execution, handler, threads=self.threads, children=self.children, grace=grace, on_end=on_end)
        attempt.start()
        return attempt, ended

    async def run(self, fn: Callable[..., Any], payload: dict[str, Any] | None = None, **options: Any) -> Outcome:
        attempt, ended = self.start(fn, payload, **options)
        outcome = await ended
        self.said = attempt.words
        return outcome


@pytest.fixture
async def runner() -> AsyncIterator[Runner]:
    runner = Runner()
    yield runner
    await runner.children.close()
    runner.threads.close()


async def test_a_coroutine_a_function_and_a_process_give_their_results(runner):
    async def add(a: int, b: int = 2) -> int:
        return a + b

    def multiply(a: int, b: int = 2) -> int:
        return a * b

    assert await runner.run(add, {"a": 1}) == Succeeded(3)
    assert await runner.run(multiply, {"a": 4, "b": 5}) == Succeeded(20)
    assert await runner.run(there.greet_async, {"name": "you"}, isolation="process") == Succeeded({"hello": "you"})


async def test_a_handler_in_a_process_speaks_to_its_worker(runner):
    outcome = await runner.run(there.greet, {"name": "you"}, isolation="process")
    assert outcome.result.startswith("hello you from ")
    assert not outcome.result.endswith(str(os.getpid()))
    assert runner.said.take_lines() == [("info", "greeting", {"name": "you"})]
    assert runner.said.take_progress() == {"current": 1, "total": 2, "message": "half"}
    assert outcome.usage == {"tokens": 3}


async def test_a_child_is_used_again(runner):
    first = await runner.run(there.greet, isolation="process")
    assert await runner.run(there.greet, isolation="process") == first


async def test_what_a_child_prints_is_no_message(runner):
    assert await runner.run(there.chatter, isolation="process") == Succeeded("done")


@pytest.mark.parametrize("isolation", ["thread", "process"])
async def test_a_handler_chooses_its_outcome(runner, isolation):
    async def choose(outcome):
        return await runner.run(there.choose, {"outcome": outcome}, isolation=isolation)

    retry, snooze, fail, error = [await choose(o) for o in ("retry", "snooze", "fail", "error")]
    assert (retry.retryable, retry.retry_after) == (True, timedelta(seconds=5))
    assert snooze == Snoozed(timedelta(seconds=7))
    assert (fail.retryable, fail.error["message"]) == (False, "never")
    assert error.error["type"] == "KeyError"
    assert "choose" in error.error["traceback"]


async def test_a_coroutine_over_its_time_is_cancelled(runner):
    cancelled = asyncio.Event()

    async def waits() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    outcome = await runner.run(waits, timeout=0.05)
    assert isinstance(outcome, TimedOut)
    assert cancelled.is_set()


async def test_a_coroutine_that_swallows_cancellation_is_let_go_and_its_result_dropped(runner):
    release = asyncio.Event()

    async def swallows() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await release.wait()
        return "too late"

    attempt, ended = runner.start(swallows, timeout=0.05, grace=0.05)
    assert isinstance(await ended, TimedOut)
    assert attempt.stuck
    release.set()
    await attempt.wait_stopped()
    assert len(runner.ended) == 1
    assert not attempt.stuck


async def test_a_result_that_comes_after_the_time_does_not_count(runner):
    async def swallows() -> str:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return "too late"

    assert isinstance(await runner.run(swallows, timeout=0.05), TimedOut)


async def test_a_thread_is_only_told(runner):
    let_go, saw = threading.Event(), []

    def deaf(ctx: Context) -> str:
        let_go.wait()
        saw.append(ctx.cancelled)
        return "too late"

    attempt, ended = runner.start(deaf, timeout=0.05, grace=0.05)
    assert isinstance(await ended, TimedOut)
    assert attempt.stuck
    let_go.set()
    await attempt.wait_stopped()
    assert (saw, len(runner.ended)) == ([True], 1)


@pytest.mark.parametrize("fn", [there.spin, there.ignore_terminate])
async def test_a_process_over_its_time_is_killed(runner, fn):
    attempt, ended = runner.start(fn, timeout=1.5, isolation="process")
    assert isinstance(await ended, TimedOut)
    await attempt.wait_stopped()
    assert await runner.run(there.chatter, isolation="process") == Succeeded("done"), "and replaced"


async def test_a_process_that_dies_is_lost_and_not_failed(runner):
    outcome = await runner.run(there.die, isolation="process")
    assert isinstance(outcome, Lost)
    assert "-9" in outcome.detail


async def test_a_process_can_be_asked_to_stop(runner):
    attempt, ended = runner.start(there.until_cancelled, isolation="process")
    while attempt._child is None:  # noqa: ASYNC110 - there is no event for it
        await asyncio.sleep(0)
    attempt.stop(Stop.CANCEL)
    assert await ended == Succeeded("stopped nicely"), "it finished: a cancel that comes too late undoes nothing"


async def test_cancel_and_release_of_a_coroutine(runner):
    for why, expected in ((Stop.CANCEL, Cancelled()), (Stop.RELEASE, Released())):
        started = asyncio.Event()

        async def waits(started: asyncio.Event = started) -> None:
            started.set()
            await asyncio.Event().wait()

        def no_payload(fn: Any = waits) -> Any:
            return fn()

        async def handler() -> None:
            await no_payload()

        attempt, ended = runner.start(handler)
        await started.wait()
        attempt.stop(why)
        assert await ended == expected


async def test_what_a_stopped_handler_raises_is_not_its_failure(runner):
    started = asyncio.Event()

    async def raises_on_cancel() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise RuntimeError("cleaning up went wrong") from None

    attempt, ended = runner.start(raises_on_cancel)
    await started.wait()
    attempt.stop(Stop.CANCEL)
    assert await ended == Cancelled()


async def test_a_stored_payload_that_no_longer_fits_is_not_retried(runner):
    async def takes(a: int) -> None: ...

    for payload in ({}, {"a": "x"}, {"a": 1, "b": 2}):
        outcome = await runner.run(takes, payload)
        assert (outcome.invalid_payload, outcome.retryable) == (True, False)


async def test_results_are_plain_and_bounded(runner):
    async def made_of_classes() -> object:
        return object()

    outcome = await runner.run(made_of_classes)
    assert isinstance(outcome, Failed)
    assert outcome.error["type"] == "ResultError"
    assert "limit of 65536" in (await runner.run(there.big)).error["message"]
    assert "limit of 65536" in (await runner.run(there.big, isolation="process")).error["message"]


async def test_exits_and_broken_messages_are_failures_of_the_handler_alone(runner):
    class Rude(Exception):
        def __str__(self) -> str:
            raise ValueError

    async def exits() -> None:
        raise SystemExit(3)

    def rude() -> None:
        raise Rude

    def surrogate() -> None:
        raise ValueError("\ud800\x00")

    assert (await runner.run(exits)).error["type"] == "SystemExit"
    assert "cannot be read" in (await runner.run(rude)).error["message"]
    assert (await runner.run(surrogate)).error["message"] == "\\ud800\\x00"


async def test_context_event_and_execution_are_injected_by_annotation(runner):
    async def handler(ctx: Context, event: Event, execution: Execution, extra: int = 1) -> list[Any]:
        return [ctx.idempotency_key, event.data["n"], execution.id, current().execution_id, extra]

    event = {"id": "7", "type": "a.b", "source": "s", "subject": None, "data": {"n": 5}}
    assert await runner.run(handler, {"extra": 2}, event=event) == Succeeded(["e", 5, "e", "e", 2])
    assert (await runner.run(handler)).invalid_payload, "there is no event"


def test_outside_of_an_attempt_there_is_no_context():
    with pytest.raises(LookupError):
        current()


def test_signals_read_seconds_and_spans():
    assert Retry(after=timedelta(minutes=1)).after == timedelta(minutes=1)
    assert Snooze(2).after == timedelta(seconds=2)
    assert Fail("x").reason == "x"
    assert (Retry("90s").after, Snooze("1h30m").after) == (timedelta(seconds=90), timedelta(minutes=90))
    for wrong in (-1, "soon", float("nan"), 1e300):
        with pytest.raises(ValidationError, match="Snooze"):
            Snooze(wrong)


async def test_an_attempt_that_has_ended_is_gone_without_the_garbage_collector(runner):
    async def nothing(ctx: Context) -> None:
        assert not ctx.cancelled

    gc.disable()
    try:
        attempt, ended = runner.start(nothing, {})
        gone = weakref.ref(attempt)
        del attempt
        await ended
        for _ in range(3):
            await asyncio.sleep(0)
        assert gone() is None
    finally:
        gc.enable()
