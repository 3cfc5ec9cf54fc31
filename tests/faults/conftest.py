"""Trials on each database, and the table of what came of them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import servers
from tests.faults.trial import Trial

#: Where the outcomes of all runs are gathered; shown by ./dev faults.
OUTCOMES = Path(__file__).parents[2] / ".faults" / "outcomes.json"

Report = Callable[..., None]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # A trial waits for real leases and restarts; the bounds inside it are what fails first.
    for item in items:
        if Path(__file__).parent in item.path.parents and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(300))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    trial = getattr(item, "funcargs", {}).get("trial")
    if report.when == "call" and report.failed and isinstance(trial, Trial):
        report.sections.append(("trial", trial.told()))
    if report.when == "call" or (report.when == "setup" and not report.passed):
        _keep(item.name, report)


def _keep(name: str, report: pytest.TestReport) -> None:
    named = re.match(r"test_f(\d\d)_(.*)", name)
    if named is None:
        return
    number, words = named.groups()
    known = json.loads(OUTCOMES.read_text()) if OUTCOMES.exists() else {}
    measured = dict(report.user_properties)
    row = {"fault": f"F{int(number)}", "what": words.replace("_", " "), "outcome": report.outcome, **measured}
    known[name] = {**row, "took_s": round(report.duration, 1), "on": time.strftime("%Y-%m-%d")}
    OUTCOMES.parent.mkdir(exist_ok=True)
    OUTCOMES.write_text(json.dumps(dict(sorted(known.items())), indent=1))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if not OUTCOMES.exists():
        return
    rows = sorted(json.loads(OUTCOMES.read_text()).values(), key=lambda row: (int(row["fault"][1:]), row["what"]))
    lines = ["| fault | what | outcome | recovery | bound | besides |", "|---|---|---|---|---|---|"]
    lines += [_line(row) for row in rows]
    OUTCOMES.with_suffix(".md").write_text("\n".join(lines) + "\n")
    terminalreporter.section("faults: outcomes of this and earlier runs")
    for line in lines:
        terminalreporter.write_line(line)


_OWN = ("fault", "what", "outcome", "recovery", "bound", "took_s", "on")


def _line(row: dict[str, Any]) -> str:
    seconds = [f"{row[name]:.2f} s" if row.get(name) is not None else "" for name in ("recovery", "bound")]
    besides = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in row.items() if name not in _OWN)
    return f"| {row['fault']} | {row['what']} | {row['outcome']} | {' | '.join(seconds)} | {besides} |"


@pytest.fixture
def report(record_property: Callable[[str, object], None]) -> Report:
    """Keep what a trial measured: ``recovery`` in seconds with its ``bound``, and anything else worth knowing."""

    def keep(**measured: Any) -> None:
        for name, value in measured.items():
            record_property(name, round(value, 2) if isinstance(value, float) else value)
        if "recovery" in measured and "bound" in measured:
            assert measured["recovery"] <= measured["bound"], f"recovered in {measured['recovery']:.1f} s"

    return keep


@pytest.fixture
def postgres_url(request: pytest.FixtureRequest, postgres18_url: str) -> Iterator[str]:
    """An empty database on a PostgreSQL that stays up."""
    with servers.new_database(postgres18_url) as url:
        yield url


@pytest.fixture
def trial(tmp_path: Path, postgres_url: str, seed: int) -> Iterator[Trial]:
    """A trial on that database."""
    trial = Trial(tmp_path, postgres_url, seed=seed)
    try:
        yield trial
    finally:
        trial.clear_away()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 96 MiB in memory."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("mounting a small file system needs root")
    disk = tmp_path / "small"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96m", "faults", str(disk)], check=False)
    if mounted.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=False)
