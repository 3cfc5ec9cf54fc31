"""Drivers' errors turned into ours, in the one place where a caller of the store meets them."""

from __future__ import annotations

import sqlalchemy as sa

from mainspring.errors import MainspringError, StoreError, StoreUnavailableError


def translated(error: BaseException, *, reading: bool = False) -> BaseException:
    """Return what a caller of the store should see: a driver's error as one of ours, anything else as it is.

    ``reading``: work had begun, which on a file that may not be written to only happens to work that is to read.
    """
    if isinstance(error, sa.exc.StatementError) and isinstance(error.orig, MainspringError):
        return error.orig  # raised where a value was made ready for the database
    driver = (error.orig or error) if isinstance(error, sa.exc.DBAPIError) else error
    if any(kind.__module__ == "sqlite3" for kind in type(driver).__mro__):
        from mainspring.adapters.sql import sqlite_failures  # its driver is loaded where it raises

        ours = sqlite_failures.ours(driver, reading)
    elif isinstance(error, sa.exc.DBAPIError):
        ours = _of_postgres(error, reading)
    elif isinstance(error, sa.exc.TimeoutError):
        ours = StoreUnavailableError(f"every connection of this process is in use: {error}")
    elif isinstance(error, sa.exc.SQLAlchemyError):
        ours = StoreError(str(error))
    elif isinstance(error, StopIteration):  # no future can carry one
        ours = StoreError("work raised StopIteration")
    else:
        return error
    ours.__cause__ = error
    return ours


#: Classes and codes of SQLSTATE that pass by themselves: no connection, no resources, shutting down, a limit of time.
_AWAY = ("08", "53", "57P", "57014", "55P03", "25P03", "40")
_READ_ONLY = "25006"
#: A failed serialisation, which is also what a row moved to another partition fails with; a deadlock; a statement the
#: server was to keep and has forgotten, or whose columns are of other types by now.
_AGAIN = ("40001", "40P01", "26000", "0A000")


def repeatable(error: BaseException) -> bool:
    """Tell whether a transaction that failed so may succeed when the whole of it is run again: a deadlock, say.

    The error may be one of ours by now: what the driver said is then its cause.
    """
    known: BaseException | None = error
    while known is not None:
        if _sqlstate(known) in _AGAIN:
            return True
        known = known.__cause__
    return False


def _of_postgres(error: sa.exc.DBAPIError, reading: bool) -> StoreError:
    state = _sqlstate(error)
    said = str(error.orig).strip().split("\n")[0]
    if reading and state == _READ_ONLY:
        return StoreError("work given to read() tried to write")
    lost = state is None and isinstance(error, sa.exc.OperationalError | sa.exc.InterfaceError)
    if lost or error.connection_invalidated or (state is not None and state.startswith(_AWAY)):
        return StoreUnavailableError(f"the database is away or busy (PostgreSQL: {said})")
    return StoreError(f"PostgreSQL: {said}")


def _sqlstate(error: BaseException) -> str | None:
    driver = error.orig if isinstance(error, sa.exc.DBAPIError) else error
    state: str | None = getattr(driver, "sqlstate", None)
    return state
