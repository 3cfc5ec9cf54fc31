"""SQLite files: where a URL puts them, how they are made, how connections to them are set up."""

from __future__ import annotations

import os
import sqlite3
import threading
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from mainspring.adapters.sql.failures import translated
from mainspring.adapters.sql.sqlite_failures import code_of
from mainspring.errors import SchemaError, StoreUnavailableError, ValidationError

#: RETURNING came with 3.35; RHEL 9 still links its Python to 3.34.
OLDEST = (3, 35, 0)
_WAL_TRIES, _WAL_PAUSE = 200, 0.025


@dataclass(frozen=True)
class SqliteSettings:
    """How connections are set up.

    ``synchronous`` ``full`` syncs each commit: what was acknowledged survives a power cut. ``normal`` may forget the
    last commits in one, though never in a crash of the process, and never damages the file.
    """

    path: Path
    synchronous: str = "full"
    busy_timeout: timedelta = timedelta(seconds=5)

    def __post_init__(self) -> None:
        if self.synchronous not in ("full", "normal"):
            raise ValidationError(f"{self.synchronous!r} is not one of: full, normal", field="synchronous")


def database_path(url: str | Path) -> Path:
    """Return the file a URL names. Raises `ValidationError` for a URL that names none.

    >>> database_path("sqlite:///jobs.db"), database_path("sqlite:////var/lib/jobs.db")
    (PosixPath('jobs.db'), PosixPath('/var/lib/jobs.db'))
    """
    if isinstance(url, Path):
        return url
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError as error:
        raise ValidationError(f"{url!r} is not a URL", field="database_url", fix="Write sqlite:///jobs.db") from error
    if parsed.get_backend_name() != "sqlite" or parsed.host:
        raise ValidationError(f"{url!r} is no SQLite file", field="database_url", fix="Write sqlite:///jobs.db")
    if parsed.query:
        raise ValidationError("a SQLite URL takes no options", field="database_url", fix="Write sqlite:///jobs.db")
    if not parsed.database or parsed.database == ":memory:":
        raise ValidationError(
            "a database in memory would be a different one for each connection",
            field="database_url",
            fix="Name a file, as in sqlite:///jobs.db; or use MemoryStore in tests",
        )
    return Path(parsed.database)


def check_version() -> None:
    """Raise `SchemaError` where this Python's SQLite is too old."""
    if sqlite3.sqlite_version_info < OLDEST:
        oldest = ".".join(map(str, OLDEST[:2]))
        raise SchemaError(
            f"this Python is linked to SQLite {sqlite3.sqlite_version}; Mainspring needs {oldest} or newer "
            "(3.51.3 is best). Use a newer Python build, or PostgreSQL"
        )


def create_file(path: Path) -> None:
    """Make an empty database that only its owner may read, unless there is one. Raises `StoreUnavailableError`."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        # Not opened, not even to look: closing any descriptor of a file drops all locks this process has on it.
        return
    except OSError as error:
        raise StoreUnavailableError(f"{path} cannot be made: {error.strerror}") from error


def connect(settings: SqliteSettings, *, read_only: bool = False) -> sqlite3.Connection:
    """Open a connection of the present thread. Transactions are begun and ended by hand.

    No connection checkpoints by itself (see `Writer.checkpoint`), and none maps the file into memory: both are how the
    defect of SQLite before 3.51.3 is kept away that damages files when two checkpoint at once.
    """
    timeout = settings.busy_timeout.total_seconds()
    connection = sqlite3.connect(settings.path, timeout=timeout, isolation_level=None, cached_statements=512)
    try:
        pragmas = [f"synchronous = {settings.synchronous}", "wal_autocheckpoint = 0", "mmap_size = 0"]
        pragmas += ["temp_store = memory", "cache_size = -16384", "journal_size_limit = 67108864"]
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")
        if read_only:
            connection.execute("PRAGMA query_only = 1")
        else:
            _use_wal(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _use_wal(connection: sqlite3.Connection) -> None:
    # Two processes may open a new file at once; for this one pragma SQLite does not wait by itself.
    for attempt in range(_WAL_TRIES):
        try:
            (mode,) = connection.execute("PRAGMA journal_mode = wal").fetchone()
        except sqlite3.OperationalError as error:
            if code_of(error) != sqlite3.SQLITE_BUSY or attempt == _WAL_TRIES - 1:
                raise
            threading.Event().wait(_WAL_PAUSE)
        else:
            if mode != "wal":
                raise StoreUnavailableError(f"the file system cannot keep a write-ahead log (journal mode {mode})")
            return


def connections(settings: SqliteSettings, *, read_only: bool = False) -> sa.Engine:
    """Return SQLAlchemy's way to new connections; nothing is pooled, each thread keeps its own."""

    def creator() -> sqlite3.Connection:
        try:
            return connect(settings, read_only=read_only)
        except sqlite3.Error as error:
            raise translated(error) from error

    return sa.create_engine(
        "sqlite://",
        creator=creator,
        poolclass=sa.pool.NullPool,
        isolation_level="AUTOCOMMIT",
        query_cache_size=1000,
        hide_parameters=True,  # payloads are not for logs
    )


def raw(connection: sa.Connection) -> sqlite3.Connection:
    """Return the driver's connection under one of SQLAlchemy's, to begin and end transactions on."""
    driver: Any = connection.connection.dbapi_connection
    assert isinstance(driver, sqlite3.Connection)
    return driver
