"""The index in one SQLite file: a manifest and a full-text table, twice, of which searches see one.

The two sets of tables, ``a`` and ``b``, take turns: a full build fills the one that is not in use, and one row says
which is. Generations never share a full-text table, whose statistics, and so the order of answers, would mix.

A document has a number, and its passages have the row numbers from ``number << 16`` on: so they are found and deleted
by a range, without a table between. Each call opens the file anew in the thread it runs in; that takes a fraction of a
millisecond, and a call that was given up on can finish or fail without anybody's help.
"""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from mainspring.errors import StoreUnavailableError
from mainspring.ports.knowledge import Build, Hit, IndexedDocument, IndexSize, Stamp

T = TypeVar("T")

#: Bits of a row number that count the passages of one document.
PASSAGE_BITS = 16
PASSAGES = 1 << PASSAGE_BITS
#: Words of a query that are looked for, and characters of it that are read.
QUERY_WORDS, QUERY_LENGTH = 32, 1000
#: Seconds to wait for another writer.
PATIENCE = 10.0

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS generation (one INTEGER PRIMARY KEY CHECK (one = 1), number INTEGER NOT NULL)",
    "INSERT OR IGNORE INTO generation VALUES (1, 1)",
)
_SLOT_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS document_{slot} (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, "
    "size INTEGER NOT NULL, version TEXT NOT NULL, digest BLOB NOT NULL, pipeline TEXT NOT NULL)",
    "CREATE VIRTUAL TABLE IF NOT EXISTS passage_{slot} USING fts5(text, tokenize = 'porter unicode61')",
)
_EMPTY_SLOT = ("DROP TABLE IF EXISTS document_{slot}", "DROP TABLE IF EXISTS passage_{slot}")
_MANIFEST = "SELECT id, size, version, digest, pipeline FROM document_{slot}"
_SIZE = "SELECT (SELECT count(*) FROM document_{slot}), (SELECT count(*) FROM passage_{slot})"
_UPSERT = (
    "INSERT INTO document_{slot} (id, size, version, digest, pipeline) VALUES (?, ?, ?, ?, ?) "
    "ON CONFLICT (id) DO UPDATE SET size = excluded.size, version = excluded.version, digest = excluded.digest, "
    "pipeline = excluded.pipeline RETURNING number"
)
_NUMBER = "SELECT number FROM document_{slot} WHERE id = ?"
_FORGET = "DELETE FROM document_{slot} WHERE number = ?"
_CLEAR = "DELETE FROM passage_{slot} WHERE rowid >= ? AND rowid < ?"
_PASSAGE = "INSERT INTO passage_{slot} (rowid, text) VALUES (?, ?)"
_SEARCH = (
    "SELECT d.id, p.rowid, p.text, -bm25(passage_{slot}) FROM passage_{slot} p "
    "JOIN document_{slot} d ON d.number = p.rowid >> 16 WHERE passage_{slot} MATCH ? ORDER BY rank LIMIT ?"
)


