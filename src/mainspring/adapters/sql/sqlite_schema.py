"""The schema of a SQLite file: made or migrated whenever it is opened."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from mainspring.adapters.sql.schema import HEAD, current, upgrade
from mainspring.adapters.sql.sqlite import SqliteSettings, check_version, connections, create_file, raw
from mainspring.adapters.sql.tables import metadata
from mainspring.errors import SchemaError


def prepare_sqlite(settings: SqliteSettings) -> None:
    """Make a SQLite file or bring it to `HEAD`, under its write lock: any number of processes may do so at once."""
    check_version()
    create_file(settings.path)
    engine = connections(settings)
    with engine.connect() as connection:
        if current(connection) == HEAD:
            return
        driver = raw(connection)
        driver.execute("BEGIN IMMEDIATE")
        try:
            version = current(connection)
            if version is None:
                _refuse_others(connection, settings.path)
            if version != HEAD:
                upgrade(connection)
            driver.execute("COMMIT")
        except BaseException:
            if driver.in_transaction:
                driver.execute("ROLLBACK")
            raise


def _refuse_others(connection: sa.Connection, path: Path) -> None:
    taken = sorted(set(sa.inspect(connection).get_table_names()) & set(metadata.tables))
    if taken:
        raise SchemaError(
            f"{path} has tables that are not Mainspring's, such as {taken[0]!r}: it belongs to something else. "
            "Give Mainspring a file of its own"
        )


def sqlite_revision(settings: SqliteSettings) -> str | None:
    """Return the revision of a SQLite file, None where there is none yet."""
    check_version()
    if not settings.path.exists():
        return None
    with connections(settings, read_only=True).connect() as connection:
        return current(connection)
