"""`server`: the REST API in this process."""

from __future__ import annotations

import asyncio
import logging

from mainspring._version import __version__
from mainspring.cli.exits import Exit
from mainspring.cli.output import print_one, say
from mainspring.cli.process import structured
from mainspring.cli.run import HealthCheck, LogLevel
from mainspring.cli.serving import MISSING, PORT, Door
from mainspring.cli.target import Target
from mainspring.errors import SettingsError
from mainspring.model.log_events import about

logger = logging.getLogger("mainspring")


def server(
    *,
    host: str = "127.0.0.1",
    port: int = PORT,
    certificate: str | None = None,
    certificate_key: str | None = None,
    healthcheck: HealthCheck = False,
    log_level: LogLevel = "info",
    target: Target | None = None,
) -> int:
    """Serve the REST API until SIGTERM or Ctrl-C.

    Without any API key it listens on this machine alone, and whoever calls from here is admin. Once a key has been made
    (`mainspring keys create`) every request needs one.

    Args:
        host: Address to listen on; another than this machine's own needs a key to have been made.
        port: Port to listen on; 0 for any free one.
        certificate: PEM file of a certificate, to serve HTTPS.
        certificate_key: PEM file of its key.
        healthcheck: Run nothing: exit 0 if the server on this host and port is ready, else 1.
        log_level: Log records shown: this level and above.
    """
    target = target or Target()
    if healthcheck:
        from mainspring.cli.api_probe import check_api

        found = check_api(Door(host, port, certificate))
        told = f"{'well' if found.well else 'not well'}: {found.sentence}"
        print_one(target.output, {"role": "server", "well": found.well, "sentence": found.sentence}, told)
        return Exit.DONE if found.well else Exit.FAILED
    from mainspring.app.loop import rest_in_memory, run_loop

    try:
        from mainspring.api.server import ServerSettings, serve
    except ImportError as error:
        raise SettingsError(MISSING) from error
    app = target.app()
    settings = ServerSettings(host, port, certificate, certificate_key)

    async def run() -> None:
        started: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        started.add_done_callback(_listening)
        started.add_done_callback(lambda _: rest_in_memory())
        await serve(app, settings, started=started)

    # A server has no live view: what it has to say is its log.
    with structured("json" if app.settings.log_format == "json" else "console", log_level):
        run_loop(run())
    return Exit.DONE


def _listening(url: asyncio.Future[str]) -> None:
    say(f"listening on {url.result()}")
    logger.info("server started", extra=about("node.started", roles="server", version=__version__, url=url.result()))