class SqliteKnowledgeStore:
    """`KnowledgeStore` in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def begin(self, *, full: bool) -> Build:
        def work(db: sqlite3.Connection) -> Build:
            number = _generation(db) + full
            for statement in _SLOT_SCHEMA:
                db.execute(_on(number, statement))
            return Build(number, full)

        return await self._run(work, writing=True)

    async def manifest(self, build: Build | None = None) -> Mapping[str, Stamp]:
        def work(db: sqlite3.Connection) -> dict[str, Stamp]:
            rows = db.execute(_on(build.generation if build else _generation(db), _MANIFEST))
            return {name: Stamp(*stamp) for name, *stamp in rows}

        return await self._run(work)

    async def size(self) -> IndexSize:
        return await self._run(lambda db: _size(db, _generation(db)))

    async def put(self, build: Build, documents: Sequence[IndexedDocument]) -> None:
        def work(db: sqlite3.Connection) -> None:
            _check(db, build)
            for document in documents:
                stamp = document.stamp
                row = (document.id, stamp.size, stamp.version, stamp.digest, stamp.pipeline)
                (number,) = db.execute(_on(build.generation, _UPSERT), row).fetchone()
                if document.passages is not None:
                    _replace(db, build.generation, number, document.passages)

        await self._run(work, writing=True)

    async def delete(self, build: Build, documents: Sequence[str]) -> None:
        def work(db: sqlite3.Connection) -> None:
            _check(db, build)
            for name in documents:
                row = db.execute(_on(build.generation, _NUMBER), (name,)).fetchone()
                if row is not None:
                    _replace(db, build.generation, row[0], ())
                    db.execute(_on(build.generation, _FORGET), row)

        await self._run(work, writing=True)

    async def commit(self, build: Build) -> IndexSize:
        def work(db: sqlite3.Connection) -> IndexSize:
            _check(db, build)
            if build.full and _generation(db) != build.generation:
                db.execute("UPDATE generation SET number = ?", (build.generation,))
                # In the same transaction: readers keep their snapshot, and no crash leaves the old one lying about.
                for statement in _EMPTY_SLOT:
                    db.execute(_on(build.generation - 1, statement))
            return _size(db, build.generation)

        return await self._run(work, writing=True)

    async def search(self, query: str, *, limit: int = 5) -> list[Hit]:
        words = re.findall(r"\w+", query[:QUERY_LENGTH])[:QUERY_WORDS]
        if not words:
            return []
        # Each word in quotes: to the full-text table nothing a person types is syntax.
        expression = " OR ".join(f'"{word}"' for word in words)

        def work(db: sqlite3.Connection) -> list[Hit]:
            rows = db.execute(_on(_generation(db), _SEARCH), (expression, max(0, min(limit, 1000))))
            return [Hit(name, number & (PASSAGES - 1), text, score) for name, number, text, score in rows]

        return await self._run(work)

    async def _run(self, work: Callable[[sqlite3.Connection], T], *, writing: bool = False) -> T:
        def run() -> T:
            try:
                with self._opened() as db, _transaction(db, writing=writing):
                    return work(db)
            except sqlite3.OperationalError as error:  # locked, full, unreadable, or built without FTS5
                raise StoreUnavailableError(f"{self._path}: {error}") from error

        return await asyncio.to_thread(run)

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        is_new = not self._path.exists()
        if is_new:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(self._path, timeout=PATIENCE, isolation_level=None)
        try:
            db.execute("PRAGMA synchronous = NORMAL")  # an index can be built again
            if is_new or db.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,):
                db.execute("PRAGMA journal_mode = WAL")
                with _transaction(db, writing=True):
                    for statement in (*_SCHEMA, *(_on(1, statement) for statement in _SLOT_SCHEMA)):
                        db.execute(statement)
            yield db
        finally:
            db.close()


@contextmanager
def _transaction(db: sqlite3.Connection, *, writing: bool) -> Iterator[None]:
    db.execute("BEGIN IMMEDIATE" if writing else "BEGIN")
    try:
        yield
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def _on(generation: int, statement: str) -> str:
    """The statement on the tables of a generation: one of two fixed sets."""
    return statement.replace("{slot}", "ab"[generation % 2])


def _generation(db: sqlite3.Connection) -> int:
    (number,) = db.execute("SELECT number FROM generation").fetchone()
    return int(number)


def _check(db: sqlite3.Connection, build: Build) -> None:
    """Refuse to write for a build that another one has overtaken: its tables now belong to somebody else."""
    now = _generation(db)
    if now != build.generation and not (build.full and now == build.generation - 1):
        raise StoreUnavailableError(f"generation {build.generation} was replaced by {now} in the meantime: start again")


def _size(db: sqlite3.Connection, generation: int) -> IndexSize:
    documents, passages = db.execute(_on(generation, _SIZE)).fetchone()
    return IndexSize(generation, documents, passages)


def _replace(db: sqlite3.Connection, generation: int, number: int, passages: Sequence[str]) -> None:
    first = number << PASSAGE_BITS
    db.execute(_on(generation, _CLEAR), (first, first + PASSAGES))
    rows = ((first + n, text) for n, text in enumerate(passages[:PASSAGES]))
    db.executemany(_on(generation, _PASSAGE), rows)
