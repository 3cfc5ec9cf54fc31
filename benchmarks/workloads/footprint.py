"""W5: the memory of a worker that idles, and what it has grown by after many jobs.

What several processes share is counted once (PSS). Mainspring's dispatcher, a process of its own on PostgreSQL, is told
apart.
"""

from __future__ import annotations

from benchmarks.catalogue import Peer
from benchmarks.place import place
from benchmarks.processes import memory
from benchmarks.run import Run

#: Jobs between the two looks; slow peers get what they do in a W1 drain.
JOBS = 100_000


def measure(peer: Peer, run: Run) -> dict[str, float]:
    """Return W5's figures of a peer."""
    jobs = run.jobs(JOBS if peer.is_ours else peer.jobs)
    with place(peer, run.servers) as here:
        here.work()
        here.call("fill", "1")
        here.wait(lambda counts: sum(counts) >= 1)
        workers = [program.pid for program in here.workers]
        idle, beside = memory(workers), memory(program.pid for program in here.helpers)
        here.call("fill", str(jobs))
        here.wait(lambda counts: sum(counts) >= jobs + 1)
        after = memory(workers)
    found = {"idle_mib": idle, "after_mib": after, "jobs": float(jobs), "growth_percent": (after / idle - 1) * 100}
    return found | ({"dispatcher_mib": beside} if beside else {})
