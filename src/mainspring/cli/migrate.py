"""`migrate`: make or migrate the schema, and show its version."""

from __future__ import annotations

import asyncio
from typing import Any

from mainspring.cli.doctor import schema_revision
from mainspring.cli.output import pairs, print_one
from mainspring.cli.target import Opened, Target
from mainspring.cli.urls import masked


def migrate(*, target: Target | None = None) -> None:
    """Make or migrate the database's schema, and show its version.

    A SQLite file is made and migrated whenever it is opened. A PostgreSQL database is by this command alone: in one
    transaction, by one process at a time, so that interrupted it has done nothing.
    """
    target = target or Target()
    wire = asyncio.run(_migrate(target))
    print_one(target.output, wire, pairs(wire | {"state": "at head"}))


async def _migrate(target: Target) -> dict[str, Any]:
    app = target.app("migrating")
    step = getattr(app.store, "migrate", None)
    before = await step() if step is not None else None
    await app.open()
    try:
        return {
            "database_url": masked(app.settings.database_url),
            "schema_version": await schema_revision(Opened(app, app.scheduler())),
            "before": before,
        }
    finally:
        await app.close()
