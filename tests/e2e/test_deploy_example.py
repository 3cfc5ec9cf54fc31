"""The commands of the compose example, as it has them, on a real PostgreSQL and a real Valkey."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import servers
from tests.e2e.conftest import Cli

DEPLOY = Path(__file__).parents[2] / "examples/deploy"
SERVICES: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]

#: Enqueues one execution from another process, and waits for its result through the record.
ENQUEUE = "import tasks; print(tasks.add.enqueue(2, 3).result(timeout=30))"


@pytest.fixture
def fleet(cli: Cli, postgres18_url: str, valkey_url: str) -> Iterator[Cli]:
    shutil.copy(DEPLOY / "tasks.py", cli.folder)
    with servers.new_database(postgres18_url) as url:
        own = f"{valkey_url.rpartition('/')[0]}/9"  # what other tests left in theirs is not this fleet's
        cli.environment |= {"MAINSPRING_DATABASE_URL": url, "MAINSPRING_REDIS_URL": own}
        yield cli
        for process in cli.processes:
            process.kill()


def healthy(cli: Cli, service: str) -> bool:
    return cli(*SERVICES[service]["healthcheck"]["test"][2:]).code == 0


@pytest.mark.timeout(300)  # a dozen processes, on machines that are busy
def test_the_example_comes_up_works_and_goes_down(fleet: Cli) -> None:
    migrated = fleet(*SERVICES["migrate"]["command"])
    assert migrated.code == 0, migrated.err
    replicas = SERVICES["dispatcher"]["deploy"]["replicas"]
    dispatchers = [fleet.start(*SERVICES["dispatcher"]["command"]) for _ in range(replicas)]
    workers = fleet.start(*SERVICES["worker"]["command"])
    for process in (*dispatchers, workers, workers):  # two processes of workers
        process.wait_for("zone data")
    assert healthy(fleet, "dispatcher")
    assert healthy(fleet, "worker")

    done = subprocess.run(
        [sys.executable, "-c", ENQUEUE],
        cwd=fleet.folder,
        env=fleet.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.strip() == "5", done.stderr
    workers.wait_for("add +finished in")
    jobs = fleet("jobs", "list", "-o", "jsonl").out.splitlines()
    assert [json.loads(line)["name"] for line in jobs] == ["minute_report"]

    for process in (workers, *dispatchers):
        process.signal(signal.SIGTERM)
    assert [process.end() for process in (workers, *dispatchers)] == [0, 0, 0]
