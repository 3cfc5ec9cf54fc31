"""W4: what many schedules cost: creating them, keeping them, looking past them, and having many due at once."""

from __future__ import annotations

import time

from benchmarks import tally
from benchmarks.catalogue import Peer
from benchmarks.figures import percentile
from benchmarks.place import Place, place
from benchmarks.processes import Meter, memory
from benchmarks.run import Run
from benchmarks.workloads.lateness import watch

#: Schedules created by the public call for many, and due in the same second.
CREATED, DUE = 10_000, (1_000, 10_000)
#: Dispatchers and workers of a fleet.
FLEET = 2
#: Seconds an engine may take to come to rest before its idling is measured.
SETTLE = 5.0
#: Seconds between the last schedule stored and the instant at which all are due.
MARGIN = 8


def measure(peer: Peer, run: Run) -> dict[str, float]:
    """Return W4's figures of a peer."""
    found = _creation(peer, run)
    if peer.is_ours:
        for schedules in (0, *run.stored):
            found |= _at_rest(peer, run, schedules)
            found[f"stored_{schedules}_added_mib"] = found[f"stored_{schedules}_mib"] - found["stored_0_mib"]
        for due in DUE:
            found |= _all_at_once(peer, run, due)
            if not peer.embedded:
                found |= _all_at_once(peer, run, due, fleet=True)
    return found


def _creation(peer: Peer, run: Run) -> dict[str, float]:
    with place(peer, run.servers) as here:
        schedules = run.jobs(CREATED)
        return {"created_per_s": schedules / here.call("create", str(schedules))["seconds"]}


def _at_rest(peer: Peer, run: Run, schedules: int) -> dict[str, float]:
    """What an engine costs while nothing of what is stored is due, and how late one more schedule then is."""
    with place(peer, run.servers) as here:
        if schedules:
            here.call("store", str(schedules), within=3600)
            here.settle()
        here.work()
        time.sleep(SETTLE)
        meter = Meter(here.groups)
        time.sleep(run.seconds)
        spent, mebibytes = meter.read(), memory(here.groups["workers"])
        found = {
            "cpu_percent": spent["workers"] / spent["seconds"] * 100,
            "server_cpu_percent": spent["servers"] / spent["seconds"] * 100,
            "mib": mebibytes,
            "planning_ms": here.call("planning")["ms"],
            "late_p99_ms": percentile(_late(here, run.seconds), 99),
        }
    return {f"stored_{schedules}_{name}": value for name, value in found.items()}


def _late(here: Place, seconds: int) -> list[float]:
    if here.peer.embedded:  # the engine moves into the process that watches
        here.stop_working()
    return watch(here, seconds)


def _all_at_once(peer: Peer, run: Run, due: int, *, fleet: bool = False) -> dict[str, float]:
    """When the last of many jobs due at one instant was decided, when it had begun, and when all had ended.

    Each is looked at from outside, so it is committed: ``decided`` are the rows of decision and execution, ``ended``
    the final record of what came of them. As a ``fleet`` two dispatchers decide them, each of which leaves to the other
    what it has locked, and two workers.
    """
    nodes = FLEET if fleet else 1
    with place(peer, run.servers) as here:
        decided, ended = here.judge("decided"), here.judge()
        here.work(nodes, beside=nodes)
        time.sleep(SETTLE)
        at = here.call("due", str(due), str(MARGIN))["at_ns"]
        time.sleep(max(0.0, at / 1e9 - time.monotonic()))
        decided.say()
        here.wait(lambda counts: sum(counts) >= due)
        ended.say()
        instants = {"decided": decided.json()["at_ns"], "ended": ended.json()["at_ns"]}
        late = [(begun - at) / 1e6 for begun in tally.starts(here.tally)]
    name = f"fleet_due_{due}" if fleet else f"due_{due}"
    return {
        f"{name}_p50_ms": percentile(late, 50),
        f"{name}_p99_ms": percentile(late, 99),
        f"{name}_last_ms": max(late),
        **{f"{name}_{what}_ms": (instant - at) / 1e6 for what, instant in instants.items()},
    }
