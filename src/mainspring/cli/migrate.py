"""`migrate`: make or migrate the schema, and show its version."""

from __future__ import annotations

from typing import Any

from mainspring.cli.output import pairs, print_one
from mainspring.cli.target import Client, Target


def migrate(*, target: Target | None = None) -> None:
    """Make or migrate the database's schema, and show its version.

    A SQLite file is made and migrated whenever it is opened, so this only shows its version, or makes the file.
    """
    target = target or Target()

    async def work(client: Client) -> dict[str, Any]:
        store = client.app.store
        version = getattr(store, "schema_version", None)
        return {
            "database_url": client.app.settings.database_url,
            "schema_version": version() if callable(version) else version,
        }

    wire = target.run(work, create=True)
    print_one(target.output, wire, pairs(wire | {"state": "at head"}))
