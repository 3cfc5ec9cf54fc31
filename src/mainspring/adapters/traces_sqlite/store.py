"""Spans in one SQLite file: a row per trace with its age, and a row per span. Every key starts with the platform.

Each call opens the file anew in the thread it runs in: a call that was given up on finishes or fails alone.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from mainspring.errors import StoreUnavailableError
from mainspring.ports.traces import DeleteStep, TraceAge, TraceScope

T = TypeVar("T")

#: Seconds to wait for another writer.
PATIENCE = 10.0
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS trace (platform_id TEXT NOT NULL, trace_id TEXT NOT NULL, started_us INTEGER NOT NULL, "
    "ended_us INTEGER NOT NULL, failed INTEGER NOT NULL, held INTEGER NOT NULL DEFAULT 0, "
    "PRIMARY KEY (platform_id, trace_id)) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS trace_age ON trace (platform_id, failed, ended_us) WHERE held = 0",
    "CREATE TABLE IF NOT EXISTS span (platform_id TEXT NOT NULL, trace_id TEXT NOT NULL, span_id TEXT NOT NULL, "
    "parent_id TEXT, name TEXT NOT NULL, started_us INTEGER NOT NULL, ended_us INTEGER NOT NULL, "
    "failed INTEGER NOT NULL, attributes TEXT NOT NULL, PRIMARY KEY (platform_id, trace_id, span_id)) WITHOUT ROWID",
)
_PUT_TRACE = (
    "INSERT INTO trace (platform_id, trace_id, started_us, ended_us, failed) VALUES (?, ?, ?, ?, ?) "
    "ON CONFLICT (platform_id, trace_id) DO UPDATE SET started_us = min(started_us, excluded.started_us), "
    "ended_us = max(ended_us, excluded.ended_us), failed = max(failed, excluded.failed)"
)
_PUT_SPAN = "INSERT OR REPLACE INTO span VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_COUNT = "SELECT count(*) FROM trace WHERE platform_id = ? AND failed = ? AND ended_us < ? AND held = 0"
_OLDEST = (
    "SELECT trace_id FROM trace WHERE platform_id = ? AND failed = ? AND ended_us < ? AND held = 0 "
    "ORDER BY ended_us LIMIT ?"
)
_DELETE_SPANS = (
    "DELETE FROM span WHERE platform_id = ?1 AND trace_id = ?2 AND span_id IN "
    "(SELECT span_id FROM span WHERE platform_id = ?1 AND trace_id = ?2 LIMIT ?3)"
)
_DELETE_TRACE = "DELETE FROM trace WHERE platform_id = ? AND trace_id = ?"
_HOLD = "UPDATE trace SET held = ? WHERE platform_id = ? AND trace_id = ?"
_TRACES = "SELECT trace_id FROM trace WHERE platform_id = ? ORDER BY trace_id LIMIT ?"
_SPANS = "SELECT count(*) FROM span WHERE platform_id = ?"


@dataclass(frozen=True, slots=True)
class Span:
    """A span that has ended. Ids are lower-case hexadecimal, as in ``traceparent``."""

    trace_id: str
    span_id: str
    name: str
    started_at: datetime
    ended_at: datetime
    parent_id: str | None = None
    failed: bool = False
    attributes: Mapping[str, Any] = field(default_factory=dict)


class SqliteTraceStore:
    """`TraceStore` in a file, and the way to fill it. A trace is as old as the end of its newest span."""

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)

    async def put(self, scope: TraceScope, spans: Sequence[Span]) -> None:
        """Store ended spans; one that is stored already is replaced."""
        platform = scope.platform_id
        traces = [(platform, s.trace_id, _us(s.started_at), _us(s.ended_at), s.failed) for s in spans]
        rows = [_row(platform, span) for span in spans]

        def work(db: sqlite3.Connection) -> None:
            db.executemany(_PUT_TRACE, traces)
            db.executemany(_PUT_SPAN, rows)

        await self._run(work)

    async def hold(self, scope: TraceScope, trace_id: str, *, held: bool = True) -> bool:
        """Put a trace on hold, or end that; False for a trace this platform does not have."""
        return await self._run(lambda db: db.execute(_HOLD, (held, scope.platform_id, trace_id)).rowcount == 1)

    async def traces(self, scope: TraceScope, *, limit: int = 1000) -> list[str]:
        """Return the ids of the traces there are, in order."""
        return await self._run(lambda db: [row[0] for row in db.execute(_TRACES, (scope.platform_id, limit))])

    async def spans(self, scope: TraceScope) -> int:
        """Return how many spans there are."""
        return await self._run(lambda db: int(db.execute(_SPANS, (scope.platform_id,)).fetchone()[0]))

    async def count(self, scope: TraceScope, age: TraceAge) -> int:
        def work(db: sqlite3.Connection) -> int:
            return sum(int(db.execute(_COUNT, key).fetchone()[0]) for key in _old(scope, age))

        return await self._run(work)

    async def delete_older(self, scope: TraceScope, age: TraceAge, *, limit: int) -> DeleteStep:
        return await self._run(lambda db: _delete(db, scope, age, limit))

    async def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        def run() -> T:
            try:
                with self._opened() as db:
                    db.execute("BEGIN IMMEDIATE")
                    try:
                        result = work(db)
                    except BaseException:
                        db.execute("ROLLBACK")
                        raise
                    db.execute("COMMIT")
                    return result
            except sqlite3.OperationalError as error:
                raise StoreUnavailableError(f"{self._path}: {error}") from error

        return await asyncio.to_thread(run)

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(self._path, timeout=PATIENCE, isolation_level=None)
        try:
            db.execute("PRAGMA synchronous = NORMAL")
            if db.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,):
                # Space of what was deleted goes back a little with each step, not in one long VACUUM.
                db.execute("PRAGMA auto_vacuum = INCREMENTAL")
                db.execute("PRAGMA journal_mode = WAL")
                for statement in _SCHEMA:
                    db.execute(statement)
            yield db
        finally:
            db.close()


def _old(scope: TraceScope, age: TraceAge) -> tuple[tuple[str, int, int], ...]:
    return (scope.platform_id, 0, _us(age.before)), (scope.platform_id, 1, _us(age.failed_before))


def _delete(db: sqlite3.Connection, scope: TraceScope, age: TraceAge, limit: int) -> DeleteStep:
    traces = spans = 0
    left = max(1, limit)
    for key in _old(scope, age):
        for (trace_id,) in db.execute(_OLDEST, (*key, left)).fetchall():
            gone = db.execute(_DELETE_SPANS, (scope.platform_id, trace_id, left)).rowcount
            spans, left = spans + gone, left - gone
            if left <= 0:  # it may have more spans: its row stays, so that the next step finds it
                return DeleteStep(traces, spans, more=True)
            db.execute(_DELETE_TRACE, (scope.platform_id, trace_id))
            traces, left = traces + 1, left - 1
            if left <= 0:
                return DeleteStep(traces, spans, more=True)
    db.execute("PRAGMA incremental_vacuum(1000)")
    return DeleteStep(traces, spans, more=False)


def _row(platform_id: str, span: Span) -> tuple[Any, ...]:
    attributes = json.dumps(dict(span.attributes), default=str)
    times = _us(span.started_at), _us(span.ended_at)
    return platform_id, span.trace_id, span.span_id, span.parent_id, span.name, *times, span.failed, attributes


def _us(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(microseconds=1)
