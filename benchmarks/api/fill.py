"""Fills a database with jobs and a month of ended executions, by copying one of each that came about in the usual way.

The database makes the copies itself, through the real tables: each row lies in the partition of its day and is in every
index. Ids are UUIDv7 of the instants they stand for, so that order and retention are those of a system in use.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import sqlalchemy as sa

from mainspring import Mainspring
from mainspring.adapters.sql.partitions import prepare
from mainspring.adapters.sql.postgres import PostgresStore, driver_url
from mainspring.moves.enqueue import EnqueueRequest

#: How far the history goes back, and rows in one statement.
DAYS, AT_ONCE = 28, 100_000
#: What the first job is called; its copies are numbered.
NAME = "bench"

#: The id of a row: its millisecond, then its number.
_ID = (
    "substr(lpad(to_hex({ms}), 12, '0'), 1, 8) || '-' || substr(lpad(to_hex({ms}), 12, '0'), 9) || '-7000-8000-'"
    " || lpad(to_hex({n}), 12, '0')"
)


async def fill(ms: Mainspring, jobs: int, executions: int, say: Callable[[str], None]) -> None:
    """Migrate an empty database and fill it."""
    store = ms.store
    assert isinstance(store, PostgresStore)
    await store.migrate()
    await ms.open()
    service = ms.scheduler()
    job = {"name": NAME, "type": "cron", "handler": "bench:run", "schedule": {"cron": "0 9 * * *"}}
    made = (await service.create_job({**job, "overlap": "allow_all", "payload": {"region": "eu"}})).job
    (template,) = await service.enqueue([EnqueueRequest("bench:run", {"region": "eu", "rows": 4711})])
    url = ms.settings.database_url
    _lay_out(url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET synchronous_commit = off")
        began = time.monotonic()
        _copy_jobs(connection, made.id, jobs - 1)
        say(f"{jobs:,} jobs in {time.monotonic() - began:.0f} s")
        began = time.monotonic()
        for done in range(0, executions, AT_ONCE):
            _copy_executions(connection, template.id, jobs, executions, done)
        say(f"{executions:,} ended executions in {time.monotonic() - began:.0f} s")
        began = time.monotonic()
        connection.execute("VACUUM (ANALYZE)")
        connection.execute("CHECKPOINT")
        say(f"vacuumed and analysed in {time.monotonic() - began:.0f} s")


def _lay_out(url: str) -> None:
    """Make the partitions of the days that are filled, as they would be there by now."""
    now = datetime.now(UTC)
    with sa.create_engine(driver_url(url), poolclass=sa.pool.NullPool).begin() as connection:
        prepare(connection, now, 7, since=now - timedelta(days=DAYS + 1))


def _copy_jobs(connection: psycopg.Connection[Any], job_id: str, count: int) -> None:
    own = {
        "id": _ID.format(ms="(extract(epoch FROM now()) * 1000)::bigint - 3600000", n="number"),
        "name": f"'{NAME}-' || number",
        "definition": f"replace(definition, '\"{NAME}\"', '\"{NAME}-' || number || '\"')",
    }
    _copy(connection, "jobs", own, "jobs, generate_series(1, %s) AS number", [job_id], count)
    # The first job's one revision, for each of its copies.
    columns = "revision, at, actor, definition"
    connection.execute(
        _sql(
            f"INSERT INTO job_revisions (job_id, {columns}) SELECT j.id, r.revision, r.at, r.actor, j.definition"
            " FROM jobs j, job_revisions r WHERE r.job_id = %s AND j.id <> r.job_id"
        ),
        [job_id],
    )


def _copy_executions(
    connection: psycopg.Connection[Any], execution_id: str, jobs: int, executions: int, done: int
) -> None:
    step = timedelta(days=DAYS) / max(executions, 1)
    at = f"(t0 + number * {step / timedelta(microseconds=1):.3f})::bigint"
    own = {
        "id": _ID.format(ms=f"({at} / 1000)", n="number"),
        "status": "CASE WHEN number %% 33 = 0 THEN 'failed' WHEN number %% 101 = 0 THEN 'cancelled' ELSE 'success' END",
        "failure": "CASE WHEN number %% 33 = 0 THEN 'error' END",
        "cause": "'schedule'",
        "job_id": "j.id",
        "job_name": "j.name",
        "job_revision": "1",
        "worker_id": "'worker-bench'",
        "attempt": "1",
        "fence": "1",
        "result": "'{\"rows\":4711}'",
        "scheduled_at": at,
        "created_at": at,
        "available_at": at,
        "queued_at": at,
        "started_at": f"{at} + 4000",
        "finished_at": f"{at} + 1500000",
    }
    # Every job has its share: a prime step walks through all of them.
    tables = (
        f"executions x, (SELECT (extract(epoch FROM now()) * 1000000)::bigint - {DAYS * 86_400 + 3600}000000 AS t0) o,"
        " generate_series(%s::int, %s::int) AS number"
        " JOIN (SELECT id, name, row_number() OVER (ORDER BY id) - 1 AS place FROM jobs) j"
        f" ON j.place = (number::bigint * 7919) %% {jobs}"
    )
    columns = _columns(connection, "executions")
    values = ", ".join(own.get(name, f"x.{name}") for name in columns)
    last = min(done + AT_ONCE, executions)
    connection.execute(
        _sql(f"INSERT INTO executions ({', '.join(columns)}) SELECT {values} FROM {tables} WHERE x.id = %s"),
        [done + 1, last, execution_id],
    )


def _copy(
    connection: psycopg.Connection[Any], table: str, own: dict[str, str], source: str, key: list[str], count: int
) -> None:
    columns = _columns(connection, table)
    values = ", ".join(own.get(name, name) for name in columns)
    statement = f"INSERT INTO {table} ({', '.join(columns)}) SELECT {values} FROM {source} WHERE id = %s"
    connection.execute(_sql(statement), [count, *key])


def _columns(connection: psycopg.Connection[Any], table: str) -> list[str]:
    rows = connection.execute(
        "SELECT column_name FROM information_schema.columns WHERE table_name = %s AND table_schema = current_schema()"
        " AND is_generated = 'NEVER' ORDER BY ordinal_position",
        [table],
    ).fetchall()
    return [f'"{name}"' if name == "to" else name for (name,) in rows]


def _sql(statement: str) -> bytes:
    return statement.encode()  # made of our own names alone
