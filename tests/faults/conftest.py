"""Trials on each database, and the table of what came of them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import servers
from tests.faults.clocks import Clock, faketime_library
from tests.faults.trial import Trial

#: Where the outcomes of all runs are gathered, shown by ./dev faults, and what each scenario's last run has left.
KEPT = Path(__file__).parents[2] / ".faults"
OUTCOMES = KEPT / "outcomes.json"

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
def folder(request: pytest.FixtureRequest) -> Path:
    """An empty folder that is kept until the same test runs again: logs, the handlers' ledger, what was exported."""
    folder = KEPT / "trials" / re.sub(r"\W+", "-", request.node.name)[:100]
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def trial(folder: Path, postgres_url: str, seed: int) -> Iterator[Trial]:
    """A trial on that database."""
    trial = Trial(folder, postgres_url, seed=seed)
    try:
        yield trial
    finally:
        trial.clear_away()


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A file system of 96 MiB in memory."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("mounting a small file system needs root")
    disk = Path(tempfile.mkdtemp(prefix="mainspring-disk-"))
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96m", "faults", str(disk)], check=False)
    if mounted.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=False)
        disk.rmdir()


@pytest.fixture
def database_clock() -> Iterator[Clock]:
    """The clock of a database."""
    faketime_library()
    clock = Clock()
    yield clock
    clock.remove()


@pytest.fixture
def stepping(folder: Path, database_clock: Clock, seed: int) -> Iterator[Trial]:
    """A trial on a PostgreSQL that believes that clock."""
    with (
        servers.postgres(18, environ=database_clock.environ(at_once=True)) as server,
        servers.new_database(server.url) as url,
    ):
        trial = Trial(folder, url, seed=seed)
        trial.clocks_agree = False
        try:
            yield trial
        finally:
            trial.clear_away()
