"""`server`: the REST API in this process, as a call of plain values (see `mainspring.cli.run`)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from mainspring.cli.door import PORT, Door
from mainspring.cli.run import HealthCheck, LogLevel
from mainspring.cli.serving import check_server, serve_alone
from mainspring.cli.target import Target


def server(
    *,
    host: str = "127.0.0.1",
    port: int = PORT,
    certificate: str | None = None,
    certificate_key: str | None = None,
    healthcheck: HealthCheck = False,
    log_level: LogLevel = "info",
    target: Target | None = None,
) -> Callable[[], int]:
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
    target, door = target or Target(), Door(host, port, certificate, certificate_key)
    if healthcheck:
        return partial(check_server, door, target.output)
    return partial(serve_alone, target.wanted(), door, log_level)
