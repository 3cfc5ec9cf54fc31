"""The repository's own commands, and the package they build, as somebody outside meets them."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

import mainspring

ROOT = Path(__file__).parents[2]


def dev(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, ROOT / "dev", *arguments], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("arguments", [(), ("no-such-chore",)])
def test_an_unknown_chore_shows_every_chore_and_fails(arguments: tuple[str, ...]) -> None:
    answer = dev(*arguments)
    assert answer.returncode == 2
    for chore in ("demo", "test", "check", "fmt", "simulate", "bench", "build", "lock", "setup"):
        assert f"./dev {chore}" in answer.stderr


def test_help_asked_for_is_no_failure() -> None:
    answer = dev("--help")
    assert answer.returncode == 0
    assert "./dev test" in answer.stdout


def test_ci_runs_the_command_contributors_run() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert script.read_text().splitlines()[-1] == "exec python3 dev test"


def test_the_lock_file_pins_by_hash_and_names_no_place_to_fetch_from() -> None:
    lines = (ROOT / "requirements" / "dev.txt").read_text().splitlines()
    pins = [line for line in lines if not line.startswith(" ")]
    assert all("==" in pin and pin.endswith("\\") for pin in pins)
    assert all(line.strip().startswith("--hash=sha256:") for line in lines if line.startswith(" "))


def test_the_wheel_has_the_types_the_licence_and_the_command_and_no_tests(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        info = f"mainspring-{mainspring.__version__}.dist-info"
        metadata = message_from_bytes(archive.read(f"{info}/METADATA"))
        assert "mainspring = mainspring.cli:main" in archive.read(f"{info}/entry_points.txt").decode()
    assert {name.split("/")[0] for name in names} == {"mainspring", info}
    assert "mainspring/py.typed" in names
    assert f"{info}/licenses/LICENSE" in names
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == ">=3.11"
