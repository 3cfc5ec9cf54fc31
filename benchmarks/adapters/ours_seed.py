"""Puts rows into Mainspring's database by the batch that would take hours to come about: schedules, and history.

Each is a copy of one that came about in the usual way, written through the store as the engine writes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

from mainspring import Mainspring
from mainspring.cli.urls import sqlite_path
from mainspring.model.job import Job
from mainspring.ports.store import ExecutionQuery, Tx

#: Rows in one transaction.
AT_ONCE = 5_000
HISTORY_AT_ONCE = 100_000


async def copy_job(ms: Mainspring, name: str, copies: int) -> None:
    """Store copies of a job, named after it."""
    store = await ms.open()
    job = (await ms.scheduler().get_job(name)).job

    def add(tx: Tx, numbers: range) -> None:
        pairs = zip(tx.new_ids(len(numbers)), numbers, strict=True)
        tx.jobs.add([_renamed(job, new, f"{name}-{number}") for new, number in pairs], actor="benchmark")
        tx.wake("jobs")

    for numbers in _batches(copies):
        await store.write(lambda tx, numbers=numbers: add(tx, numbers))  # type: ignore[misc]


async def copy_history(ms: Mainspring, copies: int) -> None:
    """Store copies of the newest execution, which has ended. The database makes them: Python would take hours."""
    store = await ms.open()
    (ended,) = await store.read(lambda tx: tx.executions.find(ExecutionQuery(limit=1)))
    if not ended.status.terminal:
        raise RuntimeError(f"execution {ended.id} has not ended: it is {ended.status}")
    path = sqlite_path(ms.settings.database_url)
    with _postgres(ms.settings.database_url) if path is None else _sqlite(path) as run:
        for numbers in _batches(copies, HISTORY_AT_ONCE):
            run(ended.id, numbers)


#: Copies the one execution: its columns, the numbers of the copies, and how one becomes the end of an id. That keeps
#: the template's millisecond, so copies come after it and before whatever comes later, in their order.
_COPY = (
    "INSERT INTO executions (id, {columns}) SELECT substr(id, 1, 15) || '000-8000-' || {twelve_digits}, {columns}"
    " FROM executions, ({numbers}) AS counted WHERE id = {id}"
)


@contextmanager
def _postgres(url: str) -> Iterator[Callable[[str, range], object]]:
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET synchronous_commit = off")
        # Nobody has counted the table while it grows: it would be read from its beginning for each batch.
        connection.execute("SET enable_seqscan = off")
        names = connection.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = 'executions'::regclass AND attnum > 0"
            " AND NOT attisdropped AND attgenerated = '' AND attname <> 'id'"
        ).fetchall()
        copy = _COPY.format(
            columns=", ".join(name for (name,) in names),
            twelve_digits="lpad(to_hex(number), 12, '0')",
            numbers="SELECT generate_series(%s::int, %s::int) AS number",
            id="%s",
        )
        yield lambda template, rows: connection.execute(copy.encode(), (rows[0], rows[-1], template))


@contextmanager
def _sqlite(path: Path) -> Iterator[Callable[[str, range], object]]:
    import sqlite3

    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        # Generated columns are not in this list.
        names = [name for _, name, *_ in connection.execute("PRAGMA table_info(executions)") if name != "id"]
        copy = _COPY.format(
            columns=", ".join(names),
            twelve_digits="printf('%012x', number)",
            numbers="WITH RECURSIVE n(number) AS (SELECT ? UNION ALL SELECT number + 1 FROM n WHERE number < ?)"
            " SELECT number FROM n",
            id="?",
        )
        yield lambda template, rows: connection.execute(copy, (rows[0], rows[-1], template))


def _renamed(job: Job, new: str, name: str) -> Job:
    return replace(job, id=new, definition=replace(job.definition, name=name))


def _batches(rows: int, at_once: int = AT_ONCE) -> Iterator[range]:
    for begin in range(0, rows, at_once):
        yield range(begin, min(begin + at_once, rows))
