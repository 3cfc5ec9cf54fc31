"""`--healthcheck`: whether the process of this host is well, as an exit code for containers and service managers."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

from mainspring.cli.api_probe import check_api
from mainspring.cli.door import Door
from mainspring.cli.exits import Exit
from mainspring.cli.loading import Wanted
from mainspring.cli.output import Format, print_one
from mainspring.cli.urls import sqlite_path
from mainspring.control.process_health import ProcessHealth, check_dispatcher, check_worker
from mainspring.errors import MainspringError

if TYPE_CHECKING:
    from mainspring.app import Mainspring
    from mainspring.ports.store import Tx

#: Seconds the answer may take: a check that hangs is a check that failed.
PATIENCE = 10.0

CHECKS = {
    "worker": (check_worker,),
    "dispatcher": (check_dispatcher,),
    "all": (check_dispatcher, check_worker),
}


def healthcheck(role: str, wanted: Wanted, output: Format, door: Door | None = None) -> int:
    """Print how the role's process of this host is, and its API where it has one; return 0 if it is well, else 1."""
    found = asyncio.run(_asked(role, wanted.app()))
    if door is not None:
        found.append(check_api(door))
    well = all(one.well for one in found)
    text = "; ".join(one.sentence for one in found if one.well == well)
    print_one(output, {"role": role, "well": well, "sentence": text}, f"{'well' if well else 'not well'}: {text}")
    return Exit.DONE if well else Exit.FAILED


async def _asked(role: str, app: Mainspring) -> list[ProcessHealth]:
    path = sqlite_path(app.settings.database_url)
    if path is not None and not path.exists():
        return [ProcessHealth(False, f"there is no database {path}")]
    host = socket.gethostname()

    def work(tx: Tx) -> list[ProcessHealth]:
        return [check(tx, host) for check in CHECKS[role]]

    try:
        async with asyncio.timeout(PATIENCE):
            store = await app.open()
            try:
                return await store.read(work)
            finally:
                await app.close()
    except TimeoutError:
        return [ProcessHealth(False, f"the database did not answer within {PATIENCE:g} s")]
    except MainspringError as error:
        return [ProcessHealth(False, str(error))]
