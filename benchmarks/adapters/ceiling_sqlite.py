"""What SQLite allows at most: the bare statements in batches, durable at each commit (FULL), and no engine.

One cycle takes a batch of executions through three marks, a transaction each: inserted, started, finished with its
result. Nothing is checked, timed out, leased, retried, fenced or announced: no engine can be faster.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import time

from benchmarks.adapter import PAYLOAD, Adapter, directory, hit, main, say, wait_for_word

BATCH = 500
TEXT = json.dumps(PAYLOAD)

TABLE = """
CREATE TABLE executions (
    id BLOB PRIMARY KEY, platform TEXT NOT NULL, handler TEXT NOT NULL, queue TEXT NOT NULL, status INTEGER NOT NULL,
    priority INTEGER NOT NULL, payload TEXT NOT NULL, created_at INTEGER NOT NULL, available_at INTEGER NOT NULL,
    started_at INTEGER, finished_at INTEGER, worker TEXT, attempt INTEGER NOT NULL DEFAULT 0,
    fence INTEGER NOT NULL DEFAULT 0, result TEXT
) WITHOUT ROWID;
CREATE INDEX by_time ON executions (platform, created_at);
CREATE INDEX ready ON executions (available_at) WHERE status = 0
"""
INSERT = "INSERT INTO executions VALUES (?, 'default', 'noop', 'default', 0, 5, ?, ?, ?, NULL, NULL, NULL, 0, 0, NULL)"
START = """
UPDATE executions SET status = 1, started_at = ?, worker = 'one', attempt = attempt + 1, fence = fence + 1
WHERE id = ? AND status = 0
"""
FINISH = "UPDATE executions SET status = 2, finished_at = ?, result = '{}' WHERE id = ? AND status = 1"


class CeilingSqlite(Adapter):
    async def prepare(self) -> None:
        connect().executescript(TABLE)

    def work(self, fill: int) -> None:
        connection = connect()
        begun = time.perf_counter()
        offer(connection)
        say({"seconds": time.perf_counter() - begun, "jobs": BATCH})
        wait_for_word()
        for _ in range(-(-fill // BATCH)):
            cycle(connection)
        signal.pause()


def connect(*, check_same_thread: bool = True) -> sqlite3.Connection:
    path = directory() / "ceiling.db"
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=check_same_thread)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    return connection


def new_id() -> bytes:
    return (time.time_ns() // 1_000_000).to_bytes(6, "big") + os.urandom(10)


def cycle(connection: sqlite3.Connection) -> None:
    ids = offer(connection)
    now = time.time_ns()
    many(connection, START, [(now, one) for one in ids])
    for _ in ids:
        hit()
    many(connection, FINISH, [(now, one) for one in ids])


def offer(connection: sqlite3.Connection) -> list[bytes]:
    """Insert a batch: what an enqueue of many costs at least."""
    now = time.time_ns()
    ids = [new_id() for _ in range(BATCH)]
    many(connection, INSERT, [(one, TEXT, now, now) for one in ids])
    return ids


def many(connection: sqlite3.Connection, statement: str, rows: list[tuple[object, ...]]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany(statement, rows)
    connection.execute("COMMIT")


if __name__ == "__main__":
    main(CeilingSqlite())
