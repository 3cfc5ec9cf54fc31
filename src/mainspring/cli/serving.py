"""The API in a process: where it listens, alone or beside what else runs there, and whether it is well."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from importlib import import_module
from typing import TYPE_CHECKING

from mainspring._version import __version__
from mainspring.cli.door import Door
from mainspring.cli.exits import Exit
from mainspring.cli.loading import Wanted
from mainspring.cli.output import Format, print_one, say
from mainspring.errors import SettingsError
from mainspring.model.log_events import about

if TYPE_CHECKING:
    from mainspring.app import Mainspring
    from mainspring.cli.roles import Level

logger = logging.getLogger("mainspring")

MISSING = "the server needs more packages: pip install 'mainspring[server]'"


@contextlib.asynccontextmanager
async def api_beside(app: Mainspring, door: Door, tell: Callable[[str], None]) -> AsyncIterator[None]:
    """Serve the API of an open application while the block runs, and tell where. Raises `SettingsError`."""
    try:
        # In a thread: what runs beside it must not wait while a web framework is loaded.
        module = await asyncio.to_thread(import_module, "mainspring.api.server")
    except ImportError as error:
        if not door.modest:
            raise SettingsError(f"{MISSING}; or leave the API out: --no-api") from error
        tell("the API is not served: pip install 'mainspring[server]'")
        yield
        return
    async with module.serving(app, door.settings(module)) as url:
        tell(f"API at {url}/api/v1")
        yield


def serve_alone(wanted: Wanted, door: Door, level: Level) -> int:
    """Serve the API of an application that runs elsewhere until told to stop; return the exit code."""
    from mainspring.app.loop import rest_in_memory, run_loop
    from mainspring.cli.process import structured

    try:
        module = import_module("mainspring.api.server")
    except ImportError as error:
        raise SettingsError(MISSING) from error
    app = wanted.app()

    async def run() -> None:
        started: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        started.add_done_callback(_listening)
        started.add_done_callback(lambda _: rest_in_memory())
        await module.serve(app, door.settings(module), started=started)

    # A server has no live view: what it has to say is its log.
    with structured("json" if app.settings.log_format == "json" else "console", level):
        run_loop(run())
    return Exit.DONE


def _listening(url: asyncio.Future[str]) -> None:
    say(f"listening on {url.result()}")
    logger.info("server started", extra=about("node.started", roles="server", version=__version__, url=url.result()))


def check_server(door: Door, output: Format) -> int:
    """Print how the server at a door is; return 0 if it is well, else 1."""
    from mainspring.cli.api_probe import check_api

    found = check_api(door)
    told = f"{'well' if found.well else 'not well'}: {found.sentence}"
    print_one(output, {"role": "server", "well": found.well, "sentence": found.sentence}, told)
    return Exit.DONE if found.well else Exit.FAILED
