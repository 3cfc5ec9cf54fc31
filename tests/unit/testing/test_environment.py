"""The users' test kit: a Mainspring on a clock in the test's hand."""

# mypy: disable-error-code="unused-awaitable, call-arg, arg-type, operator, union-attr, comparison-overlap"
# Injected parameters and dropped runs are meant; what is claimed of rows is checked by running.

from __future__ import annotations

import asyncio
import threading
import time
from datetime import UTC, date, datetime, timedelta

import pytest

from mainspring import Context, Event, Fail, Mainspring, Retry, Snooze
from mainspring.errors import StoreUnavailableError, ValidationError
from mainspring.testing import environment
from mainspring.testing.plugin import mainspring_env, mainspring_sync_env

__all__ = ["mainspring_env", "mainspring_sync_env"]


@pytest.fixture
def ms() -> Mainspring:
    return Mainspring("sqlite:////nowhere/at/all.db")


def test_jobs_find_the_calendars_the_environment_was_given(ms: Mainspring) -> None:
    @ms.cron("0 9 * * *", calendars={"exclude": ["holidays"]})
    async def report() -> None: ...

    with pytest.raises(ValidationError, match="no such calendar"), environment(ms):
        pass
    days = {"holidays": ["2026-12-25", date(2026, 12, 26)]}
    with environment(ms, at="2026-12-24T08:59", calendars=days) as env:
        env.assert_fires(report, ["2026-12-24T09:00", "2026-12-27T09:00"])
        env.advance("2d")
        assert env.decisions(report).verdicts == ["dispatched", "skipped_calendar"]
        env.advance("1d")
        assert env.decisions(report).verdicts == ["dispatched", "skipped_calendar", "skipped_calendar"]


async def test_a_daily_report_runs_when_its_minute_comes(ms: Mainspring) -> None:
    @ms.cron("0 9 * * MON-FRI", tz="Europe/Istanbul")
    async def report(region: str = "tr") -> int:
        return len(region)

    async with environment(ms, at="2026-11-20T08:59", tz="Europe/Istanbul") as env:
        await env.advance("59s")
        env.refute_ran(report)
        await env.advance("1s")
        assert env.runs(report).statuses == ["success"]
        assert env.runs("report").results == [2]
        env.assert_ran(report, at=["2026-11-20T09:00"], times=1)
        assert env.decisions(report).verdicts == ["dispatched"]
        env.assert_fires(report, ["2026-11-23T09:00", "2026-11-24T09:00"])
        await env.advance("30d")
        env.assert_ran(report, times=21)


async def test_the_application_gets_its_own_parts_back(ms: Mainspring) -> None:
    parts = ms.parts
    async with environment(ms) as env:
        assert ms.parts is not parts
        assert ms.store is env.store
    assert ms.parts is parts


async def test_retries_follow_the_clock_in_exact_steps(ms: Mainspring) -> None:
    seen: list[tuple[int, datetime]] = []

    @ms.handler(retry={"max_retries": 2, "retry_delay_ms": 10_000, "jitter": "none"})
    async def flaky(ctx: Context) -> str:
        seen.append((ctx.attempt, env.now))
        if ctx.attempt < 3:
            raise ConnectionError("not yet")
        return "at last"

    async with environment(ms) as env:
        begun = env.now
        run = await flaky.aenqueue()
        env.assert_enqueued(flaky)
        await env.drain()
        assert env.run(run).status == "retrying"
        await env.advance("1m")
        assert [(n, (at - begun).total_seconds()) for n, at in seen] == [(1, 0), (2, 10), (3, 30)]
        assert env.run(run).result == "at last"
        env.refute_enqueued(flaky)


async def test_what_a_handler_sleeps_is_the_tests_time(ms: Mainspring) -> None:
    @ms.every("1m", timeout="1h")
    async def slow() -> str:
        await asyncio.sleep(90)
        return "slept"

    async with environment(ms) as env:
        real = time.perf_counter()
        await env.advance("1m")
        assert env.runs(slow).statuses == ["running"]
        await env.advance("1m")
        assert env.decisions(slow).verdicts == ["dispatched", "skipped_overlap"]
        await env.advance("30s")
        assert env.runs(slow).statuses == ["success"]
        assert env.runs(slow)[0].finished_at == env.runs(slow)[0].started_at + timedelta(seconds=90)
        assert time.perf_counter() - real < 5


