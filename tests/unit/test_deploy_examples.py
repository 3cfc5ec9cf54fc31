"""The examples for operators: their files are well formed, and every command in them is one that exists."""

from __future__ import annotations

import configparser
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from mainspring.settings import PREFIX, Settings, load_settings
from tests.unit.test_documents import accept

DEPLOY = Path(__file__).parents[2] / "examples/deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = ("migrate", "dispatcher", "worker")
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))


def unit(path: Path) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=True, interpolation=None, comment_prefixes=("#",), delimiters=("=",))
    setattr(parser, "optionxform", str)  # noqa: B010 - systemd minds the case; plainly set, the types would not fit
    parser.read_string(path.read_text())
    return parser


def seconds(text: str) -> float:
    return float(text.removesuffix("s"))


@pytest.mark.parametrize("name", OURS)
def test_every_service_runs_a_command_that_exists(name: str) -> None:
    accept(SERVICES[name]["command"])
    check = SERVICES[name].get("healthcheck")
    assert (check is None) == (name == "migrate")
    if check is not None:
        assert check["test"][:2] == ["CMD", "mainspring"]
        accept(check["test"][2:])
        assert check["test"][2] == SERVICES[name]["command"][0], "each role is asked about itself"


def test_the_fleet_starts_after_the_schema_and_the_schema_after_the_database() -> None:
    assert SERVICES["migrate"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    for name in ("dispatcher", "worker"):
        assert SERVICES[name]["depends_on"] == {"migrate": {"condition": "service_completed_successfully"}}
    assert SERVICES["dispatcher"]["deploy"]["replicas"] == 2


def test_the_settings_of_the_examples_are_ours() -> None:
    lines = (DEPLOY / "systemd/mainspring.env").read_text().splitlines()
    given = dict(line.removeprefix("# ").split("=", 1) for line in lines if re.match(r"(# )?MAINSPRING_", line))
    for environment in (SERVICES["worker"]["environment"], given):
        names = {name.removeprefix(PREFIX).lower() for name in environment}
        assert names <= set(Settings.__dataclass_fields__)
        assert load_settings(environ=environment).drain_grace_ms == 30_000


def test_a_drain_fits_into_the_time_given_to_stop() -> None:
    settings = Settings()
    least = (settings.drain_grace_ms + settings.stop_grace_ms) / 1000
    assert seconds(SERVICES["worker"]["stop_grace_period"]) > least
    assert seconds(unit(DEPLOY / "systemd/mainspring-worker.service")["Service"]["TimeoutStopSec"]) > least


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
def test_every_unit_runs_a_command_that_exists(path: Path) -> None:
    service = unit(path)["Service"]
    program, *words = shlex.split(service["ExecStart"])
    assert Path(program).name == "mainspring"
    accept(words)
    assert service["EnvironmentFile"] == "/etc/mainspring.env"


def test_there_is_a_unit_for_each_role() -> None:
    assert {path.stem.removeprefix("mainspring-") for path in UNITS} == set(OURS)


def test_the_container_runs_mainspring_itself_so_that_signals_reach_it() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    assert re.search(r'^ENTRYPOINT \["mainspring"\]$', text, re.MULTILINE)


def test_the_application_of_the_examples_can_be_imported() -> None:
    code = "import tasks; print(sorted(h.name for h in tasks.ms.registry.list_handlers() if ':' not in h.name))"
    environment = {**os.environ, "MAINSPRING_DATABASE_URL": "sqlite:///never-made.db"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=DEPLOY, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "['add', 'minute_report']"
