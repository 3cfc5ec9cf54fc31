"""What only a real SQLite file shows: crashes, many processes, locks, migrations, one commit for many callers."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
import sqlalchemy as sa

from mainspring.adapters.sql.schema import HEAD, REVISIONS, VERSION_TABLE, alembic_config
from mainspring.adapters.sql.sqlite import database_path
from mainspring.adapters.sql.sqlite_threads import Writer
from mainspring.adapters.sql.store import SqlStore
from mainspring.adapters.sql.tables import metadata
from mainspring.adapters.system import SystemClock, system_random
from mainspring.errors import EngineBusyError, SchemaError, StoreError, StoreUnavailableError, ValidationError
from mainspring.model.execution import Status
from mainspring.model.job import JobCursor
from mainspring.ports.store import Claimable, ExecutionQuery, Tx
from tests.contracts.store_rows import MINUTE, PLATFORM, an_execution, new_id
from tests.integration.counted_wakeups import CountedWakeups, all_told
from tests.waiting import PATIENCE, auntil

HEADER = """
import asyncio, sys
from mainspring.adapters.sql.store import SqlStore
from mainspring.adapters.system import SystemClock, system_random

def say(*words):
    print(*words, flush=True)

def store():
    return SqlStore(sys.argv[1], clock=SystemClock(), random=system_random())
"""

WRITER = """
async def writer(store, name):
    n = 0
    while True:
        n += 1
        key = f"{name}-{n}"
        await store.write(lambda tx: tx.platforms.put_note(key, "x" * 200))
        say(key)

async def main():
    one = store()
    await one.open()
    one.become_engine("writer")
    await asyncio.gather(*(writer(one, name) for name in "abcdefgh"))

asyncio.run(main())
"""

ENGINE = """
async def main():
    one = store()
    await one.open()
    one.become_engine("dispatcher+worker")
    say("engine")
    while line := await asyncio.to_thread(sys.stdin.readline):
        await one.write(lambda tx: tx.platforms.put_note("from the engine", line.strip()))
        say("written")
    await one.close()

asyncio.run(main())
"""

OPENER = """
async def main():
    one = store()
    say("ready")
    sys.stdin.readline()
    await one.open()
    await one.write(lambda tx: tx.platforms.put_note(sys.argv[2], "here"))
    await one.close()

