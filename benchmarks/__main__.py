"""Mainspring beside its peers and beside what the machine allows, in one run: medians [least-greatest], and ratios.

Everything takes hours; `--only w1 --quick` takes minutes; `ours-postgres ceiling --only w1,w2` measures two.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from benchmarks.catalogue import BY_NAME, chosen
from benchmarks.errors import BenchmarkError
from benchmarks.ratios import ratios
from benchmarks.report import console, show
from benchmarks.run import Run
from benchmarks.servers import Servers
from benchmarks.suite import chosen_workloads, measure


def main(arguments: list[str] | None = None) -> int:
    parser = _parser()
    given = parser.parse_args(arguments)
    names = [*given.peer, *_words(given.peers)]
    workloads = chosen_workloads(_words(given.only))
    with Servers() as servers:
        run = Run(servers, scale=0.1 if given.quick else given.scale)
        figures = measure(workloads, chosen(names), run, rounds=given.rounds, say=_say)
    show(figures, list(ratios(figures)), console())
    if given.json:
        Path(given.json).write_text(json.dumps(figures.as_json(), indent=2) + "\n")
    return 0


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("peer", nargs="*", help="peers to measure: " + ", ".join(BY_NAME))
    parser.add_argument("--peers", default="", help="the same, with commas")
    parser.add_argument("--only", default="", help="workloads, with commas")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--json", default="")
    return parser


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BenchmarkError as error:
        sys.exit(f"benchmarks: {error}")
