"""The application class: declaring, enqueueing, publishing, running."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from mainspring import Context, Mainspring, RetryPolicy
from mainspring.adapters.memory import MemoryStore
from mainspring.app.application import BlockingCallError
from mainspring.app.wiring import SystemParts
from mainspring.errors import ConflictError, ExecutionFailedError, LimitExceededError, SettingsError, ValidationError
from mainspring.model.execution import Status
from mainspring.model.job import JobStatus


@pytest.fixture
def ms() -> Mainspring:
    parts = SystemParts()
    parts.store = MemoryStore(parts.clock, random=parts.random, wakeups=parts.wakeups)
    return Mainspring("sqlite:///unused.db", parts=parts, poll_ms=50)


@contextlib.asynccontextmanager
async def running(ms: Mainspring):
    stop = asyncio.Event()
    serving = asyncio.create_task(ms.serve(stop=stop))
    try:
        yield
    finally:
        stop.set()
        await serving


# -- declaring ---------------------------------------------------------------------------------------------------------


def test_a_decorated_function_stays_callable_and_makes_a_job(ms):
    @ms.cron("0 9 * * MON-FRI", tz="Europe/Istanbul", retry=3, timeout="5m", jitter="10s", labels={"team": "a"})
    def report(region: str = "tr") -> str:
        """Write the report.

        At length.
        """
        return f"report {region}"

    assert report("eu") == "report eu"
    assert report.__name__ == "report"
    (job,) = ms.jobs
    assert job["schedule"] == {"cron": "0 9 * * MON-FRI", "jitter_ms": 10_000}
    assert (job["timezone"], job["timeout_ms"], job["retry"]["max_retries"]) == ("Europe/Istanbul", 300_000, 3)
    handler = ms.registry.resolve_handler("report")
    assert (handler.retry.max_retries, handler.timeout, handler.description) == (
        3, timedelta(minutes=5), "Write the report.",
    )  # fmt: skip


def test_every_kind_of_job_has_its_decorator(ms):
    @ms.every("5m", name="a")
    @ms.every({"months": 1}, anchor_at="2026-01-31T09:00", name="b")
    @ms.rrule("FREQ=WEEKLY;BYDAY=MO", dtstart=datetime(2026, 3, 2, 9), name="c")
    @ms.at(datetime(2030, 1, 1, tzinfo=UTC), name="d")
    @ms.on("order.*", name="e")
    def work() -> None: ...

    kinds = {job["name"]: (job["type"], job["schedule"]) for job in ms.jobs}
    assert kinds["a"] == ("recurring", {"every_ms": 300_000})
    assert kinds["b"] == ("recurring", {"every": {"months": 1}, "anchor_at": "2026-01-31T09:00"})
    assert kinds["c"] == ("recurring", {"rrule": "FREQ=WEEKLY;BYDAY=MO", "dtstart": "2026-03-02T09:00:00"})
    assert kinds["d"] == ("one_time", {"run_at": "2030-01-01T00:00:00+00:00"})
    assert kinds["e"] == ("event", {"events": ["order.*"]})
    assert len({job["handler"] for job in ms.jobs}) == 1


def test_handlers_of_every_type_are_registered(ms):
    ms.handler("kb:mine")(lambda: None)
    ms.agent("triage")(lambda: None)
    ms.workflow("onboard")(lambda: None)
    types = {h.name: h.type for h in ms.registry.list_handlers()}
    assert types["kb:mine"] == "function"
    assert (types["triage"], types["onboard"]) == ("agent", "workflow")


def test_two_jobs_of_one_name_and_two_handlers_of_one_name_are_refused(ms):
    @ms.every("1s", name="a")
    def one() -> None: ...

    with pytest.raises(ConflictError, match="two jobs"):

        @ms.every("2s", name="a")
        def two() -> None: ...

    ms.handler("h")(one)
    with pytest.raises(ConflictError, match="registered already"):
        ms.handler("h")(two_other)


def two_other() -> None: ...


@pytest.mark.parametrize(
    "declare",
    [
        lambda ms: ms.every("soon"),
        lambda ms: ms.every(-5),
        lambda ms: ms.every("1s", overlapp="skip"),
        lambda ms: ms.every("1s", retry=-1),
        lambda ms: ms.handler("bad name!")(lambda: None),
        lambda ms: ms.handler(isolation="fork")(lambda: None),
        lambda ms: ms.handler("h", isolation="async")(lambda: None),
        lambda ms: ms.handler("h")(lambda *args: None).request(),
    ],
)
def test_what_cannot_work_is_refused_where_it_is_declared(ms, declare):
    with pytest.raises(ValidationError):
        declare(ms)


def test_making_one_touches_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ms = Mainspring("sqlite:///here.db")
    ms.every("1s")(two_other)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(SettingsError, match="mysql"):
        _ = Mainspring("mysql://nowhere").store


# -- arguments ---------------------------------------------------------------------------------------------------------


def test_arguments_are_checked_at_enqueue_with_the_path(ms):
    @ms.handler()
    def add(a: int, when: datetime | None = None, tags: list[str] | None = None) -> int:
        return a

    assert add.request(1).payload == {"a": 1}
    assert add.request(1.0).payload == {"a": 1}, "JSON knows one kind of number"
    assert add.request(1, when=datetime(2026, 1, 1, tzinfo=UTC)).payload["when"] == "2026-01-01T00:00:00Z"
    calls: list[tuple[tuple[Any, ...], dict[str, Any], str]] = [
        (("x",), {}, "add.a"),
        (("5",), {}, "add.a"),
        ((True,), {}, "add.a"),
        ((), {}, "add()"),
        ((1,), {"whn": 1}, "add()"),
        ((1,), {"tags": ["a", 2]}, "add.tags.1"),
    ]
    for args, kwargs, path in calls:
        with pytest.raises(ValidationError) as refused:
            add.request(*args, **kwargs)
        assert refused.value.field == path


def test_arguments_larger_than_a_payload_may_be_are_refused_at_enqueue(ms):
    @ms.handler()
    def note(text: str, number: float = 0.0) -> None: ...

    assert note.request("x" * 262_000)
    with pytest.raises(LimitExceededError, match=r"payload in bytes: 300\d+ is over the limit of 262144"):
        note.request("x" * 300_000)
    for unsayable in ({"text": "\ud800"}, {"text": "a", "number": float("nan")}):
        with pytest.raises(ValidationError, match="not plain JSON data"):
            note.request(**unsayable)


def test_what_json_cannot_say_may_be_told_in_other_words(ms):
    @ms.handler()
    def book(day: date | int, spans: tuple[int, ...] = ()) -> None: ...

    assert book.request("2026-01-01", spans=[1, 2]).payload == {"day": "2026-01-01", "spans": [1, 2]}
    assert book.handler.signature.arguments({"day": "2026-01-01"}) == {"day": date(2026, 1, 1)}


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"priority": 10}, "priority"),
        ({"queue": "no such name"}, "queue"),
        ({"concurrency_limit": 2}, "concurrency_limit"),
        ({"concurrency_key": "k", "concurrency_limit": 0}, "concurrency_limit"),
        ({"run_at": datetime(2026, 1, 1)}, "run_at"),
    ],
)
def test_an_enqueue_that_no_worker_could_serve_is_refused(ms, options, field):
    @ms.handler()
    def job() -> None: ...

    with pytest.raises(ValidationError) as refused:
        job.options(**options).request()
    assert refused.value.field == field


def test_a_handler_whose_defaults_no_job_could_have_is_refused(ms):
    for options, field in (({"priority": 11}, "priority"), ({"queue": "a b"}, "queue"), ({"timeout": 0}, "timeout_ms")):
        with pytest.raises(ValidationError) as refused:
            ms.handler("bad", **options)(lambda: None)
        assert refused.value.field == field
    assert not ms.registry.has_handler("bad")


def test_injected_parameters_are_no_arguments(ms):
    @ms.handler()
    def job(ctx: Context, n: int) -> None: ...

    assert job.request(n=1).payload == {"n": 1}
    assert "ctx" not in job.handler.signature.schema["properties"]


def test_options_are_the_handlers_until_said_otherwise(ms):
    @ms.handler(priority=2, queue="slow", retry=RetryPolicy(max_retries=7))
    def job() -> None: ...

    request = job.request()
    assert (request.priority, request.queue, request.retry.max_retries) == (2, "slow", 7)
    other = job.options(priority=0, idempotency_key="k").options(queue="fast").request()
    assert (other.priority, other.queue, other.idempotency_key) == (0, "fast", "k")


async def test_sync_calls_inside_a_loop_name_the_async_ones(ms):
    job = ms.handler("h")(two_other)
    with pytest.raises(BlockingCallError, match="aenqueue"):
        job.enqueue()
    with pytest.raises(BlockingCallError, match="apublish"):
        ms.publish("a.b")
    with pytest.raises(BlockingCallError, match="serve"):
        ms.run()


# -- running -----------------------------------------------------------------------------------------------------------


async def test_an_enqueued_run_gives_its_result(ms):
    @ms.handler()
    async def double(n: int) -> int:
        return 2 * n

    run = await double.aenqueue(21)
    async with running(ms):
        assert await run == 42
        again = await double.aenqueue(n=1)
        assert await again.aresult(timeout=10) == 2
        assert again.execution.status is Status.SUCCESS


async def test_a_run_that_failed_says_how(ms):
    @ms.handler(retry=0)
    def fails(ctx: Context) -> None:
        ctx.log.info("about to fail", step=1)
        raise ValueError("no such row")

    async with running(ms):
        run = await fails.aenqueue()
        with pytest.raises(ExecutionFailedError, match="ValueError: no such row"):
            await run
        (line,) = await run.alogs()
        assert (line.message, line.fields, line.line) == ("about to fail", {"step": 1}, 1)


async def test_a_run_can_be_cancelled_while_it_runs(ms):
    started = asyncio.Event()

    @ms.handler()
    async def waits() -> None:
        started.set()
        await asyncio.Event().wait()

    async with running(ms):
        run = await waits.aenqueue()
        await started.wait()
        await run.acancel("enough")
        with pytest.raises(ExecutionFailedError, match="cancelled"):
            await run.aresult(timeout=20)


async def test_draining_finishes_what_runs_and_releases_what_does_not_end(ms):
    entered, held = asyncio.Event(), asyncio.Event()

    @ms.handler()
    async def quick() -> int:
        entered.set()
        await held.wait()
        return 1

    @ms.handler()
    async def endless() -> None:
        await asyncio.Event().wait()

    object.__setattr__(ms.settings, "drain_grace_ms", 200)
    one, other = await quick.aenqueue(), await endless.aenqueue()
    store = await ms.open()
    async with running(ms):
        await entered.wait()
        held.set()
    await store.open()
    after = {e.id: e for e in [await store.read(lambda tx, i=r.id: tx.executions.get(i)) for r in (one, other)]}
    assert after[one.id].status is Status.SUCCESS
    assert (after[other.id].status, after[other.id].attempt) == (Status.QUEUED, 0)


async def test_published_events_run_jobs_and_schedules_register_once(ms):
    seen = []

    @ms.on("order.*")
    async def on_order(ctx: Context) -> None:
        seen.append(ctx.cause)

    async with ms.running():
        first = await ms.apublish("order.paid", {"n": 1}, id="7")
        again = await ms.apublish("order.paid", {"n": 1}, id="7")
        assert (len(first.executions), again.duplicate) == (1, True)
        scheduler = ms.scheduler()
        (view,) = await scheduler.list_jobs()
        assert (view.job.status, view.job.revision) == (JobStatus.ACTIVE, 1)


async def test_calendars_and_limits_are_set_by_the_service(ms):
    from datetime import date

    from mainspring.model.node import Limit

    await ms.open()
    scheduler = ms.scheduler()
    await scheduler.put_calendar("closed", {date(2026, 12, 25): "Christmas"})
    await scheduler.put_limit(Limit("", "queue", "reports", max_running=1))
    schedule = {"cron": "0 9 25 12 *", "calendars": {"exclude": ["closed"]}}
    fields = {"name": "job", "type": "cron", "handler": "h", "schedule": schedule, "queue": "reports"}
    assert (await scheduler.create_job(fields)).created
    with pytest.raises(ValidationError, match="scope"):
        await scheduler.put_limit(Limit("", "everything"))
    with pytest.raises(ValidationError, match="calendar"):
        await scheduler.put_calendar("no name!", {})


async def test_a_lifespan_runs_the_engine_and_wraps_another(ms):
    order = []

    @contextlib.asynccontextmanager
    async def mine(app):
        order.append(f"mine {app}")
        yield {"state": 1}
        order.append("mine ends")

    @ms.handler()
    async def job() -> int:
        return 1

    async with ms.lifespan(mine)("the app") as state:
        assert state == {"state": 1}
        assert await (await job.aenqueue()) == 1
    assert order == ["mine the app", "mine ends"]

    class App: ...

    async with ms.lifespan(App()) as state:
        assert state is None


def test_sync_code_enqueues_and_publishes(ms):
    job = ms.handler("h")(two_other)
    run = job.enqueue()
    assert run.refresh().status is Status.QUEUED
    with pytest.raises(TimeoutError):
        run.result(timeout=0)
    assert run.cancel("never mind").status is Status.CANCELLED
    assert run.logs() == []
    assert ms.publish("a.b", id="1").executions == ()


@pytest.mark.parametrize(
    ("declare", "field"),
    [
        (lambda ms: ms.cron("61 * * * *"), "cron.minute"),
        (lambda ms: ms.cron(), "cron"),
        (lambda ms: ms.cron("* * * * *", tz="Mars/Phobos"), "timezone"),
        (lambda ms: ms.every("1ms"), "every_ms"),
        (lambda ms: ms.every({"months": 0}), "every.months"),
        (lambda ms: ms.at("tomorrow"), "run_at"),
        (lambda ms: ms.rrule("FREQ=NEVER", dtstart="2026-01-01T00:00"), "rrule.FREQ"),
        (lambda ms: ms.on(), "events"),
        (lambda ms: ms.every("5m", overlap="never"), "overlap"),
        (lambda ms: ms.every("5m", labels={"team": 5}), "labels"),
    ],
)
def test_a_job_that_can_never_be_stored_is_refused_where_it_is_declared(ms, declare, field):
    def job() -> None: ...

    with pytest.raises(ValidationError) as refused:
        declare(ms)(job)
    assert refused.value.field.startswith(field)
    assert ms.jobs == []


async def test_what_only_the_database_knows_is_refused_at_the_start_and_names_the_job(ms):
    @ms.cron("0 9 * * *", calendars={"exclude": ["tr-holidays"]})
    async def report() -> None: ...

    with pytest.raises(ValidationError, match=r"job report: calendars.*tr-holidays"):
        async with ms.running():
            pass


async def test_a_one_time_job_of_the_past_does_not_keep_a_fresh_database_from_starting(ms, caplog):
    @ms.at("2020-01-01T00:00:00Z")
    async def long_gone() -> None: ...

    @ms.every("5m")
    async def tidy() -> None: ...

    async with ms.running():
        found = await ms.store.read(lambda tx: [job.name for job in tx.jobs.find("default")])
    assert found == ["tidy"]
    assert "job long_gone is left out" in caplog.text


async def test_a_job_is_executed_here_and_now_where_a_worker_runs(ms):
    @ms.cron("0 9 * * *")
    async def report(region: str = "tr") -> str:
        return f"report of {region}"

    with pytest.raises(ConflictError, match="no worker runs in this process"):
        ms.executor()
    async with ms.running():
        done = await ms.executor().execute_job("report", payload={"region": "eu"})
        assert (done.status, done.result) == ("success", "report of eu")
        assert await ms.executor().add_execution_log(done.execution_id, "info", "read by ada") == 1
        (line,) = await ms.executor().get_execution_logs(done.execution_id)
        assert line.external
    with pytest.raises(ConflictError):
        ms.executor()
