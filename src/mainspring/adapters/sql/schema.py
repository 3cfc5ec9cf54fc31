"""Which schema a database has, and bringing it to the one this version works with.

Alembic is only imported when there is something to do: asking costs one query.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sqlalchemy as sa

from mainspring._version import __version__
from mainspring.errors import SchemaError

#: Every revision in ``migrations/versions``, oldest first; a test compares.
REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008")
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
