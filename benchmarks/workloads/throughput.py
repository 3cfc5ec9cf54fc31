"""W1: how many jobs a second, with one worker process and with two.

The queue is filled first. The clock runs from the moment every worker has begun a job to the last final record, so
starting up costs nobody anything; a peer that cannot tell when its records are final is stopped at its last handler.
"""

from __future__ import annotations

import time

from benchmarks.catalogue import Peer
from benchmarks.place import Place, place
from benchmarks.processes import Meter, Program
from benchmarks.run import Run

#: Part of the jobs that must be done while the clock runs.
ENOUGH = 0.5
#: Concurrent callers of the one-at-a-time enqueue.
CALLERS = 32
#: Jobs a single caller enqueues one at a time.
ONE_AT_A_TIME = 500


def measure(peer: Peer, run: Run) -> dict[str, float]:
    """Return W1's figures of a peer."""
    found = _drain(peer, run, run.jobs(peer.jobs), workers=1)
    if peer.workers > 1:
        two = _drain_by_two(peer, run)
        found |= {f"{name}_2": value for name, value in two.items() if name != "enqueue_per_s"}
    del found["share"]
    if peer.is_ours:
        found |= _one_at_a_time(peer, run)
    return found


def _drain_by_two(peer: Peer, run: Run) -> dict[str, float]:
    """Return the rates of two workers, with more jobs where the first had done most before the second had begun."""
    for more in (1, 3, 9):
        found = _drain(peer, run, more * run.jobs(peer.jobs), workers=2)
        if found.pop("share") >= ENOUGH:
            return found
    return {}


def _drain(peer: Peer, run: Run, jobs: int, *, workers: int) -> dict[str, float]:
    with place(peer, run.servers) as here:
        if peer.fills_itself:
            here.work(workers, fill=jobs)
            filled = [worker.json() for worker in here.workers]
            rate = sum(one.get("jobs", jobs) / one["seconds"] for one in filled)
            return {"enqueue_per_s": rate} | _drain_at_a_word(here, jobs)
        seconds = here.call("fill", str(jobs))["seconds"]
        here.checkpoint()
        judge = here.judge()
        here.work(workers)
        return {"enqueue_per_s": jobs / seconds} | drain(here, jobs, judge)


def _drain_at_a_word(here: Place, jobs: int) -> dict[str, float]:
    """Let workers that hold their jobs begin; the clock runs from that word."""
    meter, begun = Meter(here.groups), time.monotonic()
    for worker in here.workers:
        worker.say()
    here.wait(lambda counts: sum(counts) >= jobs)
    return _rates(meter, jobs, time.monotonic() - begun) | {"share": 1.0}


def drain(here: Place, jobs: int, judge: Program) -> dict[str, float]:
    """Return the rate at which a filled queue is worked off, and what a job costs."""
    processes = len(here.workers) * here.peer.processes
    already = sum(here.wait(lambda counts: sum(map(bool, counts)) >= processes or sum(counts) >= jobs))
    meter, begun = Meter(here.groups), time.monotonic()
    here.wait(lambda counts: sum(counts) >= jobs)
    judge.say()
    ended = judge.json()["at_ns"] / 1e9
    done = max(1, jobs - already)
    return _rates(meter, done, ended - begun) | {"share": done / jobs}


def _rates(meter: Meter, done: int, seconds: float) -> dict[str, float]:
    spent = meter.read()
    return {
        "drain_per_s": done / seconds,
        "cpu_us": (spent["workers"] + spent["servers"]) / done * 1e6,
        "worker_cpu_us": spent["workers"] / done * 1e6,
        "server_cpu_us": spent["servers"] / done * 1e6,
        "others_cores": spent["others_cores"],
    }


def _one_at_a_time(peer: Peer, run: Run) -> dict[str, float]:
    """Durable enqueues a second by callers that each wait for their own: one, and many at once."""
    found = {}
    for name, callers in (("enqueue_one_per_s", 1), (f"enqueue_{CALLERS}_per_s", CALLERS)):
        with place(peer, run.servers) as here:
            told = here.call("one", str(run.jobs(ONE_AT_A_TIME * (8 if callers > 1 else 1))), str(callers))
            found[name] = told["jobs"] / told["seconds"]
    return found
