"""The commands of a fleet as processes on PostgreSQL: supervised workers, a dispatcher, and what asks after them."""

from __future__ import annotations

import json
import re
import signal
import socket
import urllib.request
from collections.abc import Iterator
from typing import Any, LiteralString

import psycopg
import pytest

from tests import servers
from tests.e2e.conftest import Cli, Process
from tests.waiting import until

#: What only commands that ask, other databases and servers use: megabytes that a worker would hold for nothing.
UNUSED = (
    *("alembic", "fastapi", "html", "http", "httpx2", "pygments", "rich", "starlette", "structlog", "uvicorn"),
    *("mainspring.api", "mainspring.client", "mainspring.cli.executions", "mainspring.app.logs"),
)

APP = """
import asyncio, os, sys
from mainspring import Mainspring

ms = Mainspring(drain_grace_ms=20_000, stop_grace_ms=500)

@ms.every("1s", name="tick", queue="reports")
async def tick() -> int:
    return os.getpid()

@ms.cron("0 0 1 1 *", name="loaded", payload={"names": []})
async def loaded(names: list[str]) -> list[str]:
    return [name for name in names if name in sys.modules]

@ms.handler(timeout="10m")
async def slow() -> None:
    await asyncio.sleep(300)
"""


@pytest.fixture
def fleet(cli: Cli, postgres18_url: str) -> Iterator[Cli]:
    """A folder with an app and a migrated database of its own on PostgreSQL."""
    with servers.new_database(postgres18_url) as url:
        cli.environment |= {"MAINSPRING_DATABASE_URL": url}
        (cli.folder / "fleet.py").write_text(APP)
        assert cli("migrate").code == 0
        yield cli
        for process in cli.processes:
            process.kill()


def asked(cli: Cli, question: LiteralString) -> list[tuple[Any, ...]]:
    """Ask the database: quicker than starting one more command."""
    with psycopg.connect(cli.environment["MAINSPRING_DATABASE_URL"]) as connection:
        return connection.execute(question).fetchall()


def workers(cli: Cli) -> dict[str, int]:
    """Return the workers that have not stopped by id, with their process ids."""
    return dict(asked(cli, "SELECT id, pid FROM workers WHERE status IN ('running', 'draining')"))


def until_ticks(process: Process, times: int = 1) -> None:
    for _ in range(times):
        process.wait_for("tick +finished in")


def until_unwell(cli: Cli, role: str) -> None:
    until(f"the {role} counts as well no more", lambda: cli(role, "--healthcheck").code != 0)


@pytest.mark.timeout(300)  # a dozen processes, on machines that are busy
def test_a_supervisor_keeps_workers_running_and_drains_them(fleet: Cli) -> None:
    """One worker is killed, another takes its place; SIGTERM drains, a second one gives back what runs."""
    assert fleet("dispatcher", "--healthcheck", "-o", "json").json["well"] is False

    dispatcher = fleet.start("dispatcher", "fleet:ms")
    supervisor = fleet.start("worker", "fleet:ms", "--queues", "default:2,reports:2", "--processes", "2")
    supervisor.wait_for("supervising 2 workers")
    supervisor.wait_for("queues +default:2,reports:2")
    supervisor.wait_for("queues +default:2,reports:2")
    until_ticks(supervisor)

    before = workers(fleet)
    assert len(before) == len(set(before.values())) == 2
    assert supervisor.pid not in before.values()
    for role in ("worker", "dispatcher"):
        answer = fleet(role, "--healthcheck")
        assert answer.code == 0, answer.out
        assert answer.out.startswith("well: ")

    victim = min(before.values())
    supervisor.send(victim, signal.SIGKILL)
    supervisor.wait_for(r"worker \d ended by signal 9; starting another in 0.5 s")
    supervisor.wait_for("queues +default:2,reports:2")
    until_ticks(supervisor)
    assert len(set(workers(fleet)) - set(before)) == 1, "the new one is another worker, under an id of its own"

    assert fleet("jobs", "create", "long", "--handler", "slow", "--manual").code == 0
    assert fleet("jobs", "trigger", "long").code == 0
    supervisor.wait_for("long +started, triggered")
    supervisor.signal(signal.SIGTERM)
    supervisor.wait_for("draining 2 workers")
    supervisor.signal(signal.SIGTERM)
    supervisor.wait_for("releasing what runs on")
    assert supervisor.end() == 0
    assert re.search("long +released after", supervisor.text)
    assert asked(fleet, "SELECT status, attempt FROM executions WHERE handler = 'slow'") == [("queued", 0)]

    until_unwell(fleet, "worker")  # the one that was killed could not say so: it counts until its lease is over
    dispatcher.signal(signal.SIGTERM)
    assert dispatcher.end() == 0


