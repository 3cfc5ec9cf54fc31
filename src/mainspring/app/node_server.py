"""The small server of a worker or dispatcher: metrics and probes, in a thread of its own.

``/livez`` asks the event loop for a sign of life, which a handler that blocks it cannot give. Once an API key exists,
metrics and health need one that may read metrics; the probes never do. It serves GET alone and reads no body.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from concurrent.futures import Future
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson

from mainspring.app.exposition import Exposition
from mainspring.control.keys import identify_blocking
from mainspring.errors import MainspringError, SettingsError, UnauthorizedError
from mainspring.ports.store import Store, Tx

logger = logging.getLogger("mainspring")

#: Seconds the event loop has to answer, and a client to send its request.
LIVE, SLOW = 2.0, 5.0


class NodeServer:
    """Serves one node on an address while it runs."""

    def __init__(self, address: tuple[str, int], exposition: Exposition, store: Store, loop: asyncio.AbstractEventLoop):
        self.exposition, self.store, self._loop = exposition, store, loop
        try:
            self._server = _Server(address, self)
        except OSError as error:
            where = f"{address[0]}:{address[1]}"
            raise SettingsError(f"metrics_listen: cannot listen on {where}: {error.strerror}") from error
        self._thread = threading.Thread(target=self._server.serve_forever, name="mainspring-metrics", daemon=True)
        self.what_is_wrong: Any = lambda tx: None

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def stop(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def turns(self) -> bool:
        """Tell whether the event loop turns."""
        sign: Future[None] = Future()
        try:
            self._loop.call_soon_threadsafe(sign.set_result, None)
            sign.result(LIVE)
        except (RuntimeError, TimeoutError):
            return False
        return True

    def admits(self, authorization: str) -> bool:
        """Tell whether a caller may see more than the probes."""
        if not self.store.read_blocking(_any_key):
            return True
        scheme, _, text = authorization.partition(" ")
        try:
            key, _ = identify_blocking(self.store, text.strip() if scheme.lower() == "bearer" else "")
        except UnauthorizedError:
            return False
        return "metrics:read" in key.allowed


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], node: NodeServer) -> None:
        self.node = node
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, _Request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Note what went wrong with a request; nothing of it concerns the node's work."""
        logger.debug("a request to the metrics port failed", exc_info=True)


class _Request(BaseHTTPRequestHandler):
    server: _Server
    timeout = SLOW
    server_version, sys_version = "mainspring", ""

    def do_GET(self) -> None:
        path, node = self.path.partition("?")[0], self.server.node
        try:
            if path == "/livez":
                self._tell(node.turns(), {})
            elif path == "/readyz":
                wrong = node.exposition.ready(node.what_is_wrong) if node.turns() else "the event loop does not turn"
                self._tell(wrong is None, {})
            elif path not in ("/metrics", "/healthz"):
                self._answer(404, b'{"code":"not_found"}', "application/problem+json")
            elif not node.admits(self.headers.get("Authorization", "")):
                told = b'{"code":"unauthorized","detail":"send an API key: Authorization: Bearer msk_..."}'
                self._answer(401, told, "application/problem+json")
            elif path == "/metrics":
                body, kind = node.exposition.metrics(self.headers.get("Accept", ""))
                self._answer(200, body, kind)
            else:
                found = node.exposition.health()
                told = orjson.dumps(found)
                self._answer(503 if found["status"] == "fail" else 200, told, "application/health+json")
        except MainspringError as error:
            self._answer(503, orjson.dumps({"code": error.code}), "application/problem+json")

    def _tell(self, well: bool, more: dict[str, Any]) -> None:
        body = orjson.dumps({"status": "pass" if well else "fail", **more})
        self._answer(200 if well else 503, body, "application/health+json")

    def _answer(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        for name, value in (("Content-Type", kind), ("Content-Length", str(len(body))), ("Cache-Control", "no-store")):
            self.send_header(name, value)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Log no request: probes come every few seconds."""


def _any_key(tx: Tx) -> bool:
    return tx.admin.any_key()
