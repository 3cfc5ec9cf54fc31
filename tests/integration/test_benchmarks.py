"""The benchmark suite itself, at its smallest: on SQLite, with no peer to install."""

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks import baseline, markdown, tally
from benchmarks.__main__ import main
from benchmarks.catalogue import PEERS, chosen
from benchmarks.environment import requirements
from benchmarks.errors import BenchmarkError
from benchmarks.figures import Figures
from benchmarks.plot import throughput
from benchmarks.ratios import AIMS, NEW_YORK, ratios
from benchmarks.run import Run
from benchmarks.servers import Servers
from benchmarks.workloads import next_runs

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_run_gives_rates_of_ours_and_of_the_ceiling_and_their_ranges(tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    command = [sys.executable, "-m", "benchmarks", "ours-sqlite", "ceiling-sqlite", "--json", str(out)]
    done = subprocess.run(
        [*command, "--only", "w1", "--rounds", "1", "--scale", "0.01"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
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


def test_a_ratio_measured_while_others_used_the_machine_counts_for_nothing() -> None:
    figures = Figures()
    figures.add("w1", "ours-postgres-redis", {"drain_per_s": 8000.0, "others_cores": 0.1})
    figures.add("w1", "saq", {"drain_per_s": 1000.0, "others_cores": 1.4})
    (found,) = ratios(figures)
    assert found.disturbed
    assert "to be measured again" in markdown.measured(figures, [found])
    assert "to be measured again" in throughput(figures)


def test_a_median_comes_with_its_range() -> None:
    figures = Figures()
    for rate in (3.0, 1.0, 2.0):
        figures.add("w1", "saq", {"drain_per_s": rate})
    assert figures.as_json()["w1"]["saq"] == {"drain_per_s": 2.0, "ranges": {"drain_per_s": [1.0, 3.0]}}


def test_a_picture_has_a_bar_for_each_peer_and_tells_ours_from_others() -> None:
    figures = Figures()
    for peer, rate in (("ours-postgres", 8000.0), ("saq", 1500.0), ("ceiling", 20000.0)):
        figures.add("w1", peer, {"drain_per_s": rate})
    svg = ElementTree.fromstring(throughput(figures))
    bars = [bar.get("class") for bar in svg.iter("{http://www.w3.org/2000/svg}rect")]
    assert bars == ["limit", "ours", "peer"]


def test_a_check_holds_within_the_tolerance_and_says_what_has_fallen_behind(tmp_path: Path) -> None:
    baseline_file = tmp_path / "baseline.json"
    baseline.write(_with_ceiling(drain=5000.0), baseline_file)
    near = baseline.compare(_with_ceiling(drain=4100.0), baseline_file)
    far = baseline.compare(_with_ceiling(drain=3900.0), baseline_file)
    assert all(one.holds for one in near)
    assert [str(one) for one in far if not one.holds] == [
        "drain_per_s, ours-postgres / ceiling: 0.195, 0.250 in the baseline: has fallen behind by more than 20%"
    ]


def test_a_check_with_nothing_to_compare_is_refused(tmp_path: Path) -> None:
    baseline_file, alone = tmp_path / "baseline.json", Figures()
    with pytest.raises(BenchmarkError, match="holds no ratios yet"):
        baseline.compare(_with_ceiling(drain=5000.0), baseline_file)
    baseline.write(_with_ceiling(drain=5000.0), baseline_file)
    alone.add("w1", "ours-postgres", {"drain_per_s": 1.0})
    with pytest.raises(BenchmarkError, match="nothing to compare"):
        baseline.compare(alone, baseline_file)


def _with_ceiling(*, drain: float) -> Figures:
    figures = Figures()
    figures.add("w1", "ours-postgres", {"drain_per_s": drain})
    figures.add("w1", "ceiling", {"drain_per_s": 20000.0})
    return figures


def test_figures_written_as_json_are_read_again_with_their_ranges(tmp_path: Path) -> None:
    figures, again = Figures(), Figures()
    for rate in (3.0, 1.0, 2.0, 4.0, 2.5):
        figures.add("w1", "saq", {"drain_per_s": rate})
    figures.add("w2", "saq", {"p50_ms": 1.5})
    again.read(figures.as_json())
    assert again.as_json() == figures.as_json()
    assert again.told("w1", "saq", "drain_per_s") == "2.50 [1.00-4.00]"


def test_a_file_without_figures_is_refused_by_name(tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text('{"w1": {"saq": 3}}')
    with pytest.raises(BenchmarkError, match=r"other\.json holds no figures"):
        main(["--from", str(other)])


def test_the_page_about_performance_has_room_for_the_figures_of_a_run() -> None:
    page = markdown.PAGE.read_text()
    assert page.index(markdown.BEGIN) < page.index(markdown.END)
    figures = _with_ceiling(drain=5000.0)
    text = markdown.measured(figures, list(ratios(figures)))
    assert "| ours-postgres | 5,000 |" in text


def test_each_expression_has_a_row_and_a_bound_of_its_own() -> None:
    figures = Figures()
    run = Run(Servers(), scale=0.001)
    found = next_runs.measure(chosen(["ours-sqlite"])[0], run)
    figures.add("next", "ours-sqlite", found)
    page = markdown.measured(figures, list(ratios(figures)))
    for text in NEW_YORK:
        assert page.count(f"| `{text}` |") == 1
        assert f"next runs of `{text}`, compiled" in page
        assert f"next runs of `{text}`, parsed anew" in page
        assert found[f"anew_per_s: {text}"] > 0