def test_workers_drain_when_their_supervisor_was_killed(fleet: Cli) -> None:
    supervisor = fleet.start("worker", "fleet:ms", "--processes", "2")
    supervisor.wait_for("queues +default:20")
    supervisor.wait_for("queues +default:20")
    supervisor.signal(signal.SIGKILL)
    for _ in range(2):
        supervisor.wait_for("ERROR the supervisor, process [0-9]+, is gone: draining")
    supervisor.end()
    assert workers(fleet) == {}


def test_every_role_in_one_process(fleet: Cli) -> None:
    process = fleet.start("all", "fleet:ms", "--queues", "reports:1", "--port", "0")
    api = process.wait_for("API at http://127.0.0.1:").rsplit(" ", 1)[1]
    with urllib.request.urlopen(f"{api}/platforms/default/jobs", timeout=20) as answer:
        assert [job["name"] for job in json.load(answer)["data"]] == ["loaded", "tick"]
    until_ticks(process, 2)
    port = api.split(":")[2].partition("/")[0]
    assert fleet("all", "fleet:ms", "--healthcheck", "--port", port).code == 0
    assert fleet("all", "--healthcheck", "--port", port).code == 0
    process.signal(signal.SIGTERM)
    assert process.end() == 0
    unwell = fleet("all", "fleet:ms", "--healthcheck", "--port", port)
    assert unwell.code == 1
    assert "the API does not answer" in unwell.out


def test_every_role_on_a_taken_port_says_so_and_ends(fleet: Cli) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = fleet.start("all", "fleet:ms", "--port", str(taken.getsockname()[1]))
        assert process.end() == 2
    assert "cannot listen on 127.0.0.1 port" in process.text


def test_a_dispatcher_waits_for_a_database_that_is_not_there_yet(cli: Cli) -> None:
    away = "postgresql://127.0.0.1:1/nowhere?connect_timeout=2"
    process = cli.start("dispatcher", "--db", away)
    process.wait_for("the database cannot be reached; trying again in 0.5 s")
    process.wait_for("trying again in 1 s")
    process.signal(signal.SIGTERM)
    assert process.end() != 0
    answer = cli("dispatcher", "--healthcheck", "--db", away)
    assert answer.code == 1
    assert answer.out.startswith("not well: ")


def test_workers_that_can_never_start_are_not_started_for_ever(cli: Cli) -> None:
    broken = cli.start("worker", "nope:ms", "--processes", "2")
    assert broken.end() == 2
    assert "there is no module 'nope'" in broken.text
    assert "cannot be started (exit code 2): stopping the others" in broken.text


def test_one_sqlite_file_takes_one_worker(cli: Cli) -> None:
    (cli.folder / "fleet.py").write_text(APP)
    process = cli.start("worker", "fleet:ms", "--processes", "2")
    assert process.end() == 5
    assert "already has an engine" in process.text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("worker",), "needs an app"),
        (("worker", "fleet:ms", "--processes", "0"), "must be from 1 to 256"),
        (("worker", "fleet:ms", "--processes", "many"), "--processes"),
        (("worker", "fleet:ms", "--processes", "2", "--queues", "a:none"), "is not NAME:SLOTS"),
        (("all",), "all needs an app"),
    ],
)
def test_what_cannot_be_run_is_refused(cli: Cli, words: tuple[str, ...], message: str) -> None:
    answer = cli(*words)
    assert answer.code == 2
    assert message in answer.err


def test_a_worker_loads_nothing_that_it_does_not_use(fleet: Cli, valkey_url: str) -> None:
    fleet.environment |= {"MAINSPRING_REDIS_URL": valkey_url}
    worker = fleet.start("worker", "fleet.py:ms")
    worker.wait_for("worker")
    payload = json.dumps({"names": [*UNUSED, "redis"]})
    until("its job is registered", lambda: fleet("jobs", "get", "loaded").code == 0)
    answer = fleet("jobs", "trigger", "loaded", "--payload", payload, "--wait", "-o", "json")
    assert answer.json["result"] == ["redis"], answer.err
