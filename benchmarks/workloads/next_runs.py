"""Next runs of cron expressions a second on one core, beside croniter and cronsim.

Every rate is of this process's CPU time, the best of three. ``next`` chains each run from the one before; ``anew``
reads the text each time and asks for one run. Over several expressions stands the geometric mean.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from datetime import UTC, datetime
from time import process_time
from zoneinfo import ZoneInfo

from croniter import croniter
from cronsim import CronSim

from benchmarks.catalogue import Peer
from benchmarks.run import Run
from mainspring.schedule import compile_schedule

ZONE = "America/New_York"
START = datetime(2026, 1, 1, tzinfo=UTC)
LOCAL = START.astimezone(ZoneInfo(ZONE))
EXPRESSIONS = ("*/15 * * * *", "30 2 * * *", "0 9 * * 1-5", "0 0 1 * *", "0 0 29 2 *", "5 4 1,15 * 5")
#: Runs before a chain starts over, so that sparse expressions do not run out of calendar.
CHAIN = 40

Work = Callable[[], object]


def measure(peer: Peer, run: Run) -> dict[str, float]:
    """Return rates of ours, and the ratios to the others'."""
    seconds = 0.3 * run.scale
    found: dict[str, float] = {}
    for place, (name, runs) in enumerate((("next", CHAIN), ("anew", 1))):
        rates = {
            who: statistics.geometric_mean(_rate(made(text)[place], runs, seconds) for text in EXPRESSIONS)
            for who, made in (("ours", ours), ("croniter", by_croniter), ("cronsim", by_cronsim))
        }
        found |= {f"{name}_per_s": rates["ours"]}
        found |= {f"{name}_over_{other}": rates["ours"] / rates[other] for other in ("croniter", "cronsim")}
    return found


def ours(text: str) -> tuple[Work, Work]:
    schedule = compile_schedule({"cron": text}, timezone=ZONE)

    def chain() -> None:
        at = START
        for _ in range(CHAIN):
            found = schedule.next(at)
            assert found is not None
            at = found.at

    return chain, lambda: compile_schedule({"cron": text}, timezone=ZONE).next(START)


def by_croniter(text: str) -> tuple[Work, Work]:
    def chain() -> None:
        other = croniter(text, LOCAL)
        for _ in range(CHAIN):
            other.get_next(datetime)

    return chain, lambda: croniter(text, LOCAL).get_next(datetime)


def by_cronsim(text: str) -> tuple[Work, Work]:
    def chain() -> None:
        other = CronSim(text, LOCAL)
        for _ in range(CHAIN):
            next(other)

    return chain, lambda: next(CronSim(text, LOCAL))


def _rate(work: Work, runs: int, seconds: float) -> float:
    work()
    best = 0.0
    for _ in range(3):
        calls, start = 0, process_time()
        while (spent := process_time() - start) < seconds / 3:
            work()
            calls += 1
        best = max(best, calls * runs / spent)
    return best
