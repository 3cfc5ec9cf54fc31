"""Samples as rows of one SQLite file, the oldest of each platform dropped beyond a number."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from mainspring.errors import StoreUnavailableError
from mainspring.ports.metrics import Sample

#: Seconds to wait for another writer.
PATIENCE = 10.0
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS sample (platform_id TEXT NOT NULL, at_us INTEGER NOT NULL, key TEXT NOT NULL, "
    "name TEXT NOT NULL, value REAL NOT NULL, PRIMARY KEY (platform_id, at_us, key, name)) WITHOUT ROWID"
)
_CLEAR = "DELETE FROM sample WHERE platform_id = ? AND at_us = ? AND key = ?"
_PUT = "INSERT INTO sample VALUES (?, ?, ?, ?, ?)"
_TRIM = (
    "DELETE FROM sample WHERE platform_id = ?1 AND at_us <= "
    "(SELECT at_us FROM sample WHERE platform_id = ?1 ORDER BY at_us DESC LIMIT 1 OFFSET ?2)"
)
_READ = "SELECT at_us, value FROM sample WHERE platform_id = ? AND name = ? ORDER BY at_us DESC LIMIT ?"


class SqliteMetricsSink:
    """`MetricsSink` in a file.

    Args:
        path: The file; made when missing.
        max_rows: Rows kept per platform; at 30 numbers a minute, the default is a little over three weeks.
    """

    def __init__(self, path: str | Path, *, max_rows: int = 1_000_000) -> None:
        self._path, self._max_rows = Path(path), max_rows

    async def write(self, platform_id: str, samples: Sequence[Sample], *, at: datetime, key: str) -> None:
        at_us = (at - _EPOCH) // timedelta(microseconds=1)
        rows = [(platform_id, at_us, key, sample.name, sample.value) for sample in samples]

        def work(db: sqlite3.Connection) -> None:
            db.execute(_CLEAR, (platform_id, at_us, key))
            db.executemany(_PUT, rows)
            db.execute(_TRIM, (platform_id, self._max_rows))

        await asyncio.to_thread(self._in_transaction, work)

    async def read(self, platform_id: str, name: str, *, limit: int = 1000) -> list[tuple[datetime, float]]:
        """Return the newest values of one name, newest first."""
        rows: list[tuple[int, float]] = []
        query = (platform_id, name, limit)
        await asyncio.to_thread(self._in_transaction, lambda db: rows.extend(db.execute(_READ, query)))
        return [(_EPOCH + timedelta(microseconds=at), value) for at, value in rows]

    def _in_transaction(self, work: Callable[[sqlite3.Connection], None]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with closing(sqlite3.connect(self._path, timeout=PATIENCE)) as db:
                db.execute("PRAGMA synchronous = NORMAL")
                if db.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,):
                    db.execute("PRAGMA journal_mode = WAL")
                    db.execute(_SCHEMA)
                with db:
                    work(db)
        except sqlite3.OperationalError as error:
            raise StoreUnavailableError(f"{self._path}: {error}") from error
