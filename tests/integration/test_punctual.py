"""Work that is done ahead of its instant and committed at it, on both databases; and planning, which is done so."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest

from mainspring.adapters.memory.bus import InProcessBus
from mainspring.adapters.memory.wakeups import InProcessWakeups
from mainspring.adapters.sql import engine_lock, line, postgres_threads, sqlite_threads, telegraph
from mainspring.adapters.sql.line import Line
from mainspring.adapters.sql.postgres import PostgresSettings, PostgresStore
from mainspring.adapters.sql.store import SqlStore
from mainspring.adapters.system import SystemClock, system_random
from mainspring.engine.dispatcher import JobDispatcherWorker
from mainspring.errors import NothingToComeError
from mainspring.model.wire import definition_from_wire
from mainspring.moves.jobs import create_job
from mainspring.ports.store import Punctual, TooEarlyError, Tx
from mainspring.testing.clock import ManualClock
from tests.integration.postgres_rig import url
from tests.waiting import auntil

__all__ = ["url"]

MILLISECOND = timedelta(milliseconds=1)

Punctually = SqlStore | PostgresStore


def on_sqlite(path: Path, clock: Any = None, wakeups: InProcessWakeups | None = None) -> SqlStore:
    return SqlStore(path / "jobs.db", clock=clock or SystemClock(), random=Random(1), wakeups=wakeups)


@pytest.fixture
def wakeups() -> InProcessWakeups:
    return InProcessWakeups()


@pytest.fixture(params=["sqlite", "postgres"])
def unopened(request: pytest.FixtureRequest, tmp_path: Path, wakeups: InProcessWakeups) -> Iterator[Punctually]:
    if request.param == "sqlite":
        yield on_sqlite(tmp_path, wakeups=wakeups)
    else:
        yield PostgresStore(request.getfixturevalue("url"), random=Random(1), wakeups=wakeups)


@pytest.fixture
async def store(unopened: Punctually) -> AsyncIterator[Punctually]:
    await unopened.open()
    yield unopened
    await unopened.close()


@pytest.fixture
async def manual(tmp_path: Path) -> AsyncIterator[tuple[SqlStore, ManualClock]]:
    clock = ManualClock(SystemClock().now())
    store = on_sqlite(tmp_path, clock)
    await store.open()
    yield store, clock
    await store.close()


def keeps(value: str = "x", then: Callable[[], object] = lambda: None) -> Callable[[Tx], datetime]:
    def work(tx: Tx) -> datetime:
        tx.platforms.put_note("kept", value)
        then()
        return tx.now

    return work


async def kept(store: Punctually) -> str | None:
    return await store.read(lambda tx: tx.platforms.note("kept"))


async def clock_of(store: Punctually) -> datetime:
    return await store.read(lambda tx: tx.now)


async def test_it_is_committed_at_its_instant_which_is_its_now(store: Punctually) -> None:
    assert isinstance(store, Punctual)
    met = 0
    while met < 3:  # a machine that is too busy begins after the instant
        instant = await clock_of(store) + store.lead
        now = await store.write_at(instant, keeps(str(instant)))
        assert await kept(store) == str(instant)
        assert await clock_of(store) >= instant
        assert now is not None
        assert now >= instant
        met += now == instant


async def test_an_instant_that_has_passed_is_not_waited_for(store: Punctually) -> None:
    before = await clock_of(store)
    now = await store.write_at(before - timedelta(hours=1), keeps())
    assert now is not None
    assert now >= before
    assert await kept(store) == "x"


async def test_nothing_is_done_ahead_of_an_instant_that_is_far_off(store: Punctually) -> None:
    instant = await clock_of(store) + timedelta(hours=1)
    assert await store.write_at(instant, keeps()) is None
    assert await kept(store) is None


async def test_work_may_find_that_it_is_too_early(store: Punctually) -> None:
    def refuse() -> None:
        raise TooEarlyError("not yet")

    assert await store.write_at(await clock_of(store), keeps(then=refuse)) is None
    assert await kept(store) is None


async def test_what_it_raises_otherwise_undoes_it_and_is_raised(store: Punctually) -> None:
    def refuse() -> None:
        raise LookupError("not today")

    with pytest.raises(LookupError, match="not today"):
        _ = await store.write_at(await clock_of(store), keeps(then=refuse))
    assert await kept(store) is None


async def test_what_asks_nothing_waits_for_its_instant_as_well(store: Punctually) -> None:
    instant = await clock_of(store) + store.lead
    assert await store.write_at(instant, lambda tx: "nothing") == "nothing"
    assert await clock_of(store) >= instant


async def test_on_sqlite_it_makes_way_for_whoever_comes_to_write(manual: tuple[SqlStore, ManualClock]) -> None:
    store, clock = manual
    began, go_on = threading.Event(), threading.Event()

    def work(tx: Tx) -> str:
        tx.platforms.put_note("kept", "early")
        began.set()
        assert go_on.wait(60)
        return "early"

    # The clock stands still: nothing but the other writer ends the wait.
    early = asyncio.create_task(store.write_at(clock.now() + 8 * MILLISECOND, work))
    await asyncio.to_thread(began.wait, 60)
    other = asyncio.create_task(store.write(lambda tx: tx.platforms.note("kept")))
    await asyncio.sleep(0)  # it has submitted its work
    go_on.set()
    assert (await early, await other) == (None, None)


async def test_on_sqlite_others_write_before_it_is_begun(
    manual: tuple[SqlStore, ManualClock], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, clock = manual
    begun, instant, lull = list[datetime](), clock.now() + 1.5 * store.lead, Line.lull
    # Until it is begun whoever comes is waited for, and not the machine's time.
    monkeypatch.setattr(Line, "lull", lambda line, thread, seconds: lull(line, thread, seconds if begun else 60))

    def work(tx: Tx) -> str | None:
        begun.append(clock.now())
        clock.set(instant)
        return tx.platforms.note("kept")

    early = asyncio.create_task(store.write_at(instant, work))
    await asyncio.sleep(0)  # it has been handed over
    nearly = instant - 2 * MILLISECOND
    await store.write(keeps("first"))
    await store.write(keeps("second", then=lambda: clock.set(nearly)))
    assert await early == "second"
    assert begun == [nearly]


async def test_on_sqlite_it_makes_way_for_who_waits_already(manual: tuple[SqlStore, ManualClock]) -> None:
    store, clock = manual
    go_on = threading.Event()
    first = asyncio.create_task(store.write(lambda tx: go_on.wait(60)))
    await asyncio.sleep(0)
    calls = [store.write_at(clock.now() + MILLISECOND, keeps()), store.write(lambda tx: 1), store.write(lambda tx: 2)]
    waiting = [asyncio.create_task(call) for call in calls]
    await asyncio.sleep(0)
    go_on.set()
    assert await asyncio.gather(first, *waiting) == [True, None, 1, 2]
    assert await kept(store) is None


async def test_on_sqlite_a_clock_that_stops_keeps_the_writer_from_nobody(manual: tuple[SqlStore, ManualClock]) -> None:
    store, clock = manual
    assert await store.write_at(clock.now() + MILLISECOND, keeps()) is None
    assert await kept(store) is None


async def test_on_sqlite_what_is_woken_goes_along_at_the_instant(tmp_path: Path, wakeups: InProcessWakeups) -> None:
    store = on_sqlite(tmp_path, wakeups=wakeups)
    await store.open()
    waiting = store.accompany("queued", lambda tx: (tx.now, tx.platforms.note("kept")))
    instant = await clock_of(store) + store.lead

    def work(tx: Tx) -> bool:
        tx.platforms.put_note("kept", "x")
        tx.wake("queued")
        return True

    assert await store.write_at(instant, work)
    at, found = await waiting.result()
    assert at >= instant
    assert found == "x"
    await store.close()


async def test_on_sqlite_the_disk_and_the_loop_are_roused_before(
    tmp_path: Path, wakeups: InProcessWakeups, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    store = on_sqlite(tmp_path, wakeups=wakeups)
    await store.open()
    store.become_engine("dev")
    flush, woken, holder = engine_lock._flush, line._woken, store._engine_lock.holder()

    def flushes(descriptor: int) -> None:
        flush(descriptor)
        order.append("disk")

    def wakes() -> None:
        woken()
        order.append("loop")

    monkeypatch.setattr(engine_lock, "_flush", flushes)
    monkeypatch.setattr(line, "_woken", wakes)

    async def roused() -> bool:
        order.clear()
        instant = await clock_of(store) + store.lead
        assert await store.write_at(instant, keeps()) is not None
        order.append("done")
        return order == ["disk", "loop", "done"]

    await auntil("it is early enough", roused)
    assert store._engine_lock.holder() == holder
    await store.close()


async def test_on_sqlite_a_disk_that_cannot_be_roused_keeps_nothing_from_its_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused: list[int] = []

    def refuses(descriptor: int) -> None:
        refused.append(descriptor)
        raise OSError(5, "it cannot")

    monkeypatch.setattr(engine_lock, "_flush", refuses)
    store = on_sqlite(tmp_path)
    await store.open()
    store.become_engine("dev")

    async def tried() -> bool:
        assert await store.write_at(await clock_of(store) + store.lead, keeps()) is not None
        return bool(refused)

    await auntil("it is early enough", tried)
    assert await kept(store) == "x"
    await store.close()


async def test_on_sqlite_a_disk_too_slow_to_be_roused_in_time_is_left_alone(
    manual: tuple[SqlStore, ManualClock], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, clock = manual
    store.become_engine("dev")
    roused: list[datetime] = []

    def slowly(descriptor: int) -> None:
        roused.append(clock.now())
        clock.advance(timedelta(seconds=1))

    monkeypatch.setattr(engine_lock, "_flush", slowly)
    monkeypatch.setattr(sqlite_threads, "monotonic", lambda: clock.now().timestamp())

    async def written_ahead() -> None:
        instant = clock.now() + 3 * MILLISECOND
        await store.write_at(instant, keeps())

    await written_ahead()
    await written_ahead()
    assert len(roused) == 1
    clock.advance(timedelta(seconds=sqlite_threads.LET_SLEEP))
    await written_ahead()
    assert len(roused) == 2


async def test_on_sqlite_who_is_not_the_engine_rouses_no_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_lock, "_flush", lambda descriptor: pytest.fail("nothing is his to write"))
    store = on_sqlite(tmp_path)
    await store.open()
    store._engine_lock.rouse_disk()
    assert not store._engine_lock._path.exists()
    await store.close()


async def test_on_sqlite_no_disk_is_roused_that_no_commit_waits_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    roused: list[int] = []
    monkeypatch.setattr(engine_lock, "_flush", roused.append)
    clock = ManualClock(SystemClock().now())
    for synchronous in ("full", "normal"):
        path = tmp_path / f"{synchronous}.db"
        store = SqlStore(path, clock=clock, random=Random(1), synchronous=synchronous)
        await store.open()
        store.become_engine("dev")
        await store.write_at(clock.now() + 3 * MILLISECOND, keeps())
        await store.close()
        assert len(roused) == 1, "where commits are flushed, and only there"


async def test_on_postgres_who_waits_for_work_looks_once_in_vain_before(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, others = (PostgresStore(url, random=Random(n), wakeups=InProcessWakeups()) for n in (1, 2))
    await mine.open()
    await others.open()
    monkeypatch.setattr(telegraph, "ASLEEP", 0.0)

    def work(tx: Tx) -> None:
        tx.platforms.put_note("kept", "now")
        tx.wake("queued")

    async def vainly() -> bool:
        await mine.write(keeps("before"))
        finds = others.accompany("queued", lambda tx: tx.platforms.note("kept"))
        await mine.write_at(await clock_of(mine) + mine.lead, work)
        return await finds.result() == "before"

    await auntil("somebody looks before there is something", vainly)
    finds = others.accompany("queued", lambda tx: tx.platforms.note("kept"))
    await mine.write(work)
    assert await finds.result() == "now"
    await mine.close()
    await others.close()


async def test_on_postgres_nobody_is_roused_for_what_wakes_nobody(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telegraph.Telegraph, "rouse", lambda self, topic: pytest.fail("nothing is queued"))
    store = PostgresStore(url, random=Random(1))
    await store.open()
    assert await store.write_at(await clock_of(store) + store.lead, keeps()) is not None
    await store.close()


async def test_on_postgres_who_was_at_his_instant_hears_after_the_others(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    wakeups = InProcessWakeups()
    listener = wakeups.listen("queued")
    store = PostgresStore(url, random=Random(1), wakeups=wakeups)
    await store.open()
    monkeypatch.setattr(postgres_threads, "pause", lambda seconds: order.append("way made"))
    monkeypatch.setattr(telegraph.Telegraph, "rouse", lambda self, topic: False)

    async def hears() -> None:
        await listener.wait(None)
        order.append("others")

    hearing = asyncio.create_task(hears())
    await store.write_at(await clock_of(store), lambda tx: tx.wake("queued"))
    order.append("he")
    await hearing
    assert sorted(order[:-1]) == ["others", "way made"]
    assert order[-1] == "he"
    listener.close()
    await store.close()


async def test_on_postgres_nobody_else_waits_meanwhile(url: str) -> None:
    store = PostgresStore(url, random=Random(1))
    await store.open()
    began, go_on = threading.Event(), threading.Event()

    def work(tx: Tx) -> bool:
        tx.platforms.put_note("kept", "early")
        began.set()
        return go_on.wait(60)

    early = asyncio.create_task(store.write_at(await clock_of(store), work))
    await asyncio.to_thread(began.wait, 60)
    assert await store.write(lambda tx: tx.platforms.note("kept")) is None
    go_on.set()
    assert await early
    assert await kept(store) == "early"
    await store.close()


async def test_on_postgres_a_proxy_may_stand_between(url: str) -> None:
    store = PostgresStore(url, random=Random(1), settings=PostgresSettings(pooled=True))
    await store.open()
    instant = await clock_of(store) + store.lead
    now = await store.write_at(instant, keeps())
    assert now is not None
    assert now >= instant
    await store.close()


async def test_planning_decides_at_the_very_instant(store: Punctually, wakeups: InProcessWakeups) -> None:
    dispatcher = JobDispatcherWorker("d", store, InProcessBus(), wakeups, random=system_random())
    await dispatcher.start()
    decided: list[tuple[datetime, datetime]] = []

    async def one_more() -> bool:
        """Have one more job decided: where the machine was too busy to be early, that was after its instant."""
        run_at = await clock_of(store) + timedelta(seconds=0.3)
        wire = {"name": f"job-{len(decided)}", "handler": "h", "type": "one_time"}
        definition = definition_from_wire({**wire, "schedule": {"run_at": run_at.isoformat()}})
        try:
            job = (await store.write(lambda tx: create_job(tx, "default", definition))).job
        except NothingToComeError:  # so busy that the instant has passed
            return False
        (decision,) = await auntil("it is decided", lambda: store.read(lambda tx: tx.decisions.find(job.id, limit=2)))
        decided.append((decision.scheduled_at, decision.decided_at))
        return decision.decided_at == decision.scheduled_at

    await auntil("one is decided at its instant", one_more)
    assert all(decided_at >= scheduled_at for scheduled_at, decided_at in decided)
    await dispatcher.stop()
