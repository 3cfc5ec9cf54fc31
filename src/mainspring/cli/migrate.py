"""`migrate`: make or migrate the schema, and show its version."""

from __future__ import annotations

from typing import Any

from mainspring.cli.config import masked
from mainspring.cli.doctor import schema_revision
from mainspring.cli.output import pairs, print_one
from mainspring.cli.target import Client, Target


def migrate(*, target: Target | None = None) -> None:
    """Make or migrate the database's schema, and show its version.

    A SQLite file is made and migrated whenever it is opened, so this makes a file that is not there, or shows what is.
    """
    target = target or Target()

    async def work(client: Client) -> dict[str, Any]:
        return {
            "database_url": masked(client.app.settings.database_url),
            "schema_version": await schema_revision(client),
        }

    wire = target.run(work, create=True)
    print_one(target.output, wire, pairs(wire | {"state": "at head"}))
