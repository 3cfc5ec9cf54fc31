"""Errors of SQLite's driver turned into ours; everything else is in `mainspring.adapters.sql.failures`."""

from __future__ import annotations

import sqlite3

from mainspring.errors import StoreError, StoreUnavailableError

#: Primary codes of what passes without anybody mending the data: locks, a full disk, a lost volume, a missing right.
_PASSING = {
    sqlite3.SQLITE_BUSY: "the database is locked by another process",
    sqlite3.SQLITE_LOCKED: "the database is locked",
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_IOERR: "the disk failed",
    sqlite3.SQLITE_CANTOPEN: "the database file cannot be opened",
    sqlite3.SQLITE_READONLY: "the database file is read-only",
    sqlite3.SQLITE_PERM: "the database file may not be used",
    sqlite3.SQLITE_NOMEM: "memory ran out",
    sqlite3.SQLITE_INTERRUPT: "the statement was interrupted",
    sqlite3.SQLITE_PROTOCOL: "the database is locked",
}
_DAMAGED = {
    sqlite3.SQLITE_CORRUPT: "the database file is damaged: restore it from a backup",
    sqlite3.SQLITE_NOTADB: "the file is not a SQLite database",
}


def code_of(error: BaseException) -> int | None:
    """Return SQLite's primary code of an error, None where it has none."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def ours(error: BaseException, reading: bool) -> StoreError:
    """Return what a caller of the store should see; ``reading``: work that was to read had begun."""
    code = code_of(error)
    if reading and code == sqlite3.SQLITE_READONLY:
        return StoreError("work given to read() tried to write")
    if code in _PASSING:
        return StoreUnavailableError(f"{_PASSING[code]} (SQLite: {error})")
    if code in _DAMAGED:
        return StoreError(f"{_DAMAGED[code]} (SQLite: {error})")
    return StoreError(f"SQLite: {error}")
