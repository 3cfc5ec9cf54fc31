"""Next runs per second on one core, beside croniter and cronsim in the same run.

    PYTHONPATH=src python benchmarks/schedule_rates.py [seconds per cell, default 0.3]

Every figure is CPU time of this process, the best of three; the ratios are what travels between machines. "next" chains
each run from the one before, "anew" reads the text each time and asks for one run.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from time import process_time
from zoneinfo import ZoneInfo

from croniter import croniter
from cronsim import CronSim

from mainspring.schedule import compile_schedule

ZONE = "America/New_York"
START = datetime(2026, 1, 1, tzinfo=UTC)
LOCAL = START.astimezone(ZoneInfo(ZONE))
EXPRESSIONS = ["*/15 * * * *", "30 2 * * *", "0 9 * * 1-5", "0 0 1 * *", "0 0 29 2 *", "5 4 1,15 * 5"]

# Runs before a chain starts over, so that sparse expressions do not run out of calendar.
CHAIN = 40


def rate(work: Callable[[], object], per_call: int, seconds: float) -> float:
    """Units of ``work`` per CPU second, the best of three."""
    work()
    best = 0.0
    for _ in range(3):
        calls, start = 0, process_time()
        while (spent := process_time() - start) < seconds / 3:
            work()
            calls += 1
        best = max(best, calls * per_call / spent)
    return best


def ours(text: str) -> tuple[Callable[[], object], Callable[[], object]]:
    schedule = compile_schedule({"cron": text}, timezone=ZONE)

    def chain() -> None:
        at = START
        for _ in range(CHAIN):
            found = schedule.next(at)
            assert found is not None
            at = found.at

    return chain, lambda: compile_schedule({"cron": text}, timezone=ZONE).next(START)


def by_croniter(text: str) -> tuple[Callable[[], object], Callable[[], object]]:
    def chain() -> None:
        peer = croniter(text, LOCAL)
        for _ in range(CHAIN):
            peer.get_next(datetime)

    return chain, lambda: croniter(text, LOCAL).get_next(datetime)


def by_cronsim(text: str) -> tuple[Callable[[], object], Callable[[], object]]:
    def chain() -> None:
        peer = CronSim(text, LOCAL)
        for _ in range(CHAIN):
            next(peer)

    return chain, lambda: next(CronSim(text, LOCAL))


def main(seconds: float) -> None:
    peers = {"mainspring": ours, "croniter": by_croniter, "cronsim": by_cronsim}
    for place, (title, per_call) in enumerate([("next", CHAIN), ("anew", 1)]):
        print(f"\n{title + ', per second':<16}" + "".join(f"{name:>14}" for name in peers) + "   ratio to each")
        for text in EXPRESSIONS:
            rates = [rate(peer(text)[place], per_call, seconds) for peer in peers.values()]
            ratios = "  ".join(f"{rates[0] / other:5.1f}x" for other in rates[1:])
            print(f"{text:<16}" + "".join(f"{found:>14,.0f}" for found in rates) + f"   {ratios}")


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 0.3)
