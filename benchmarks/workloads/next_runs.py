"""Next runs of cron expressions a second on one core, beside croniter and cronsim.

Every rate is of this process's CPU time, the best of three, and stands for one expression, with its ratio to the rate
of the others for it. ``compiled`` chains each run from the one before; ``anew`` reads the text each time and asks for
one run.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from time import process_time
from zoneinfo import ZoneInfo

from croniter import croniter
from cronsim import CronSim

from benchmarks.catalogue import Peer
from benchmarks.figures import OF
from benchmarks.ratios import NEW_YORK
from benchmarks.run import Run
from mainspring.schedule import compile_schedule

ZONE = "America/New_York"
START = datetime(2026, 1, 1, tzinfo=UTC)
LOCAL = START.astimezone(ZoneInfo(ZONE))
EXPRESSIONS = (*NEW_YORK, "0 0 29 2 *", "5 4 1,15 * 5")
#: Runs before a chain starts over, so that sparse expressions do not run out of calendar.
CHAIN = 40

Work = Callable[[], object]


def measure(peer: Peer, run: Run) -> dict[str, float]:
    """Return our rate of each expression, compiled and read anew, and its ratios to the others'."""
    found: dict[str, float] = {}
    for text in EXPRESSIONS:
        work = {"ours": ours(text), "croniter": by_croniter(text), "cronsim": by_cronsim(text)}
        for place, (name, runs) in enumerate((("compiled", CHAIN), ("anew", 1))):
            rates = {who: _rate(made[place], runs, 0.3 * run.scale) for who, made in work.items()}
            found[f"{name}_per_s{OF}{text}"] = rates["ours"]
            for other in ("croniter", "cronsim"):
                found[f"{name}_over_{other}{OF}{text}"] = rates["ours"] / rates[other]
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
