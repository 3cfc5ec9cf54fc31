"""Whether the API of this host answers, asked as a load balancer does: over HTTP, for its ready probe."""

from __future__ import annotations

import http.client
import ssl

from mainspring.cli.door import PORT, Door
from mainspring.control.process_health import ProcessHealth

#: Seconds a probe may take.
PATIENCE = 5.0


def check_api(door: Door) -> ProcessHealth:
    """Ask the server of this host whether it serves."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(door.host, door.host)
    port = PORT if door.port is None else door.port
    try:
        status = _status(host, port, door.certificate)
    except (OSError, http.client.HTTPException) as error:
        return ProcessHealth(False, f"the API does not answer on {host} port {port}: {error}")
    if status != 200:
        return ProcessHealth(False, f"the API on {host} port {port} is not ready: it answers {status}")
    return ProcessHealth(True, f"the API answers on {host} port {port}")


def _status(host: str, port: int, certificate: str | None) -> int:
    connection = http.client.HTTPConnection(host, port, timeout=PATIENCE)
    if certificate is not None:
        # Trust in the very certificate it serves with; its name is not this machine's loopback address.
        tls = ssl.create_default_context(cafile=certificate)
        tls.check_hostname = False
        tls.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        connection = http.client.HTTPSConnection(host, port, timeout=PATIENCE, context=tls)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status
    finally:
        connection.close()
