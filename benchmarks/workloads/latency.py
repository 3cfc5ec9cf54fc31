"""W2: how long from before the enqueue call to the handler's first line, one job at a time, to an idle worker."""

from __future__ import annotations

from benchmarks.catalogue import Peer
from benchmarks.figures import percentile
from benchmarks.place import place
from benchmarks.processes import Meter
from benchmarks.run import Run

#: Jobs of one measurement, each 2 to 20 ms after the one before.
JOBS = 500


def measure(peer: Peer, run: Run) -> dict[str, float]:
    """Return W2's figures of a peer in milliseconds."""
    with place(peer, run.servers) as here:
        if not peer.embedded:
            here.work()
        command = "embedded-latency" if peer.embedded else "latency"
        meter = Meter(here.groups)
        found: list[float] = here.call(command, str(run.jobs(JOBS, least=100)))["ms"]
        others = meter.read()["others_cores"]
    figures = {f"p{which}_ms": percentile(found, which) for which in (50, 95, 99)}
    return figures | {"max_ms": max(found), "others_cores": others}
