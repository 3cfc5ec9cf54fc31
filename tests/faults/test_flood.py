"""F39: everything at once, after a long absence, beside a tenant who does not stop asking."""

from __future__ import annotations

import asyncio
import statistics
import time
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from mainspring import Mainspring
from mainspring.control.scheduler import SchedulerService
from mainspring.model.node import Limit
from mainspring.model.wire import definition_from_wire
from mainspring.moves.jobs import create_job
from mainspring.ports.store import Tx
from tests.faults.clocks import Clock
from tests.faults.conftest import Report
from tests.faults.fleet import usage
from tests.faults.trial import LEASE, MARGIN, Trial
from tests.faults.waiting import until

SCHEDULES, AT_ONCE = 10_000, 500
#: Executions of one tenant that may occupy the fleet at a time; it has 40 slots.
CAP = 15
#: Seconds within which nine of ten executions of a quiet tenant start, whatever the others do.
QUIET_STARTS = 3.0


def _create(tx: Tx, *, first: int, at: datetime) -> None:
    """Create jobs that are all due in the same second, once an hour."""
    schedule = {"every_ms": 3_600_000, "anchor_at": at.isoformat()}
    for number in range(first, first + AT_ONCE):
        fields = {"name": f"flood-{number}", "type": "recurring", "handler": "work", "schedule": schedule}
        create_job(tx, "default", definition_from_wire(fields))


@pytest.mark.timeout(600)
def test_f39_ten_thousand_schedules_due_at_once_beside_a_flood_leave_others_their_share(
    stepping: Trial, database_clock: Clock, report: Report
) -> None:
    trial = stepping
    trial.platforms = ["default", "loud", "quiet"]
    trial.up(dispatchers=0, workers=2)

    async def prepare(service: SchedulerService) -> None:
        await service.put_limit(Limit(service.platform_id, "platform", "", max_running=CAP))

    for platform in ("default", "loud"):
        trial.call(prepare, platform=platform)
    app = Mainspring(trial.client_url, **trial.client)
    due = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=30)

    async def fill() -> None:
        store = await app.open()
        for first in range(0, SCHEDULES, AT_ONCE):
            await store.write(partial(_create, first=first, at=due))
        await app.close()

    asyncio.run(fill())
    quiet = trial.customer(rate=5, batch=1, platform="quiet")
    loud = trial.customer(rate=1000, batch=100, platform="loud")
    database_clock.set(3600)
    for _ in range(2):
        trial.dispatcher()
    trial.await_nodes()
    before, began = usage(trial.fleet), time.time()
    decided = "SELECT count(*) FROM decisions WHERE decision = 'dispatched'"
    until("every instant is decided", lambda: trial.rows(decided) == [(SCHEDULES,)], 120)
    decided_in = time.time() - began
    until("a while beside both", lambda: len(quiet.acknowledged) >= 60 and time.time() > began + 5 * LEASE, 120)
    loud.stop()
    grown = max(now[1] - before[name][1] for name, now in usage(trial.fleet).items())
    took = trial.settle(within=400)
    evidence = trial.finish()
    ended = [x for x in evidence.executions if x["job_name"] and x["job_name"].startswith("flood-")]
    assert len(ended) == len({x["job_id"] for x in ended}) == SCHEDULES
    assert {x["status"] for x in evidence.executions} == {"success"}
    waits = sorted(
        (datetime.fromisoformat(x["started_at"]) - datetime.fromisoformat(x["created_at"])).total_seconds()
        for x in evidence.executions
        if x["platform_id"] == "quiet"
    )
    p90 = waits[len(waits) * 9 // 10]
    assert grown < 256 * 1024, f"a process grew by {grown} KiB"
    report(
        recovery=p90,
        bound=QUIET_STARTS + MARGIN,
        decided_in=decided_in,
        drained_in=took,
        loud_asked=len(loud.acknowledged),
        quiet_median=statistics.median(waits),
        grown_kib=grown,
    )
