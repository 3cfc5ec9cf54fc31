"""A look at the database from outside, in plain SQL: for what to wait for, and invariants that hold at every moment.

The numbers of the invariants are those of docs/operate/faults.md.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import psycopg

Rows = list[tuple[Any, ...]]

LIVE = "('pending', 'queued', 'running', 'retrying', 'waiting')"
ENDED = "('success', 'failed', 'cancelled', 'expired')"


class AwayError(Exception):
    """The database does not answer."""


class Record(Protocol):
    """Reads the record of either database. Each call is one snapshot."""

    #: The database's clock in microseconds, as SQL.
    now: str

    def rows(self, sql: str) -> Rows:
        """Run one query. Raises `AwayError`."""

    def snapshot(self, queries: dict[str, str]) -> dict[str, Rows]:
        """Run several on one snapshot."""


class PostgresRecord:
    """`Record` of PostgreSQL, over a connection of its own for each look."""

    now = "(extract(epoch from clock_timestamp()) * 1000000)::bigint"

    def __init__(self, url: str) -> None:
        self._url = url

    def rows(self, sql: str) -> Rows:
        return self.snapshot({"": sql})[""]

    def snapshot(self, queries: dict[str, str]) -> dict[str, Rows]:
        try:
            with psycopg.connect(self._url, connect_timeout=5, autocommit=True) as connection, connection.transaction():
                connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                return {name: connection.execute(sql.encode()).fetchall() for name, sql in queries.items()}
        except psycopg.OperationalError as error:
            raise AwayError(str(error)) from error

    @contextlib.contextmanager
    def connection(self) -> Iterator[psycopg.Connection]:
        with psycopg.connect(self._url, connect_timeout=5, autocommit=True) as connection:
            yield connection


class SqliteRecord:
    """`Record` of a SQLite file."""

    now = "(CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) * 1000)"

    def __init__(self, path: Path) -> None:
        self._path = path

    def rows(self, sql: str) -> Rows:
        return self.snapshot({"": sql})[""]

    def snapshot(self, queries: dict[str, str]) -> dict[str, Rows]:
        try:
            with contextlib.closing(sqlite3.connect(f"file:{self._path}?mode=ro", uri=True, timeout=5)) as connection:
                connection.execute("PRAGMA query_only = 1")
                connection.execute("BEGIN")
                return {name: connection.execute(sql).fetchall() for name, sql in queries.items()}
        except sqlite3.OperationalError as error:
            raise AwayError(str(error)) from error


#: What must return no rows at any moment, whatever is going on.
ALWAYS = {
    "I1: two decisions of one instant": """
        SELECT job_id, scheduled_at, key FROM decisions GROUP BY job_id, scheduled_at, key HAVING count(*) > 1""",
    "I6: two executions of one instant": """
        SELECT job_id, scheduled_at FROM executions WHERE cause = 'schedule'
        GROUP BY job_id, scheduled_at HAVING count(*) > 1""",
    "I8: running if and only if on lease": """
        SELECT id, status, worker_id, lease_until FROM executions
        WHERE (status = 'running') <> (worker_id IS NOT NULL AND lease_until IS NOT NULL) AND status IN """
    + LIVE,
    "I12: more losses than the poison limit": "SELECT id, losses FROM executions WHERE losses > 3",
    "I13: an ended one on lease or without its end": f"""
        SELECT id, status FROM executions
        WHERE status IN {ENDED} AND (finished_at IS NULL OR lease_until IS NOT NULL)""",
    "I14: a live one with an end": f"""
        SELECT id, status FROM executions WHERE status IN {LIVE} AND finished_at IS NOT NULL""",
    "I17: two ends of one execution": f"""
        SELECT execution_id FROM transitions WHERE "to" IN {ENDED} GROUP BY execution_id HAVING count(*) > 1""",
    "I18: ended by a worker whose fence was not the last claimed": """
        SELECT t.execution_id, t.fence FROM transitions t
        WHERE t.actor = 'worker' AND t.source = 'running' AND t.fence - (
            SELECT max(c.fence) FROM transitions c
            WHERE c.execution_id = t.execution_id AND c."to" = 'running' AND c.number < t.number) NOT IN (0, 1)""",
    "I19: a fence claimed twice": """
        SELECT execution_id, fence FROM transitions WHERE "to" = 'running'
        GROUP BY execution_id, fence HAVING count(*) > 1""",
}

#: The same for jobs whose overlap policy allows one at a time.
ONE_AT_A_TIME = """
    SELECT job_id, count(*) FROM executions
    WHERE status IN ('running', 'waiting') AND job_name LIKE 'one-%' GROUP BY job_id HAVING count(*) > 1"""
