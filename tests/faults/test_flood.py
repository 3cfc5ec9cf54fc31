"""F39: everything at once, after a long absence, beside a tenant who does not stop asking."""

from __future__ import annotations

import statistics
import time
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from mainspring.control.scheduler import SchedulerService
from mainspring.model.node import Limit
from tests.faults.conftest import Report
from tests.faults.fleet import usage
from tests.faults.trial import LEASE, MARGIN, Trial
from tests.waiting import until

SCHEDULES = 10_000
#: Executions of one tenant that may occupy the fleet at a time; it has 40 slots.
CAP = 15
#: Seconds within which nine of ten executions of a quiet tenant start, whatever the others do.
QUIET_STARTS = 3.0
HOUR = timedelta(hours=1)

#: As if it had been created an hour earlier, and nothing had decided for it since.
EARLIER = "UPDATE jobs SET " + ", ".join(
    f"{name} = {name} - %(earlier)s" for name in ("created_at", "updated_at", "cursor_at", "next_run_at")
)
#: Copies of a job, made in the database: asking ten thousand times takes longer than all that follows.
COPY = """
    INSERT INTO jobs ({columns})
    SELECT {values} FROM jobs, generate_series(1, %s) AS number WHERE name = 'flood-0'"""


def fill(url: str) -> None:
    """Let a job have been asleep for an hour, and ten thousand with it, all due in the same second."""
    own = {
        "id": "overlay(id placing lpad(to_hex(number), 8, '0') from 29)",
        "name": "'flood-' || number",
        "definition": "replace(definition, '\"flood-0\"', '\"flood-' || number || '\"')",
    }
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(EARLIER.encode(), {"earlier": HOUR // timedelta(microseconds=1)})
        told = connection.execute(
            "SELECT column_name FROM information_schema.columns WHERE table_name = 'jobs' AND is_generated = 'NEVER'"
        ).fetchall()
        columns = [name for (name,) in told]
        values = ", ".join(own.get(name, name) for name in columns)
        copy = COPY.format(columns=", ".join(columns), values=values)
        connection.execute(copy.encode(), (SCHEDULES - 1,))
        assert connection.execute("SELECT count(DISTINCT next_run_at), count(*) FROM jobs").fetchone() == (1, SCHEDULES)


@pytest.mark.timeout(1200)
def test_f39_ten_thousand_schedules_due_at_once_beside_a_flood_leave_others_their_share(
    trial: Trial, report: Report
) -> None:
    trial.platforms = ["default", "loud", "quiet"]
    trial.up(dispatchers=0, workers=2)

    async def prepare(service: SchedulerService) -> None:
        await service.put_limit(Limit(service.platform_id, "platform", "", max_running=CAP))

    for platform in ("default", "loud"):
        trial.call(prepare, platform=platform)
    due = datetime.now(UTC).replace(microsecond=0) - HOUR / 2
    schedule = {"every_ms": HOUR // timedelta(milliseconds=1), "anchor_at": due.isoformat()}
    flood = {"name": "flood-0", "type": "recurring", "handler": "work", "schedule": schedule}
    trial.call(lambda service: service.create_job(flood))
    fill(trial.url)
    quiet = trial.customer(rate=5, batch=1, platform="quiet")
    loud = trial.customer(rate=1000, batch=100, platform="loud")
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
