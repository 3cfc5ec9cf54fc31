"""The built-in handlers with their default adapters, on real files, and run by the engine."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import random
import signal
import sqlite3
import threading
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mainspring import Mainspring
from mainspring.adapters.checks import TcpCheck
from mainspring.adapters.knowledge_sqlite import DirectoryBase
from mainspring.adapters.machine import PsutilProbe
from mainspring.adapters.memory.store import MemoryStore
from mainspring.adapters.metrics_sqlite import SqliteMetricsSink
from mainspring.adapters.system import SystemClock
from mainspring.adapters.traces_sqlite import Span, SqliteTraceStore
from mainspring.app.wiring import SystemParts
from mainspring.errors import StoreUnavailableError
from mainspring.handlers import Builtins, Channels, Checks, Knowledge, webhook_channel
from mainspring.handlers.kb import Reindexed, kb_reindex
from mainspring.handlers.traces import cleanup_old_traces
from mainspring.model.execution import Execution, Status
from mainspring.model.outcome import Fail
from mainspring.moves.enqueue import EnqueueRequest, enqueue
from mainspring.ports.health import CheckResult
from mainspring.ports.knowledge import Build, IndexedDocument, Stamp, Unreadable
from mainspring.ports.metrics import Sample
from mainspring.ports.store import ExecutionQuery
from mainspring.ports.traces import TraceAge, TraceScope
from mainspring.testing.clock import START, ManualClock
from tests.integration.local_servers import HttpServer, serving, status
from tests.unit.handlers.attempts import Attempt
from tests.waiting import PATIENCE

# -- kb:reindex ------------------------------------------------------------------------------------------------------


@pytest.fixture
def base(tmp_path: Path) -> DirectoryBase:
    directory = tmp_path / "docs"
    for n in range(20):
        file = directory / f"d{n % 3}" / f"doc{n}.md"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"# Document {n}\n\nmarker{n} about spring clocks\n")
    return DirectoryBase(directory, tmp_path / "index" / "docs.db")


async def reindex(base: DirectoryBase, attempt: Attempt | None = None, **payload: Any) -> Reindexed:
    return await kb_reindex(Knowledge(bases={"docs": base}))((attempt or Attempt()).ctx, base="docs", **payload)


async def found(base: DirectoryBase, query: str) -> list[str]:
    return [hit.document for hit in await base.store.search(query, limit=100)]


@pytest.mark.parametrize("full", [False, True])
async def test_an_index_follows_its_directory(base: DirectoryBase, full: bool) -> None:
    first = await reindex(base, full=full)
    assert (first.documents, first.passages, first.added) == (20, 20, 20)
    assert await found(base, "marker7") == ["d1/doc7.md"]
    root = Path(base.directory)
    (root / "d1/doc7.md").write_text("something else entirely")
    (root / "d2/doc8.md").unlink()
    (root / "new.txt").write_text("a newcomer")
    again = await reindex(base, full=full)
    assert (again.added, again.changed, again.removed, again.unchanged, again.documents) == (1, 1, 1, 18, 20)
    assert again.generation == (3 if full else 1)
    assert [await found(base, q) for q in ("marker7", "marker8", "entirely", "newcomer")] == [
        [],
        [],
        ["d1/doc7.md"],
        ["new.txt"],
    ]
    assert len(await found(base, "clock")) == 18  # stemmed: clocks


async def test_nothing_changed_reads_nothing_and_a_touch_indexes_nothing(base: DirectoryBase) -> None:
    await reindex(base)
    for file in Path(base.directory).rglob("*.md"):
        os.utime(file, (1, 1))
    touched = await reindex(base)
    assert (touched.unchanged, touched.changed) == (20, 0)
    again = Attempt()
    await reindex(base, again)
    assert all(progress["total"] is None for progress in again.said.progresses)


async def test_the_full_text_table_stays_sound(base: DirectoryBase) -> None:
    for n in range(3):
        await reindex(base, full=n == 1)
        (Path(base.directory) / f"d0/doc{n * 3}.md").write_text(f"changed {n}\n\n" * 500)
        await reindex(base)
    db = sqlite3.connect(base.index)
    for slot in "ab":
        if db.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (f"passage_{slot}",)).fetchone():
            db.execute(f"INSERT INTO passage_{slot}(passage_{slot}) VALUES ('integrity-check')")
            assert db.execute(
                f"SELECT count(*) FROM passage_{slot} WHERE rowid >> 16 NOT IN (SELECT number FROM document_{slot})"
            ).fetchone() == (0,)
    db.close()


async def test_what_lies_outside_is_never_indexed(base: DirectoryBase, tmp_path: Path) -> None:
    root, outside = Path(base.directory), tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.md").write_text("hunter2")
    (root / "link.md").symlink_to(outside / "secret.md")
    (root / "linked").symlink_to(outside)
    (root / ".hidden").mkdir()
    (root / ".hidden" / "x.md").write_text("hunter2")
    (root / "data.bin").write_text("hunter2")
    os.mkfifo(root / "pipe.md")
    result = await reindex(base)
    assert (result.documents, result.unreadable) == (20, 0)
    assert await found(base, "hunter2") == []


async def test_a_file_that_becomes_a_link_or_a_pipe_after_it_was_listed_is_not_opened(
    base: DirectoryBase, tmp_path: Path
) -> None:
    (tmp_path / "secret.md").write_text("hunter2")
    root, source = Path(base.directory), base.source
    listed = {d.id: d async for page in source.pages() for d in page if not isinstance(d, Unreadable)}
    names = ["d0/doc0.md", "d0/doc3.md", "d0/doc6.md"]
    for name in names:
        (root / name).unlink()
    (root / names[0]).symlink_to(tmp_path / "secret.md")
    os.mkfifo(root / names[1])
    read = await source.read([listed[name] for name in names])
    assert isinstance(read[0], Unreadable)
    assert read[1] == Unreadable(names[1], "it is not a plain file")
    assert read[2] is None


async def test_what_cannot_be_read_is_reported(base: DirectoryBase) -> None:
    root = Path(base.directory)
    (root / "big.md").write_bytes(b"x" * (base.max_bytes + 1))
    (root / "binary.md").write_bytes(b"\x00\x01")
    (root / "\udcff.md").write_text("a name of one wrong byte")
    result = await reindex(base)
    assert result.documents == 20
    assert result.unreadable_examples == {
        "\\udcff.md": "its name is not UTF-8",
        "big.md": f"it has {base.max_bytes + 1} bytes, over the limit of {base.max_bytes}",
        "binary.md": "it is not text: it holds null characters",
    }


async def test_a_directory_that_is_gone_is_an_error_and_an_emptied_one_a_question(base: DirectoryBase) -> None:
    await reindex(base)
    root = Path(base.directory)
    moved = root.rename(root.with_name("unmounted"))
    with pytest.raises(FileNotFoundError):
        await reindex(base)
    root.mkdir()
    with pytest.raises(Fail, match="20 of 20"):
        await reindex(base)
    root.rmdir()
    moved.rename(root)
    assert (await reindex(base)).unchanged == 20


@pytest.mark.parametrize(
    "query",
    ['"', "a AND", "NEAR(", "*", "text:x", "'; DROP TABLE generation; --", "-x", "x" * 100_000, "\x00", "ğ 漢字"],
)
async def test_no_query_is_syntax(base: DirectoryBase, query: str) -> None:
    await reindex(base)
    await base.store.search(query)
    assert await base.store.search("") == []
    assert len(await found(base, "document")) == 20


def crash_while_indexing(directory: str, index: str, full: bool) -> None:
    """Index the first ten documents, then die as a process does that is killed."""

    async def run() -> None:
        store = DirectoryBase(directory, index).store
        build = await store.begin(full=full)
        stamp = Stamp(1, "1", b"1", "p")
        await store.put(build, [IndexedDocument(f"crash{n}.md", stamp, ("crashed",)) for n in range(10)])
        os.kill(os.getpid(), signal.SIGKILL)

    asyncio.run(run())


@pytest.mark.parametrize("full", [False, True])
async def test_a_killed_build_leaves_a_whole_index_and_the_next_one_finishes(base: DirectoryBase, full: bool) -> None:
    await reindex(base)
    process = multiprocessing.get_context("spawn").Process(
        target=crash_while_indexing, args=(str(base.directory), str(base.index), full)
    )
    process.start()
    await asyncio.to_thread(process.join)
    assert process.exitcode == -signal.SIGKILL
    assert len(await found(base, "crashed")) == (0 if full else 10)
    # The crash put documents there that the directory does not have: a third of the index, so a person is asked.
    after = await reindex(base, full=full, allow_vanished=True)
    assert (after.documents, await found(base, "crashed")) == (20, [])


async def test_searches_see_the_old_index_until_a_full_build_is_committed(base: DirectoryBase) -> None:
    await reindex(base)
    store = base.store
    build = await store.begin(full=True)
    await store.put(build, [IndexedDocument("x.md", Stamp(1, "1", b"1", "p"), ("brandnew",))])
    assert await found(base, "brandnew") == []
    before = [hit.score for hit in await store.search("marker3")]
    assert (await store.commit(build)).generation == 2
    assert await found(base, "brandnew") == ["x.md"]
    assert await found(base, "marker3") == []
    assert before


async def test_an_overtaken_build_can_no_longer_write(base: DirectoryBase) -> None:
    await reindex(base)
    store = base.store
    old = await store.begin(full=False)
    await reindex(base, full=True)
    for build in (old, Build(0, True), Build(4, True)):
        with pytest.raises(StoreUnavailableError, match="start again"):
            await store.put(build, [IndexedDocument("x.md", Stamp(1, "1", b"1", "p"), ("late",))])
    assert await found(base, "late") == []


async def test_two_builds_at_once_harm_nobody(base: DirectoryBase) -> None:
    results = await asyncio.gather(reindex(base), reindex(base), return_exceptions=True)
    assert any(isinstance(result, Reindexed) for result in results)
    assert (await reindex(base)).documents == 20
    assert len(await found(base, "document")) == 20


# -- cleanup:old_traces ----------------------------------------------------------------------------------------------

ACME, GLOBEX = TraceScope("acme"), TraceScope("globex")


def spans(trace: str, *, days: float, count: int = 3, failed: bool = False) -> list[Span]:
    ended = START - timedelta(days=days)
    return [
        Span(trace, f"s{n}", "step", ended - timedelta(seconds=1), ended, failed=failed and n == 0)
        for n in range(count)
    ]


@pytest.fixture
async def traces(tmp_path: Path) -> SqliteTraceStore:
    store = SqliteTraceStore(tmp_path / "spans.db")
    old = [span for n in range(60) for span in spans(f"t{n:02}", days=n, failed=n % 10 == 5)]
    for scope in (ACME, GLOBEX):  # the same ids on both platforms
        await store.put(scope, old)
    return store


async def cleanup(store: SqliteTraceStore, attempt: Attempt | None = None, **payload: Any) -> Any:
    return await cleanup_old_traces(store, ManualClock())((attempt or Attempt()).ctx, **payload)


async def test_old_traces_go_with_their_spans_and_nothing_else_does(traces: SqliteTraceStore) -> None:
    await traces.hold(ACME, "t40")
    dry = await cleanup(traces, older_than="30d", keep_failed="50d", dry_run=True)
    done = await cleanup(traces, older_than="30d", keep_failed="50d")
    # 31..59 are old; 35 and 45 failed and are kept, 55 failed and is too old even so; 40 is on hold.
    kept = [*(f"t{n:02}" for n in range(31)), "t35", "t40", "t45"]
    assert await traces.traces(ACME) == kept
    assert dry.traces == done.traces == 60 - len(kept)
    assert done.spans == 3 * done.traces
    assert await traces.spans(ACME) == 3 * len(kept)
    assert (len(await traces.traces(GLOBEX)), await traces.spans(GLOBEX)) == (60, 180)
    again = await cleanup(traces, older_than="30d", keep_failed="50d")
    assert (again.traces, again.complete) == (0, True)
    assert await traces.hold(ACME, "t40", held=False)
    assert not await traces.hold(ACME, "t99")
    assert (await cleanup(traces, older_than="30d", keep_failed="50d")).traces == 1


async def test_a_step_is_bounded_also_for_a_giant_trace(traces: SqliteTraceStore) -> None:
    await traces.put(ACME, spans("giant", days=100, count=2500))
    age = TraceAge(START - timedelta(days=90), START - timedelta(days=90))
    steps = []
    while True:
        step = await traces.delete_older(ACME, age, limit=1000)
        steps.append((step.traces, step.spans, step.more))
        if not step.more:
            break
    assert steps == [(0, 1000, True), (0, 1000, True), (1, 500, False)]


async def test_a_trace_is_as_old_as_its_newest_span(traces: SqliteTraceStore) -> None:
    await traces.put(ACME, spans("t59", days=1))
    await cleanup(traces, older_than="30d", keep_failed="30d")
    assert "t59" in await traces.traces(ACME)


async def test_cleaning_while_spans_arrive_loses_none(traces: SqliteTraceStore) -> None:
    async def arrive() -> None:
        for n in range(30):
            await traces.put(ACME, spans(f"new{n}", days=0))

    await asyncio.gather(arrive(), cleanup(traces, older_than="1d", keep_failed="1d"))
    assert len([trace for trace in await traces.traces(ACME) if trace.startswith("new")]) == 30


# -- metrics:collect -------------------------------------------------------------------------------------------------


async def test_samples_are_replaced_by_a_retry_and_bounded(tmp_path: Path) -> None:
    sink = SqliteMetricsSink(tmp_path / "metrics.db", max_rows=10)
    for n in range(30):
        for value in (0.0, float(n)):
            await sink.write("acme", [Sample("a", value), Sample("b", 1)], at=START + timedelta(minutes=n), key=f"e{n}")
    await sink.write("globex", [Sample("a", 7)], at=START, key="e1")
    values = [value for _, value in await sink.read("acme", "a")]
    assert values == [29.0, 28.0, 27.0, 26.0, 25.0]
    assert await sink.read("globex", "a") == [(START, 7.0)]


async def test_the_machine_can_be_measured() -> None:
    measured = await PsutilProbe("/").sample()
    assert measured["machine.memory_bytes"] > measured["process.memory_bytes"] > 0
    assert 0 <= measured["machine.disk_percent"] <= 100
    assert measured["process.threads"] >= 1


# -- health:check ----------------------------------------------------------------------------------------------------


async def test_a_port_is_open_or_not() -> None:
    async with serving(HttpServer().talk) as port:
        assert (await TcpCheck("x", "127.0.0.1", port).check()).status == "pass"
    with pytest.raises(ConnectionRefusedError):
        await TcpCheck("x", "127.0.0.1", port).check()


# -- all of them, by the engine --------------------------------------------------------------------------------------


class App:
    """A Mainspring, in memory or on a SQLite file, whose dispatcher and worker run."""

    server: HttpServer

    def __init__(self, builtins: Builtins, *, file: Path | None = None) -> None:
        parts = SystemParts()
        if file is None:
            parts.store = MemoryStore(SystemClock(), random=random.Random(1), wakeups=parts.wakeups)
        self.ms = Mainspring(file, parts=parts, builtins=builtins)
        self.platform = self.ms.platform_id

    async def run(self, handler: str, **payload: Any) -> Any:
        """Enqueue a handler and return its execution once it has ended or waits for a retry."""
        defaults = self.ms.registry.resolve_handler(handler)
        request = EnqueueRequest(
            handler, payload, platform_id=self.platform, retry=defaults.retry, timeout=defaults.timeout
        )
        execution = (await self.ms.store.write(lambda tx: enqueue(tx, [request])))[0]
        async with asyncio.timeout(PATIENCE):
            while True:
                now = await self.ms.store.read(lambda tx: tx.executions.get(execution.id))
                assert now is not None
                if now.status.terminal or now.status is Status.RETRYING:
                    return now
                await asyncio.sleep(0.01)


@pytest.fixture(params=["memory", "sqlite"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    """Where the scheduler keeps its record."""
    return tmp_path / "jobs.db" if request.param == "sqlite" else None


@pytest.fixture
async def app(base: DirectoryBase, traces: SqliteTraceStore, tmp_path: Path, file: Path | None) -> AsyncIterator[App]:
    server = HttpServer()
    down = HttpServer(status(503, retry_after="3600"))
    async with serving(server.talk) as port, serving(down.talk) as down_port:
        channels = Channels(
            {
                "ops": webhook_channel(f"http://127.0.0.1:{port}/", allow=[f"127.0.0.1/32:{port}"]),
                "down": webhook_channel(f"http://127.0.0.1:{down_port}/", allow=[f"127.0.0.1/32:{down_port}"]),
            }
        )
        app = App(
            Builtins(
                knowledge=Knowledge(bases={"docs": base}),
                traces=traces,
                channels=channels,
                checks=Checks([TcpCheck("web", "127.0.0.1", port)]),
                metrics=SqliteMetricsSink(tmp_path / "metrics.db"),
            ),
            file=file,
        )
        app.server = server
        async with app.ms.running():
            yield app


async def test_the_engine_runs_all_five(app: App) -> None:
    reindexed = await app.run("kb:reindex", base="docs")
    assert (reindexed.status, reindexed.result["documents"]) == (Status.SUCCESS, 20)
    cleaned = await app.run("cleanup:old_traces", older_than="1h", dry_run=True)
    assert (cleaned.status, cleaned.result["traces"]) == (Status.SUCCESS, 0)  # another platform's
    sent = await app.run("notify:send", channel="ops", text="$handler")
    assert (sent.status, sent.result["status"], sent.result["key"]) == (Status.SUCCESS, "delivered", sent.id)
    checked = await app.run("health:check")
    assert {name: check["status"] for name, check in checked.result["checks"].items()} == {
        "database": "pass",
        "web": "pass",
    }
    collected = await app.run("metrics:collect")
    assert collected.result["samples"]["scheduler.workers"] == 1.0
    assert collected.result["stored"] == len(collected.result["samples"])


async def test_the_engine_waits_as_long_as_a_receiver_asks(app: App) -> None:
    waiting = await app.run("notify:send", channel="down")
    assert waiting.status is Status.RETRYING
    left = waiting.available_at - SystemClock().now()
    assert timedelta(minutes=59) < left <= timedelta(hours=1)


async def test_what_is_not_configured_fails_once_and_says_how_to_mend_it(app: App) -> None:
    failed = await app.run("kb:reindex", base="nope")
    assert (failed.status, failed.attempt) == (Status.FAILED, 1)
    assert failed.error["message"].startswith("no knowledge base named 'nope' is configured (configured: docs).")


async def test_an_alarm_at_the_end_of_a_chain_speaks_of_what_failed(app: App) -> None:
    @app.ms.handler("breaks")
    def breaks() -> None:
        raise KeyError("region")

    async def until_ended(job_id: str) -> Execution:
        query = ExecutionQuery(job_id=job_id)
        ended = app.ms.wakeups.listen("ended")
        async with asyncio.timeout(PATIENCE):
            while True:
                found = await app.ms.store.read(lambda tx: tx.executions.find(query))
                if found and found[0].status.terminal:
                    ended.close()
                    return found[0]
                await ended.wait(0.1)

    jobs = app.ms.scheduler()
    values = {"channel": "ops", "title": "$job failed", "text": "$error"}
    alarm = await jobs.create_job({"name": "alarm", "type": "manual", "handler": "notify:send", "payload": values})
    nightly = {"name": "nightly", "type": "manual", "handler": "breaks", "on_failure": ["alarm"]}
    await jobs.create_job(nightly | {"retry": {"max_retries": 0}})
    await jobs.trigger_job("nightly")
    assert (await until_ended(alarm.job.id)).status is Status.SUCCESS
    body = json.loads(app.server.asked[0].body)
    assert (body["data"]["title"], body["data"]["text"]) == ("nightly failed", "KeyError: 'region'")


async def test_a_change_of_health_runs_the_jobs_that_listen_for_it(file: Path | None) -> None:
    told, answer = threading.Event(), CheckResult("fail", output="down")

    class Down:
        name, critical, timeout = "api", True, 1.0

        async def check(self) -> CheckResult:
            return answer

    app = App(Builtins(checks=Checks([Down()])), file=file)

    @app.ms.on("health.changed")
    def alarm() -> None:
        told.set()

    async with app.ms.running():
        for n in range(3):
            assert not told.is_set(), n
            checked = await app.run("health:check")
            assert (checked.status, checked.result["status"]) == (Status.SUCCESS, "fail")
        assert await asyncio.to_thread(told.wait, PATIENCE)
