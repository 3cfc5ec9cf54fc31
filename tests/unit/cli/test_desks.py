"""Both desks answer what commands ask, and loading one brings nothing of the other."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import mainspring.cli
from mainspring.cli.commands import tree
from mainspring.cli.desk.answers import ANSWERS
from mainspring.cli.exits import Exit, UsageError, code_of
from mainspring.cli.target import Target
from mainspring.client import asks
from mainspring.client.problems import problem_of
from mainspring.profiles import Profile, Profiles, write_profiles
from tests import openapi

CLI = Path(mainspring.cli.__file__).parent


def asked() -> set[str]:
    """The asks that stand in the modules of commands."""
    sources = [path.read_text("utf-8") for path in CLI.rglob("*.py") if path.parent.name != "desk"]
    return {name for source in sources for name in re.findall(r"\basks\.([a-z_]+)\(", source)}


def test_a_databases_desk_answers_everything_commands_ask() -> None:
    assert len(asked()) > 40
    assert {getattr(asks, name).__name__ for name in asked()} - ANSWERS.keys() == set()


def test_everything_it_answers_is_an_operation_of_the_document() -> None:
    operations = {one["operationId"] for path in openapi.committed()["paths"].values() for one in path.values()}
    assert ANSWERS.keys() - operations == set()


def test_a_command_on_a_database_loads_no_http_and_no_web_framework(tmp_path: Path) -> None:
    script = (
        "import sys\nfrom mainspring.cli.commands import run\n"
        f"code = run(['jobs', 'list', '--db', {str(tmp_path / 'none.db')!r}])\n"
        "print(code, [m for m in ('httpx2', 'fastapi', 'starlette', 'uvicorn') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.strip() == "4 []"


def test_a_command_at_a_server_loads_no_driver_and_no_web_framework(tmp_path: Path) -> None:
    script = (
        "import sys\nfrom mainspring.cli.commands import run\n"
        "code = run(['jobs', 'list', '--server', 'http://127.0.0.1:9'])\n"
        "print(code, [m for m in ('sqlalchemy', 'psycopg', 'fastapi', 'starlette', 'uvicorn') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.strip() == "7 []"


def test_a_servers_refusal_leads_to_the_exit_code_of_the_same_error() -> None:
    codes = {
        400: Exit.USAGE, 401: Exit.DENIED, 403: Exit.DENIED, 404: Exit.NOT_FOUND, 409: Exit.CONFLICT,
        412: Exit.CONFLICT, 422: Exit.USAGE, 503: Exit.UNREACHABLE, 500: Exit.FAILED,
    }  # fmt: skip
    for status, code in codes.items():
        assert code_of(problem_of(status, b'{"code": "any", "detail": "told"}')) is code


def test_shells_get_a_script_that_knows_the_commands() -> None:
    for shell in ("bash", "fish"):
        script = tree().generate_completion(prog_name="mainspring", shell=shell)
        assert "dead-letters" in script
        assert "profiles" in script


def test_what_runs_an_engine_goes_by_the_settings_whatever_profile_is_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("MAINSPRING_DATABASE_URL", raising=False)
    write_profiles(Profiles({"prod": Profile("prod", server="https://jobs.example.com")}, current="prod"))
    assert Target().wanted().app().settings.database_url == "sqlite:///mainspring.db"
    assert Target(db="a.db").app("migrating").settings.database_url == "sqlite:///a.db"
    for target in (Target(profile="prod"), Target(server="http://127.0.0.1:9")):
        with pytest.raises(UsageError, match="needs the database itself"):
            target.wanted()
    with pytest.raises(UsageError, match="the profile in use"):
        Target().app("migrating")


def test_a_databases_desk_checks_by_the_usual_bounds_where_none_are_asked_for(tmp_path: Path) -> None:
    target = Target(db=str(tmp_path / "jobs.db"))
    found = target.run(lambda desk: desk.ask(asks.get_findings()), create=True)
    assert {one.check for one in found.findings if one.status == "error"} == {"dispatcher", "worker"}
    assert {one.check for one in found.findings} >= {"transport", "zone_data"}