async def test_a_timeout_ends_an_attempt_at_its_instant(ms: Mainspring) -> None:
    @ms.handler(timeout="10s", retry=0)
    async def endless() -> None:
        await asyncio.Event().wait()

    async with environment(ms, patience=0.01) as env:
        await endless.aenqueue()
        await env.advance("9s")
        assert env.runs(endless).statuses == ["running"]
        await env.advance("1s")
        assert env.runs(endless).statuses == ["failed"]
        assert env.runs(endless)[0].failure == "timeout"


async def test_a_killed_worker_s_work_is_run_again_once_its_lease_is_over(ms: Mainspring) -> None:
    @ms.handler(timeout="1h")
    async def long(ctx: Context) -> int:
        await asyncio.sleep(60)
        return ctx.attempt

    async with environment(ms) as env:
        await long.aenqueue()
        await env.advance("10s")
        env.kill_worker()
        await env.advance("14s")
        assert env.runs(long).statuses == ["running"]
        await env.advance("61s")
        assert env.runs(long).results == [2]
        assert env.runs(long)[0].losses == 1


async def test_a_late_result_changes_nothing_after_the_lease_is_lost(ms: Mainspring) -> None:
    started: list[int] = []

    @ms.handler(timeout="1h")
    async def long(ctx: Context) -> int:
        started.append(ctx.fence)
        await asyncio.sleep(60)
        return ctx.fence

    async with environment(ms) as env:
        run = await long.aenqueue()
        await env.advance("10s")
        assert env.lose_lease(long) == 1
        await env.advance("55s")
        assert env.run(run).status == "running"
        await env.advance("60s")
        assert started == [1, 3]
        assert env.runs(long).results == [3]


async def test_while_the_database_is_down_nothing_is_decided_and_then_everything_is(ms: Mainspring) -> None:
    @ms.every("10s")
    async def tick() -> None: ...

    async with environment(ms) as env:
        env.db_down("30s")
        with pytest.raises(StoreUnavailableError):
            await tick.aenqueue()
        await env.advance("29s")
        await env.advance("1s")
        assert env.decisions(tick).verdicts[0] == "dispatched"
        assert len(env.decisions(tick)) == 3


async def test_cancelling_tells_the_handler(ms: Mainspring) -> None:
    @ms.handler(timeout="1h")
    async def long() -> None:
        await asyncio.sleep(600)

    async with environment(ms) as env:
        run = await long.aenqueue()
        await env.advance("1s")
        await env.scheduler.cancel_execution(run.id, reason="enough")
        await env.drain()
        assert env.run(run).status == "cancelled"


async def test_outcomes_events_chains_and_logs(ms: Mainspring) -> None:
    @ms.on("order.*", on_success=["after"])
    async def ordered(event: Event, ctx: Context) -> str:
        ctx.log.info("order", id=event.data["id"])
        return str(event.data["id"])

    @ms.on("never.at.all", name="after")
    async def after() -> str:
        return "chained"

    @ms.handler()
    async def picky(how: str) -> None:
        raise {"fail": Fail("no"), "retry": Retry(after=5), "snooze": Snooze(60)}[how]

    async with environment(ms) as env:
        await env.publish("order.paid", {"id": 7}, id="o-7")
        assert (await env.publish("order.paid", {"id": 7}, id="o-7")).duplicate
        assert env.runs(ordered).results == ["7"]
        assert env.runs(after).results == ["chained"]
        assert env.logs(env.runs(ordered)[0]) == ["order"]
        await picky.aenqueue(how="fail")
        await picky.aenqueue(how="snooze")
        await env.drain()
        assert env.runs(picky).statuses == ["failed", "pending"]
        assert env.runs(picky).errors[0].startswith("Fail: no")
        env.assert_enqueued(picky, within="1m", how="snooze")
        env.refute_enqueued(picky, within="59s")


async def test_arguments_and_results_go_through_json(ms: Mainspring) -> None:
    @ms.handler()
    async def when(at: datetime) -> datetime:
        assert isinstance(at, datetime)
        return at

    async with environment(ms) as env:
        await when.aenqueue(datetime(2026, 1, 2, tzinfo=UTC))
        env.assert_enqueued(when, at="2026-01-02T00:00:00Z")
        await env.drain()
        assert env.runs(when).results == ["2026-01-02T00:00:00Z"]
        with pytest.raises(ValidationError):
            await when.aenqueue("no time")


