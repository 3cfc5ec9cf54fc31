"""`mainspring server` as a process."""

from __future__ import annotations

import signal

import pytest

from tests.e2e.conftest import Cli


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_server_stops_in_order_when_told_to_and_not_as_one_that_was_killed(
    cli: Cli, number: signal.Signals
) -> None:
    assert cli("migrate", "--db", "jobs.db").code == 0
    server = cli.start("server", "--port", "0", "--db", "jobs.db")
    server.wait_for("listening on http://127.0.0.1:")
    server.signal(number)
    assert server.end() == 0
