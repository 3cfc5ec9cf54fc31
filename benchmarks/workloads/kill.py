"""Kill: one of two workers is killed (SIGKILL) at full rate. What is lost, and how long until all has run again?"""

from __future__ import annotations

import time

from benchmarks.catalogue import Peer
from benchmarks.place import place
from benchmarks.run import Run


def measure(peer: Peer, run: Run) -> dict[str, float]:
    """Return executions lost, and seconds from the kill to the last final record.

    Leases are at their default of 15 s, and the queue is empty long before one of them is over.
    """
    jobs = run.jobs(peer.jobs)
    with place(peer, run.servers) as here:
        here.call("fill", str(jobs))
        judge = here.judge()
        here.work(2)
        here.wait(lambda counts: len(counts) == 2 and min(counts) > 0 and sum(counts) >= jobs // 4)
        killed_at = time.monotonic()
        here.kill_worker()
        here.wait(lambda counts: sum(counts) >= jobs)
        judge.say()
        recovered = judge.json()["at_ns"] / 1e9 - killed_at
        again = sum(here.wait(lambda counts: True)) - jobs
        lost = jobs - here.call("succeeded")["executions"]
    return {"lost": float(lost), "recovered_s": recovered, "run_again": float(again)}
