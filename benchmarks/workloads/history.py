"""History: W1 with many ended executions in the database, against an empty one, in the same minutes."""

from __future__ import annotations

from benchmarks.catalogue import Peer
from benchmarks.place import place
from benchmarks.run import Run
from benchmarks.workloads.throughput import drain


def measure(peer: Peer, run: Run) -> dict[str, float]:
    """Return the rates without and with history."""
    without, with_history = _drain(peer, run, 0), _drain(peer, run, run.history)
    return {
        "executions": float(run.history),
        "empty_drain_per_s": without["drain_per_s"],
        "drain_per_s": with_history["drain_per_s"],
        "ratio": with_history["drain_per_s"] / without["drain_per_s"],
        "empty_cpu_us": without["worker_cpu_us"] + without["server_cpu_us"],
        "cpu_us": with_history["worker_cpu_us"] + with_history["server_cpu_us"],
    }


def _drain(peer: Peer, run: Run, history: int) -> dict[str, float]:
    jobs = run.jobs(peer.jobs)
    with place(peer, run.servers) as here:
        if history:
            here.call("fill", "1")
            here.work()
            here.wait(lambda counts: sum(counts) >= 1)
            here.stop_working()
            here.forget()
            here.call("history", str(history), within=7200)
            here.settle()
        here.call("fill", str(jobs))
        here.checkpoint()
        judge = here.judge()
        here.work()
        return drain(here, jobs, judge)
