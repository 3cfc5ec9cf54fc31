"""The server as a process: keys from the command line, requests, and a stop with streams open."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import until

MAINSPRING = [sys.executable, "-m", "mainspring"]


def run(*words: str, db: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*MAINSPRING, *words, "--db", str(db)], capture_output=True, text=True, timeout=60, check=False
    )


class Running:
    """A server process and where it listens."""

    def __init__(self, db: Path) -> None:
        words = [*MAINSPRING, "server", "--port", "0", "--db", str(db)]
        self.process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if line.startswith("listening on "):
                self.port = int(line.rsplit(":", 1)[1])
                return
        raise AssertionError("the server ended before it listened")

    def ask(self, method: str, path: str, body: Any = None, key: str | None = None) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
        connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        return answer.status, json.loads(text) if text else None

    def stream(self, path: str) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n\r\n".encode())
        assert connection.recv(12) == b"HTTP/1.1 200"
        return connection


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Running]:
    running = Running(tmp_path / "server.db")
    try:
        yield running
    finally:
        running.process.kill()
        running.process.communicate()


def test_a_key_made_by_command_is_what_the_server_then_asks_for(server: Running, tmp_path: Path) -> None:
    jobs = "/api/v1/platforms/acme/jobs"
    assert server.ask("GET", "/api/v1/platforms/default/jobs")[0] == 200
    made = run("keys", "create", "--platform", "acme", "--role", "editor", "-o", "json", db=tmp_path / "server.db")
    key = json.loads(made.stdout)
    assert (key["role"], key["platform_id"]) == ("editor", "acme")
    assert server.ask("GET", jobs)[0] == 401
    body = {"name": "x", "type": "manual", "handler": "h"}
    assert server.ask("POST", jobs, body, key["secret"])[0] == 201
    assert server.ask("GET", "/api/v1/platforms/default/jobs", key=key["secret"])[0] == 404
    listed = run("keys", "list", "--platform", "acme", "-o", "json", db=tmp_path / "server.db").stdout
    assert key["id"] in listed
    assert key["secret"] not in listed
    run("keys", "revoke", key["id"], "--platform", "acme", db=tmp_path / "server.db")
    # Within five seconds by the server's clock; what a busy machine adds is not the server's.
    until("a revoked key is refused", lambda: server.ask("GET", jobs, key=key["secret"])[0] == 401, 15)


def test_a_stop_ends_open_streams_within_a_second(server: Running) -> None:
    base = "/api/v1/platforms/default"
    streams = [
        server.stream(f"{base}/stream"),
        server.stream(f"{base}/overview:stream"),
        server.stream(f"{base}/stream"),
    ]
    began = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(timeout=20) == 0
    took = time.monotonic() - began
    for one in streams:
        text = b""
        while chunk := one.recv(65536):
            text += chunk
        assert b"event: end" in text
        one.close()
    assert took < 5, took  # a second on a machine at rest; this one may be busy


def test_a_stop_answers_whoever_still_sends_and_leaves_no_traceback(server: Running) -> None:
    sending = socket.create_connection(("127.0.0.1", server.port), timeout=20)
    head = f"POST /api/v1/platforms/default/jobs HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
    sending.sendall(
        f"{head}Content-Type: application/json\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n".encode()
    )
    assert sending.recv(25) == b"HTTP/1.1 100 Continue\r\n\r\n"  # it waits for the body now
    sending.sendall(b"{")
    server.process.send_signal(signal.SIGTERM)
    told = b""
    while chunk := sending.recv(65536):
        told += chunk
    sending.close()
    _, log = server.process.communicate(timeout=20)
    assert told.startswith(b"HTTP/1.1 503 "), told
    assert (server.process.returncode, "Traceback" in log) == (0, False), log


def test_an_address_others_reach_needs_a_key_first(tmp_path: Path) -> None:
    refused = run("server", "--host", "0.0.0.0", "--port", "0", db=tmp_path / "a.db")
    assert refused.returncode != 0
    assert "keys create" in refused.stderr
