"""A cluster in virtual time keeps every law, whatever crashes: a thousand seeds, each another week of bad luck.

``MAINSPRING_SEEDS`` says how many; a failure names its seed and ends with the command that runs it again.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.simulation.planted import PLANTED, Plant
from tests.simulation.run import check, run

CHUNKS = 20
SEEDS = int(os.environ.get("MAINSPRING_SEEDS", "1000"))
#: A planted fault must show within so many seeds. The rarest needs a pause, a lost lease and a late word at once.
FIND_WITHIN = 300


@pytest.mark.timeout(600)
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_every_law_holds_whatever_crashes(chunk: int) -> None:
    for seed in range(chunk, SEEDS, CHUNKS):
        check(seed)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
def test_the_auditor_finds_a_planted_fault(plant: Plant) -> None:
    """A simulator that cannot fail proves nothing."""
    assert any(run(seed, plant=plant).problems for seed in range(FIND_WITHIN)), f"{plant.__doc__} was not found"


def test_a_seed_runs_the_same_way_in_every_process() -> None:
    """The digest covers every transition, and the hash seed of the process must not matter."""
    program = "from tests.simulation.run import run; print([run(seed).digest for seed in (2, 5, 9)])"
    told = [
        subprocess.run(
            [sys.executable, "-W", "ignore", "-c", program],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    ]
    assert told[0] == told[1]
    assert told[0] == f"{[run(seed).digest for seed in (2, 5, 9)]}\n"


def test_a_failure_names_its_seed_and_how_to_run_it_again() -> None:
    plant = next(plant for plant in PLANTED if plant.__name__ == "drops_a_decision")
    report = next(r for r in (run(seed, plant=plant) for seed in range(50)) if r.problems)
    from tests.simulation.run import SimulationError

    told = str(SimulationError(report))
    assert f"seed {report.seed}: I" in told
    assert f"--start {report.seed} --seeds 1" in told
    assert "VIOLATION" in told
