"""Mainspring beside its peers and beside what the machine allows, in one run: medians [least-greatest], and ratios.

Everything takes hours; `--only w1 --quick` takes minutes; `ours-postgres ceiling --only w1,w2` measures two.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from pathlib import Path

from benchmarks import baseline, markdown
from benchmarks.catalogue import BY_NAME, chosen
from benchmarks.errors import BenchmarkError
from benchmarks.figures import Figures
from benchmarks.plot import throughput
from benchmarks.ratios import ratios
from benchmarks.report import console, show
from benchmarks.run import Run
from benchmarks.servers import Servers
from benchmarks.suite import WORKLOADS, chosen_workloads, measure


def main(arguments: list[str] | None = None) -> int:
    """Measure what the command line asks for; return 1 where a check does not hold."""
    given = _parser().parse_args(arguments)
    guard = given.check or given.write_baseline
    workloads = chosen_workloads(_words(given.only) or (baseline.WORKLOADS if guard else ()))
    peers = chosen([*given.peer, *_words(given.peers)] or (baseline.PEERS if guard else ()))
    if given.read:
        figures = _read(given.read)
    else:
        with Servers() as servers:
            figures = measure(workloads, peers, _run(servers, given), rounds=given.rounds, say=_say)
    show(figures, list(ratios(figures)), console())
    if given.json:
        Path(given.json).write_text(json.dumps(figures.as_json(), indent=2) + "\n")
    if given.plot:
        Path(given.plot).write_text(throughput(figures))
    if given.docs:
        markdown.write(figures, list(ratios(figures)))
    if given.write_baseline:
        baseline.write(figures)
    return _check(figures) if given.check else 0


def _read(paths: list[str]) -> Figures:
    figures = Figures()
    for path in paths:
        try:
            figures.read(json.loads(Path(path).read_text()))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise BenchmarkError(f"{path} holds no figures of --json: {error!r}") from error
    return figures


def _check(figures: Figures) -> int:
    held = baseline.compare(figures)
    for one in held:
        print(one)
    return 0 if all(one.holds for one in held) else 1


def _run(servers: Servers, given: argparse.Namespace) -> Run:
    if given.quick:
        return Run(servers, scale=0.1, seconds=10, history=100_000, stored=(10_000,))
    stored = tuple(int(text) for text in _words(given.stored))
    return Run(servers, scale=given.scale, seconds=given.seconds, history=given.history, stored=stored)


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("peer", nargs="*", help="peers to measure, all unless named: " + ", ".join(BY_NAME))
    parser.add_argument("--peers", default="", metavar="A,B", help="the same, with commas")
    parser.add_argument(
        "--only", default="", metavar="W1,W2", help=f"workloads: {', '.join(w.name for w in WORKLOADS)}"
    )
    parser.add_argument("--rounds", type=int, default=3, help="times that everything is measured (3)")
    parser.add_argument("--quick", action="store_true", help="a tenth of everything: to see that it works")
    parser.add_argument("--scale", type=float, default=1.0, help="part of the usual number of jobs (1.0)")
    parser.add_argument("--seconds", type=int, default=60, help="that schedules are watched for (60; 600 for W3's p99)")
    parser.add_argument("--history", type=int, default=1_000_000, help="ended executions in the database (1,000,000)")
    parser.add_argument("--stored", default="10000,100000", help="schedules at rest; add 1000000 for the full table")
    parser.add_argument("--json", default="", metavar="FILE", help="write medians and ranges")
    parser.add_argument("--plot", default="", metavar="FILE", help="draw W1 as SVG")
    parser.add_argument(
        "--from", dest="read", action="append", metavar="FILE", help="measure nothing: take what --json wrote, as often"
    )
    parser.add_argument("--docs", action="store_true", help="write the tables of docs/operate/performance.md anew")
    parser.add_argument(
        "--check", action="store_true", help="compare with baseline.json; 1 where we have fallen behind"
    )
    parser.add_argument("--write-baseline", action="store_true", help="make this run the baseline")
    return parser


if __name__ == "__main__":
    # So that what was started is stopped as well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        sys.exit(main())
    except BenchmarkError as error:
        sys.exit(f"benchmarks: {error}")
