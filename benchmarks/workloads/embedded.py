"""The whole record in one process on one SQLite file, as a user who starts with Mainspring meets it.

Throughput counts from the first enqueue to the last recorded success, while the engine runs: enqueue and work together.
Lateness is from the nominal instant to the handler's first line, of schedules that are all due in the same instants.
"""

from __future__ import annotations

from benchmarks.catalogue import Peer
from benchmarks.figures import percentile
from benchmarks.place import place
from benchmarks.run import Run

#: Executions made and worked off, and one-second schedules.
EXECUTIONS, SCHEDULES = 20_000, 100


def measure(peer: Peer, run: Run) -> dict[str, float]:
    """Return rates, CPU and lateness of the embedded engine."""
    with place(peer, run.servers) as here:
        jobs = run.jobs(EXECUTIONS)
        told = here.call("embedded-through", str(jobs))
    with place(peer, run.servers) as here:
        watched = here.call("embedded-late", str(SCHEDULES), str(run.seconds), within=600.0 + run.seconds)
        late: list[float] = watched["late_ms"]
    return {
        "executions_per_s": jobs / told["seconds"],
        "cpu_us": told["cpu_seconds"] / jobs * 1e6,
        "firings": len(late),
        "late_p50_ms": percentile(late, 50),
        "late_p99_ms": percentile(late, 99),
        "late_max_ms": max(late),
    }