asyncio.run(main())
"""


@contextlib.contextmanager
def process(script: str, database: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run a script on a database; whatever happens it is gone afterwards."""
    command = [sys.executable, "-c", HEADER + script, f"sqlite:///{database}", *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        try:
            yield child
        finally:
            child.kill()


def hear(child: subprocess.Popen[str]) -> str:
    """Wait for the next line of a process."""
    assert child.stdout is not None
    line = child.stdout.readline()
    assert line, f"the process ended with {child.wait()}"
    return line.strip()


def tell(child: subprocess.Popen[str], line: str = "go") -> None:
    """Send a line to a process."""
    assert child.stdin is not None
    child.stdin.write(line + "\n")
    child.stdin.flush()


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


@pytest.fixture
async def make(database: Path) -> AsyncIterator[Callable[..., SqlStore]]:
    """Make stores on the database, closed at the end of the test."""
    made: list[SqlStore] = []

    def make(**options: Any) -> SqlStore:
        made.append(SqlStore(database, **{"clock": SystemClock(), "random": system_random(), **options}))
        return made[-1]

    yield make
    for store in made:
        await store.close()


@pytest.fixture
async def store(make: Callable[..., SqlStore]) -> SqlStore:
    store = make()
    await store.open()
    return store


def note(name: str, value: str = "x") -> Callable[[Tx], None]:
    """Return work that writes a note."""
    return lambda tx: tx.platforms.put_note(name, value)


async def read_note(store: SqlStore, name: str) -> str | None:
    return await store.read(lambda tx: tx.platforms.note(name))


# -- crashes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", range(4))
async def test_what_was_acknowledged_survives_a_kill_at_any_point(
    number: int, seed: int, database: Path, make: Callable[..., SqlStore]
) -> None:
    random = Random(seed)
    acknowledged = []
    for _ in range(3):  # each time on top of what the last crash left
        with process(WRITER, database) as child:
            acknowledged += [hear(child) for _ in range(random.randint(1, 400))]
            child.send_signal(signal.SIGKILL)
            assert child.stdout is not None
            acknowledged += [line.strip() for line in child.stdout if line.endswith("\n")]
    store = make()
    await store.open()
    store.become_engine()
    lost = await store.read(lambda tx: [key for key in acknowledged if tx.platforms.note(key) is None])
    assert lost == []
    await store.close()
    with sqlite3.connect(database) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


# -- several processes -------------------------------------------------------------------------------------------


async def test_a_second_engine_is_refused_with_who_the_first_is(database: Path, store: SqlStore) -> None:
    with process(ENGINE, database) as child:
        assert hear(child) == "engine"
        with pytest.raises(EngineBusyError, match=rf"process {child.pid} on .*, dispatcher\+worker, since \d{{4}}-"):
            store.become_engine()


async def test_the_lock_is_free_once_its_holder_is_killed(database: Path, store: SqlStore) -> None:
    with process(ENGINE, database) as child:
        assert hear(child) == "engine"
        child.kill()
        child.wait()
        store.become_engine()
    with process(ENGINE, database) as child:
        assert child.wait() != 0


async def test_two_stores_of_one_process_are_not_both_the_engine(make: Callable[..., SqlStore]) -> None:
    first, second = make(), make()
    await first.open()
    await second.open()
    first.become_engine("first")
    first.become_engine("first")
    with pytest.raises(EngineBusyError, match=f"process {os.getpid()} on .*, first"):
        second.become_engine("second")
    await first.close()
    second.become_engine("second")


async def test_others_read_and_write_while_an_engine_runs(database: Path, store: SqlStore) -> None:
    with process(ENGINE, database) as child:
        assert hear(child) == "engine"
        await asyncio.gather(*(store.write(note(f"from outside {n}")) for n in range(20)))
        tell(child, "hello")
        assert hear(child) == "written"
        assert await read_note(store, "from the engine") == "hello"
        assert await read_note(store, "from outside 19") == "x"


async def test_only_the_engine_copies_the_log_into_the_file(database: Path, store: SqlStore) -> None:
    before = database.stat().st_size

    async def write_much() -> None:
        for _ in range(12):
            await store.write(
                lambda tx: tx.executions.add(
                    [an_execution(tx.now, payload={"text": "x" * 4000, "n": n}) for n in range(500)]
                )
            )

    await write_much()
    assert database.stat().st_size == before
    store.become_engine()
    await write_much()
    assert database.stat().st_size > before


async def test_any_number_of_processes_make_and_migrate_a_new_file_at_once(
    database: Path, make: Callable[..., SqlStore]
) -> None:
    names = [f"process {n}" for n in range(3)]
    with (
        process(OPENER, database, names[0]) as one,
        process(OPENER, database, names[1]) as two,
        process(OPENER, database, names[2]) as three,
    ):
        children = (one, two, three)
        assert [hear(child) for child in children] == ["ready"] * 3
        for child in children:
            tell(child)
        assert [child.wait() for child in children] == [0, 0, 0]
    store = make()
    await store.open()
    assert [await read_note(store, name) for name in names] == ["here"] * 3
    assert await store.schema_version() == HEAD


# -- one writer for many callers ---------------------------------------------------------------------------------


class Hold:
    """Work that holds the writer up until it is let go."""

    def __init__(self, *, wakes: str | None = None, fails: bool = False) -> None:
        self._began, self._free = threading.Event(), threading.Event()
        self._wakes, self._fails = wakes, fails

    def __call__(self, tx: Tx) -> bool:
        self._began.set()
        if self._wakes is not None:
            tx.wake(self._wakes)
        free = self._free.wait(30)
        if self._fails:
            tx.platforms.put_note("held", "x")
            raise LookupError("held")
        return free

    async def submit(self, store: SqlStore) -> asyncio.Task[bool]:
        """Return the task that waits for it, once it has begun."""
        task = asyncio.create_task(store.write(self))
        assert await asyncio.to_thread(self._began.wait, 30)
        return task

    def let_go(self) -> None:
        self._free.set()


async def queue_behind_one_another(store: SqlStore, works: list[Callable[[Tx], Any]]) -> list[Any]:
    """Submit works while the writer is held up, so that they wait together; what holds it up shares their commit."""
    hold = Hold()
    held = await hold.submit(store)
    rest = [asyncio.create_task(store.write(work)) for work in works]
    await asyncio.sleep(0)  # one turn of the loop: every task has submitted its work
    hold.let_go()
    _, *results = await asyncio.gather(held, *rest, return_exceptions=True)
    return results


async def test_one_failing_work_among_many_undoes_only_itself(make: Callable[..., SqlStore]) -> None:
    wakeups = CountedWakeups()
    store = make(wakeups=wakeups)
    await store.open()

    def work(n: int) -> Callable[[Tx], int]:
        def run(tx: Tx) -> int:
            tx.platforms.put_note(f"note {n}", "x")
            tx.wake("pending" if n % 2 else "queued")
            if n in (7, 30):
                tx.wake("cancel")
                raise LookupError(n)
            return n

        return run

    results = await queue_behind_one_another(store, [work(n) for n in range(50)])
    assert [n for n, result in enumerate(results) if isinstance(result, LookupError)] == [7, 30]
    assert [result for result in results if isinstance(result, int)] == [n for n in range(50) if n not in (7, 30)]
    written = [n for n in range(50) if await read_note(store, f"note {n}") is not None]
    assert written == [n for n in range(50) if n not in (7, 30)]
    await all_told(store)
    assert wakeups.calls == [{"queued", "pending"}]  # one commit for them all, one call to wake


async def test_works_that_are_committed_together_see_what_the_ones_before_wrote(store: SqlStore) -> None:
    def increment(tx: Tx) -> int:
        value = int(tx.platforms.note("count") or 0) + 1
        tx.platforms.put_note("count", str(value))
        return value

    assert await queue_behind_one_another(store, [increment] * 100) == list(range(1, 101))


async def test_what_comes_while_the_writer_works_shares_its_commit(make: Callable[..., SqlStore]) -> None:
    wakeups = CountedWakeups()
    store = make(wakeups=wakeups)
    await store.open()
    hold = Hold(wakes="jobs")
    first = await hold.submit(store)
    late = asyncio.create_task(store.write(lambda tx: tx.wake("queued")))
    await asyncio.sleep(0)  # one turn of the loop: it has submitted its work
    hold.let_go()
    await asyncio.gather(first, late)
    await all_told(store)
    assert wakeups.calls == [{"jobs", "queued"}]


def queues(tx: Tx) -> None:
    tx.platforms.put_note("queued", "x")
    tx.wake("queued")


async def test_a_companion_goes_along_with_the_first_work_that_wakes_its_topic(make: Callable[..., SqlStore]) -> None:
    wakeups = CountedWakeups()
    store = make(wakeups=wakeups)
    await store.open()
    found: list[str | None] = []

    def companion(tx: Tx) -> str:
        found.append(tx.platforms.note("queued"))
        tx.wake("outbox")
        return "went along"

    waiting = store.accompany("queued", companion)
    await store.write(note("something else"))
    await store.write(lambda tx: tx.wake("jobs"))
    assert found == []
    await store.write(queues)
    assert not waiting.withdraw()
    assert await waiting.result() == "went along"
    await store.write(queues)
    assert found == ["x"]  # once, and after what it went along with
    await all_told(store)
    assert wakeups.calls == [{"jobs"}, {"queued", "outbox"}, {"queued"}]  # in one commit


async def test_who_left_a_companion_is_told_first_that_it_was_committed(store: SqlStore) -> None:
    told: list[str] = []
    waiting = store.accompany("queued", lambda tx: "claimed", told.append)
    await store.write(queues)
    told.append("who queued")
    assert told == ["claimed", "who queued"]
    assert await waiting.result() == "claimed"


async def test_who_left_a_companion_is_not_told_of_what_failed(store: SqlStore) -> None:
    told: list[Any] = []

    def fails(tx: Tx) -> None:
        raise LookupError("not today")

    waiting = store.accompany("queued", fails, told.append)
    await store.write(queues)
    with pytest.raises(LookupError):
        await waiting.result()
    assert told == []


async def test_what_follows_on_a_commit_and_fails_keeps_nobody_else_waiting(store: SqlStore) -> None:
    def fails(result: str) -> None:
        raise LookupError(result)

    waiting = store.accompany("queued", lambda tx: "claimed", fails)
    await asyncio.wait_for(store.write(queues), PATIENCE)
    with pytest.raises(LookupError, match="claimed"):
        await waiting.result()


async def test_a_companion_that_was_withdrawn_stays_behind(store: SqlStore) -> None:
    waiting = store.accompany("queued", note("companion"))
    assert waiting.withdraw()
    assert not waiting.withdraw()
    await store.write(queues)
    assert await read_note(store, "companion") is None


async def test_a_companion_that_fails_undoes_itself_alone(store: SqlStore) -> None:
    def fails(tx: Tx) -> None:
        tx.platforms.put_note("companion", "x")
        raise LookupError("not today")

    waiting = store.accompany("queued", fails)
    await store.write(queues)
    with pytest.raises(LookupError, match="not today"):
        await waiting.result()
    assert await read_note(store, "queued") == "x"
    assert await read_note(store, "companion") is None


async def test_a_companion_does_not_go_along_with_what_fails(store: SqlStore) -> None:
    waiting = store.accompany("queued", note("companion"))

    def fails(tx: Tx) -> None:
        queues(tx)
        raise LookupError("not today")

    with pytest.raises(LookupError):
        await store.write(fails)
    assert await read_note(store, "companion") is None
    assert waiting.withdraw()


async def test_what_comes_while_a_work_fails_is_written_by_itself(store: SqlStore) -> None:
    hold = Hold(fails=True)
    first = await hold.submit(store)
    kept = asyncio.create_task(store.write(note("kept")))
    await asyncio.sleep(0)
    hold.let_go()
    await kept
    with pytest.raises(LookupError):
        await first
    assert await read_note(store, "kept") == "x"
    assert await read_note(store, "held") is None


async def test_a_cancelled_caller_takes_nobody_with_it(store: SqlStore) -> None:
    hold = Hold()
    first = await hold.submit(store)
    given_up = asyncio.create_task(store.write(note("given up")))
    kept = asyncio.create_task(store.write(note("kept")))
    await asyncio.sleep(0)
    given_up.cancel()
    await asyncio.sleep(0)
    hold.let_go()
    await asyncio.gather(first, kept)
    assert given_up.cancelled()
    assert await read_note(store, "kept") == "x"


async def test_closing_finishes_what_was_submitted(database: Path, make: Callable[..., SqlStore]) -> None:
    store = make()
    await store.open()
    writes = [asyncio.create_task(store.write(note(str(n)))) for n in range(50)]
    await asyncio.sleep(0)
    await store.close()
    await asyncio.gather(*writes)
    with pytest.raises(StoreUnavailableError, match="not open"):
        await store.write(note("late"))
    await store.close()
    await store.open()
    assert await read_note(store, "49") == "x"


def test_a_loop_that_ends_before_its_writes_are_done_leaves_a_store_that_closes(database: Path) -> None:
    store = SqlStore(database, clock=SystemClock(), random=system_random())
    hold = Hold()

    async def abandon() -> None:
        await store.open()
        held = await hold.submit(store)
        assert not held.done()

    asyncio.run(abandon())
    hold.let_go()
    assert store.write_blocking(lambda tx: 3) == 3
    asyncio.run(store.close())


async def test_work_that_calls_its_own_store_is_told_so(store: SqlStore) -> None:
    def nested(tx: Tx) -> None:
        tx.platforms.put_note("colour", "green")
        store.write_blocking(note("colour", "red"))

    with pytest.raises(StoreError, match="called the store it runs in"):
        await store.write(nested)
    assert await read_note(store, "colour") is None


async def test_a_read_sees_one_snapshot_while_others_write(store: SqlStore) -> None:
    await store.write(note("colour", "green"))
    began, go_on = threading.Event(), threading.Event()

    def read_twice(tx: Tx) -> tuple[str | None, str | None]:
        first = tx.platforms.note("colour")
        began.set()
        assert go_on.wait(30)
        return first, tx.platforms.note("colour")

    reading = asyncio.create_task(store.read(read_twice))
    assert await asyncio.to_thread(began.wait, 30)
    await store.write(note("colour", "red"))
    go_on.set()
    assert await reading == ("green", "green")
    assert await read_note(store, "colour") == "red"


# -- failures ----------------------------------------------------------------------------------------------------


async def test_a_database_locked_for_too_long_is_unavailable_and_then_works_on(
    database: Path, make: Callable[..., SqlStore]
) -> None:
    store = make(busy_timeout=timedelta(milliseconds=30))
    await store.open()
    other = sqlite3.connect(database, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    results = await asyncio.gather(*(store.write(note(str(n))) for n in range(3)), return_exceptions=True)
    assert [type(result) for result in results] == [StoreUnavailableError] * 3
    assert "locked" in str(results[0])
    assert await read_note(store, "0") is None  # reading goes on
    other.execute("ROLLBACK")
    other.close()
    await store.write(note("0"))
    assert await read_note(store, "0") == "x"


async def test_a_full_disk_is_unavailable_and_nothing_is_half_written(store: SqlStore) -> None:
    def limit_pages(pages: int) -> Callable[[Tx], None]:
        # The limit of pages gives the very error a full disk gives.
        return lambda tx: tx.jobs._run(sa.text(f"PRAGMA max_page_count = {pages}"))  # type: ignore[attr-defined]

    def fill(tx: Tx) -> None:
        tx.platforms.put_note("before", "x")
        tx.platforms.put_note("big", "x" * 10_000_000)

    await store.write(limit_pages(200))
    results = await queue_behind_one_another(store, [note("neighbour"), fill])
    assert isinstance(results[1], StoreUnavailableError)
    assert "full" in str(results[1])
    # SQLite gave up the whole transaction, so its neighbour was told the same: never "done" and not written.
    assert isinstance(results[0], StoreUnavailableError)
    assert await read_note(store, "neighbour") is None
    assert await read_note(store, "before") is None

    def swallow(tx: Tx) -> None:
        with contextlib.suppress(StoreError):
            fill(tx)
        with contextlib.suppress(StoreError):
            tx.platforms.put_note("after", "x")

    with pytest.raises(StoreUnavailableError, match="full"):
        await store.write(swallow)
    assert await read_note(store, "after") is None  # it would have been written outside of any transaction
    await store.write(limit_pages(100_000))
    await store.write(fill)
    assert await read_note(store, "before") == "x"


async def test_a_file_that_is_no_database_is_refused(database: Path, make: Callable[..., SqlStore]) -> None:
    database.write_text("something else " * 100)
    with pytest.raises(StoreError, match=r"/.*: the file is not a SQLite database"):
        await make().open()


async def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    store = SqlStore(tmp_path / "none" / "jobs.db", clock=SystemClock(), random=Random(1))
    with pytest.raises(StoreUnavailableError, match=r"none/jobs\.db cannot be made: No such file or directory"):
        await store.open()


async def test_opening_works_after_it_has_failed(tmp_path: Path) -> None:
    directory = tmp_path / "late"
    store = SqlStore(directory / "jobs.db", clock=SystemClock(), random=Random(1))
    with pytest.raises(StoreUnavailableError):
        await store.open()
    directory.mkdir()
    await store.open()
    await store.open()
    assert await store.write(lambda tx: 3) == 3
    await store.close()


async def test_a_log_that_was_copied_in_a_pause_is_written_over(database: Path, store: SqlStore) -> None:
    store.become_engine()
    log, before = database.with_name("jobs.db-wal"), database.stat().st_mtime_ns
    for number in range(Writer.COMMITS):
        await store.write(note("again", str(number)))
    grown = log.stat().st_size
    # Nothing but copying the log changes the file itself.
    await auntil("the log is copied", lambda: database.stat().st_mtime_ns != before)
    for number in range(Writer.COMMITS // 2):
        await store.write(note("again", str(number)))
    assert log.stat().st_size == grown


async def test_only_its_owner_may_read_a_new_database(database: Path, store: SqlStore) -> None:
    store.become_engine()
    await store.write(note("secret"))
    for file in database.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    assert {file.name for file in database.parent.iterdir()} >= {"jobs.db", "jobs.db-wal", "jobs.db.engine"}


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("sqlite://", "in memory"),
        ("sqlite:///:memory:", "in memory"),
        ("sqlite:///jobs.db?mode=ro", "no options"),
        ("postgresql://host/db", "no SQLite file"),
        ("jobs.db", "not a URL"),
    ],
)
def test_a_url_that_names_no_file_is_refused(url: str, why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        database_path(url)


# -- the schema --------------------------------------------------------------------------------------------------


async def test_the_migrations_make_what_the_tables_say(database: Path, store: SqlStore) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    engine = sa.create_engine(f"sqlite:///{database}")
    with engine.connect() as connection:
        options = {"compare_type": True, "compare_server_default": True, "version_table": VERSION_TABLE}
        assert compare_metadata(MigrationContext.configure(connection, opts=options), metadata) == []
        migrated = statements(connection)
    engine.dispose()
    made = sa.create_engine("sqlite://")
    with made.connect() as connection:
        metadata.create_all(connection)
        # Alembic does not see conditions of indexes nor generated columns; word for word sees all.
        assert statements(connection) == {name: sql for name, sql in migrated.items() if name != VERSION_TABLE}
    made.dispose()


def statements(connection: sa.Connection) -> dict[str, str]:
    """Return the statement each table and index was made with; a column that was added stands on the line before."""
    rows = connection.execute(sa.text("SELECT name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%'"))
    return {row.name: " ".join(row.sql.replace(",", " , ").split()) for row in rows}


def test_the_revisions_known_without_alembic_are_those_there_are() -> None:
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory.from_config(alembic_config())
    assert tuple(script.revision for script in scripts.walk_revisions())[::-1] == REVISIONS
    assert scripts.get_current_head() == HEAD


async def test_a_newer_schema_is_refused_with_what_to_do(
    database: Path, store: SqlStore, make: Callable[..., SqlStore]
) -> None:
    await store.close()
    with sqlite3.connect(database) as connection:
        connection.execute(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
    connection.close()
    for step in (make().open, make().migrate, make().schema_version):
        with pytest.raises(SchemaError, match=r"schema 9999.*Install that version"):
            await step()


async def test_a_database_of_somebody_else_is_left_alone(database: Path, make: Callable[..., SqlStore]) -> None:
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE jobs (id INTEGER)")
    connection.close()
    with pytest.raises(SchemaError, match="belongs to something else"):
        await make().open()
    with sqlite3.connect(database) as connection:
        assert connection.execute("SELECT name FROM sqlite_schema").fetchall() == [("jobs",)]
    connection.close()


async def test_migrating_by_hand_says_where_it_began(make: Callable[..., SqlStore]) -> None:
    store = make()
    assert await store.schema_version() is None
    assert await store.migrate() is None
    assert await store.migrate() == HEAD


def test_a_file_at_head_is_opened_without_alembic(database: Path) -> None:
    script = """
async def main():
    one = store()
    await one.open()
    await one.close()
    say("alembic" in sys.modules)

asyncio.run(main())
"""
    for expected in ("True", "False"):
        with process(script, database) as child:
            assert hear(child) == expected


# -- the plans of queries ----------------------------------------------------------------------------------------


async def test_no_step_of_the_engine_walks_the_history(store: SqlStore) -> None:
    """Whatever has ended stays out of the way of what is live, and of every page of a list."""
    found: dict[str, list[str]] = {}

    def work(tx: Tx) -> None:
        connection: sa.Connection = tx.jobs._session.connection  # type: ignore[attr-defined]

        def explain(conn: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
            driver = conn.connection.dbapi_connection
            plan = driver.execute(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall()
            found[statement] = [row[3] for row in plan]

        sa.event.listen(connection, "before_cursor_execute", explain)
        every_step(tx)
        sa.event.remove(connection, "before_cursor_execute", explain)

    await store.write(work)
    partial = {index.name for table in metadata.tables.values() for index in table.indexes if partial_index(index)}
    tables = ("executions", "outbox", "decisions", "jobs", "dead_letters", "attempts", "execution_logs")
    walks = [
        (line, statement)
        for statement, plan in found.items()
        for line in plan
        if line.startswith("SCAN") and line.split()[1] in tables and line.rpartition(" ")[2] not in partial
    ]
    assert walks == []
    assert len(found) > 40


def partial_index(index: sa.Index) -> bool:
    return index.dialect_options["sqlite"]["where"] is not None


def every_step(tx: Tx) -> None:
    """Call what the engine and lists ask for, on an empty store."""
    e, now, later = tx.executions, tx.now, tx.now + MINUTE
    tx.outlook(), tx.over_at(MINUTE)
    e.promotable(5), e.next_available_at(), e.held_back(), e.blockers(5)
    e.pending_count(PLATFORM, 5), e.counts(PLATFORM, 5)
    for job_id, blocked_by in ((None, "queue:a"), ("j", "overlap"), ("j", "queue:a")):
        e.blocked(PLATFORM, blocked_by, job_id=job_id, limit=5)
    e.set_blocked({"a": "job", "b": None})
    for scope in ("queue", "key", "platform"):
        e.occupying(PLATFORM, scope, ["a", ""])
        e.holders(PLATFORM, scope, "a", 5)
    tx.platforms.admitted_since(PLATFORM, "a", now), e.queued_handlers(5), e.active_of(["j"])
    e.queued_handlers(5, platform_id=PLATFORM)
    for queues in ({"a": 1}, {"a": 1, "b": 1}):
        e.claim("w", MINUTE, Claimable(queues, ["h"], 5)), e.claim("w", MINUTE, Claimable(queues, ["h"], 5, ["a"]))
    e.renew("w", later), e.lease_over(5), e.lease_over(5, older_than=now), e.overdue(MINUTE, 5), e.start_expired(5)
    e.next_over(MINUTE)
    e.put_progress([("a", 1, {}), ("b", 1, {"n": 1})])
    e.request_cancel("a", "why"), e.delete_ended(now, 5)
    queries: list[dict[str, Any]] = [
        {},
        {"statuses": (Status.FAILED,)},
        {"statuses": (Status.FAILED, Status.RUNNING)},
        {"job_id": "j"},
        {"retry_of": "a"},
        {"before_id": new_id(now)},
    ]
    for query in queries:
        e.find(ExecutionQuery(platform_id=PLATFORM, **query))
    e.attempts("a"), e.get("a", lock=True), tx.logs.read("a")
    j = tx.jobs
    j.due(5), j.next_due_at(), j.get(PLATFORM, "a"), j.event_jobs(PLATFORM), j.paused_until_passed(5)
    j.find(PLATFORM), j.find(PLATFORM, after="a"), j.count(PLATFORM, 5), j.by_id(["a"]), j.stats(["a"])
    j.advance([JobCursor(one, now, at, None, "2026a") for one, at in (("a", now), ("b", later))])
    (
        tx.decisions.delete_decided(now, 5),
        tx.decisions.get("j", now),
        tx.decisions.find("j", since=now),
        tx.decisions.of_execution("a"),
    )
    tx.outbox.unpublished(5), tx.outbox.oldest_unpublished_at(), tx.outbox.mark_published(["a"])
    tx.outbox.delete_published(now, 5), tx.dead_letters.find(PLATFORM), tx.dead_letters.count(PLATFORM, 5)
