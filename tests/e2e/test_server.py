"""The API as a process: `mainspring server`, and beside the other roles in `dev` and `all`."""

from __future__ import annotations

import json
import signal
import socket
import urllib.request
from typing import Any

import pytest

from tests.e2e.conftest import Cli, Process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_server_stops_in_order_when_told_to_and_not_as_one_that_was_killed(
    cli: Cli, number: signal.Signals
) -> None:
    assert cli("migrate", "--db", "jobs.db").code == 0
    server = cli.start("server", "--port", "0", "--db", "jobs.db")
    server.wait_for("listening on http://127.0.0.1:")
    server.signal(number)
    assert server.end() == 0


def where(process: Process) -> str:
    """Return the address a process says its API has."""
    return process.wait_for("API at http://").rsplit(" ", 1)[1]


def asked(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=20) as answer:
        return json.load(answer)


def open_stream(url: str) -> socket.socket:
    """Return a connection on which a stream has begun."""
    host, _, path = url.removeprefix("http://").partition("/")
    connection = socket.create_connection((host.split(":")[0], int(host.split(":")[1])), timeout=20)
    connection.sendall(f"GET /{path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    assert connection.recv(12) == b"HTTP/1.1 200"
    return connection


def rest_of(connection: socket.socket) -> bytes:
    text = b""
    while chunk := connection.recv(65536):
        text += chunk
    connection.close()
    return text


def test_dev_serves_the_api_of_the_engine_it_runs(shop: Cli) -> None:
    dev = shop.start("dev", "shop.py", "--port", "0")
    api = where(dev)
    assert api.startswith("http://127.0.0.1:")
    jobs = f"{api}/platforms/default/jobs"
    assert {job["name"] for job in asked(jobs)["data"]} >= {"tick", "report"}
    dev.wait_for("tick +finished in")
    assert asked(f"{jobs}/tick/executions")["data"]
    stream = open_stream(f"{api}/platforms/default/stream")
    dev.signal(signal.SIGTERM)
    text = rest_of(stream)
    assert b"event: end" in text
    assert dev.end() == 0


def test_dev_takes_another_port_where_the_usual_one_is_taken_and_none_when_told_so(shop: Cli) -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", 8700))
            taken.listen()
        except OSError:
            pass  # somebody else's is as good
        dev = shop.start("dev", "shop.py")
        assert not where(dev).endswith(":8700/api/v1")
        dev.signal(signal.SIGTERM)
        assert dev.end() == 0
        quiet = shop.start("dev", "shop.py", "--no-api")
        quiet.wait_for("tick +finished in")
        quiet.signal(signal.SIGTERM)
        assert quiet.end() == 0
        assert "API" not in quiet.text


def test_a_server_is_well_while_it_answers(cli: Cli) -> None:
    server = cli.start("server", "--port", "0", "--db", "jobs.db")
    port = server.wait_for("listening on http://127.0.0.1:").rsplit(":", 1)[1]
    answer = cli("server", "--healthcheck", "--port", port)
    assert (answer.code, answer.out) == (0, f"well: the API answers on 127.0.0.1 port {port}\n")
    server.signal(signal.SIGTERM)
    assert server.end() == 0
    assert cli("server", "--healthcheck", "--port", port).code == 1
