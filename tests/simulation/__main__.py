"""Run many seeds: ``python -m tests.simulation --seeds 1000 [--start 0] [--verbose]``."""

from __future__ import annotations

import argparse
import sys
import time

from tests.simulation.run import SimulationError, run


def main() -> int:
    """Run the seeds asked for; the exit code is 1 if one of them broke a law."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="how many")
    parser.add_argument("--start", type=int, default=0, help="the first")
    parser.add_argument("--verbose", action="store_true", help="print every step")
    parser.add_argument("--keep-going", action="store_true", help="do not stop at the first that fails")
    given = parser.parse_args()
    began, failed, transactions, virtual = time.perf_counter(), [], 0, 0.0
    seed = given.start
    for seed in range(given.start, given.start + given.seeds):
        report = run(seed, verbose=given.verbose)
        transactions, virtual = transactions + report.transactions, virtual + report.virtual
        if given.verbose:
            print("\n".join(report.trace))
            print(f"seed {seed}: {report.executions} executions, {report.starts} starts, digest {report.digest}")
        if report.problems:
            failed.append(seed)
            if given.keep_going:
                print(f"seed {seed}: {report.problems[0]}")
            else:
                print(SimulationError(report))
                break
    took, done = time.perf_counter() - began, seed - given.start + 1
    print(
        f"{done} seeds in {took:.1f} s: {done / took:.1f} seeds per second, {virtual / 3600:.1f} virtual hours, "
        f"{transactions:,} transactions, {len(failed)} failed{': ' if failed else ''}{failed or ''}"
    )
    return 1 if failed else 0


sys.exit(main())
