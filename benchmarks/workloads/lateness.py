"""W3: how late a schedule of one second runs, from the nominal instant to the handler's first line."""

from __future__ import annotations

from benchmarks.catalogue import Peer
from benchmarks.figures import percentile
from benchmarks.place import Place, place
from benchmarks.processes import Meter
from benchmarks.run import Run


def measure(peer: Peer, run: Run) -> dict[str, float]:
    """Return W3's figures of a peer, in milliseconds."""
    with place(peer, run.servers) as here:
        if not peer.embedded:
            here.work()
        meter = Meter(here.groups)
        late = watch(here, run.seconds)
        others = meter.read()["others_cores"]
    return {
        "fired_share": len(late) / run.seconds,
        "p50_ms": percentile(late, 50),
        "p99_ms": percentile(late, 99),
        "max_ms": max(late),
        "others_cores": others,
    }


def watch(here: Place, seconds: int) -> list[float]:
    """Return how late each firing of a one-second schedule was; an embedded peer runs in its client."""
    command = "embedded-late" if here.peer.embedded else "late"
    late: list[float] = here.call(command, "1", str(seconds), within=600.0 + seconds)["late_ms"]
    return late
