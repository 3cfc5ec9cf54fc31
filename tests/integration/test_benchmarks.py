"""The benchmark suite itself, at its smallest: on SQLite, with no peer to install."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import tally
from benchmarks.catalogue import PEERS, chosen
from benchmarks.environment import requirements
from benchmarks.errors import BenchmarkError
from benchmarks.figures import Figures
from benchmarks.ratios import AIMS, ratios

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_a_run_gives_rates_of_ours_and_of_the_ceiling_and_their_ranges(tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    command = [sys.executable, "-m", "benchmarks", "ours-sqlite", "ceiling-sqlite", "--json", str(out)]
    done = subprocess.run(
        [*command, "--only", "w1", "--rounds", "1", "--scale", "0.01"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(out.read_text())["w1"]
    assert set(found) == {"ours-sqlite", "ceiling-sqlite"}
    for figures in found.values():
        assert figures["drain_per_s"] > 0
        assert figures["enqueue_per_s"] > 0
        least, greatest = figures["ranges"]["drain_per_s"]
        assert least == figures["drain_per_s"] == greatest


def test_a_name_nobody_has_is_told_with_the_nearest() -> None:
    with pytest.raises(BenchmarkError, match="did you mean 'saq-postgres'"):
        chosen(["saq-postgre"])


def test_every_peer_of_another_project_says_what_it_needs() -> None:
    without = {peer.name for peer in PEERS if not peer.is_ours and not peer.is_node} - set(requirements())
    assert without == {"ceiling-sqlite"}


def test_a_tally_keeps_the_count_and_the_last_instants(tmp_path: Path) -> None:
    mine = tally.Tally(tmp_path)
    for _ in range(tally.RING + 3):
        mine.hit()
    assert tally.counts(tmp_path) == [tally.RING + 3]
    assert len(tally.starts(tmp_path)) == tally.RING


def test_a_ratio_takes_the_best_of_the_other_side() -> None:
    figures = Figures()
    for peer, rate in (("ours-postgres-redis", 8000.0), ("saq", 2000.0), ("taskiq", 1000.0)):
        figures.add("w1", peer, {"drain_per_s": rate})
    (found,) = ratios(figures)
    assert found.aim is AIMS[0]
    assert (found.value, found.against) == (4.0, "saq")
    assert found.reaches(4)
    assert not found.reaches(6)


def test_a_median_comes_with_its_range() -> None:
    figures = Figures()
    for rate in (3.0, 1.0, 2.0):
        figures.add("w1", "saq", {"drain_per_s": rate})
    assert figures.as_json()["w1"]["saq"] == {"drain_per_s": 2.0, "ranges": {"drain_per_s": [1.0, 3.0]}}