async def test_plain_functions_run_in_threads_and_may_use_the_application(ms: Mainspring) -> None:
    @ms.handler()
    def second(n: int) -> int:
        return n + 1

    @ms.handler()
    def first() -> str:
        assert threading.current_thread() is not threading.main_thread()
        second.enqueue(4)
        return "ok"

    @ms.handler(isolation="process")
    def apart() -> str:
        return "apart"

    async with environment(ms) as env:
        await first.aenqueue()
        await apart.aenqueue()
        await env.drain()
        assert env.runs(first).results == ["ok"]
        assert env.runs(second).results == [5]
        assert env.runs(apart).results == ["apart"]


async def test_a_handler_that_waits_for_the_test_ends_when_the_test_lets_it(ms: Mainspring) -> None:
    gate = asyncio.Event()

    @ms.handler()
    async def gated() -> str:
        await gate.wait()
        return "through"

    async with environment(ms, patience=0.01) as env:
        await gated.aenqueue()
        await env.advance("10s")
        assert env.runs(gated).statuses == ["running"]
        gate.set()
        await env.drain()
        assert env.runs(gated).results == ["through"]


def test_the_same_without_an_event_loop(ms: Mainspring) -> None:
    @ms.every("10m")
    async def tick() -> str:
        await asyncio.sleep(1)
        return "tock"

    with environment(ms, at="2026-06-01T12:00") as env:
        run = tick.enqueue()
        env.advance("30m")
        assert env.runs("tick").statuses == ["success"] * 4 or env.runs(tick).statuses[-1] == "running"
        env.advance("1s")
        assert env.runs(tick).results == ["tock"] * 4
        assert env.run(run).result == "tock"
        env.wait(env.scheduler.pause_job("tick", reason="lunch", until=env.now + timedelta(hours=1)))
        env.advance_to("14:30")
        assert "skipped_paused" in env.decisions("tick").verdicts
        assert env.now == datetime(2026, 6, 1, 14, 30, tzinfo=UTC)


def test_failures_can_fail_the_test_and_time_only_goes_forward(ms: Mainspring) -> None:
    @ms.handler(retry=0)
    async def broken() -> None:
        raise KeyError("the reason")

    with environment(ms, fail_fast=True) as env:
        broken.enqueue()
        with pytest.raises(AssertionError, match="the reason"):
            env.drain()
        with pytest.raises(ValueError, match="forward"):
            env.advance_to("2020-01-01T00:00")


def test_assertions_say_what_was_found_instead(ms: Mainspring) -> None:
    @ms.handler()
    async def job(n: int) -> None: ...

    with environment(ms) as env:
        job.enqueue(1)
        with pytest.raises(AssertionError, match=r"queued \{'n': 1\}"):
            env.assert_enqueued(job, n=2)
        with pytest.raises(AssertionError, match="0 times"):
            env.assert_ran(job)
        with pytest.raises(AssertionError, match="waits to start"):
            env.refute_enqueued(job)


async def test_many_environments_live_side_by_side() -> None:
    async def one(hour: int) -> list[str]:
        app = Mainspring()

        @app.cron("30 * * * *")
        async def half() -> int:
            await asyncio.sleep(5)
            return hour

        async with environment(app, at=f"2026-05-05T{hour:02}:00") as env:
            await env.advance("2h")
            return [e.scheduled_at.isoformat()[11:16] for e in env.assert_ran(half, times=2)]

    assert await asyncio.gather(one(3), one(17)) == [["03:30", "04:30"], ["17:30", "18:30"]]


async def test_the_fixture_closes_what_it_opens(ms: Mainspring, mainspring_env) -> None:
    env = mainspring_env(ms, at="2026-11-20T08:59")
    assert ms.store is env.store


def test_the_sync_fixture(ms: Mainspring, mainspring_sync_env) -> None:
    @ms.at("2026-11-20T09:00")
    def once() -> str:
        return "once"

    env = mainspring_sync_env(ms, at="2026-11-20T08:59")
    env.advance("1m")
    assert env.runs(once).results == ["once"]
