"""Which schema a database has, and bringing it to the one this version works with.

Alembic is only imported when there is something to do: asking costs one query.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sqlalchemy as sa

from mainspring._version import __version__
from mainspring.adapters.sql.sqlite import SqliteSettings, check_version, connections, create_file, raw
from mainspring.adapters.sql.tables import metadata
from mainspring.errors import SchemaError

#: Every revision in ``migrations/versions``, oldest first; a test compares.
REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006", "0007")
HEAD = REVISIONS[-1]

#: Not Alembic's usual name: the database may be shared with an application that migrates its own tables.
VERSION_TABLE = "mainspring_schema"


def current(connection: sa.Connection) -> str | None:
    """Return the revision of a database, None for one without our tables.

    Raises:
        SchemaError: If it is of a version this one does not know.
    """
    if not sa.inspect(connection).has_table(VERSION_TABLE):
        return None
    version: str | None = connection.execute(sa.text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()  # noqa: S608 - ours
    if version is not None and version not in REVISIONS:
        raise SchemaError(
            f"the database has schema {version}, and Mainspring {__version__} knows none after {HEAD}: a newer version "
            "has migrated it. Install that version, or restore a backup from before"
        )
    return version


def upgrade(connection: sa.Connection) -> None:
    """Bring a database to `HEAD`, in the transaction that is open on ``connection``."""
    from alembic import command

    command.upgrade(alembic_config(connection), "head")


def alembic_config(connection: sa.Connection | None = None) -> Any:
    """Return Alembic's configuration for our migrations."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


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
