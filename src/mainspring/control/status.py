"""How it goes, on one screen: health, what runs and waits, who works, what is late or failing, what comes next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from mainspring.control.counted import BOUND
from mainspring.control.explanation import span
from mainspring.control.health import ALIVE, Health, HealthLimits, check_health, collect_metrics
from mainspring.control.transport import transport_to_wire
from mainspring.model.job import Job, JobStats, JobStatus
from mainspring.model.node import DispatcherNode, Limit, WorkerNode
from mainspring.model.wire import instant
from mainspring.moves.hold import Hold, held
from mainspring.ports.store import Tx
from mainspring.ports.transport import TransportFigures

#: Most jobs looked at; the screen must come at once, however many there are.
JOBS = 2_000
_PAGE = 500


@dataclass(frozen=True, slots=True)
class QueueState:
    """A queue: what waits in it since when, what occupies it (10,000 at most), and the slots live workers offer."""

    name: str
    oldest_queued_at: datetime | None
    occupied: int
    slots: int
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Upcoming:
    """A job that is due next, with the zone its times are shown in."""

    name: str
    at: datetime
    timezone: str


@dataclass(frozen=True, slots=True)
class Failing:
    """A job whose last executions failed."""

    name: str
    consecutive_failures: int
    last_run_at: datetime | None
    timezone: str


@dataclass(frozen=True, slots=True)
class Status:
    """The screen. ``sentence`` says it in one line; ``all_jobs`` is False where more jobs exist than were looked at."""

    now: datetime
    timezone: str
    sentence: str
    health: Health
    metrics: Mapping[str, Any]
    queues: Sequence[QueueState]
    workers: Sequence[WorkerNode]
    dispatchers: Sequence[DispatcherNode]
    upcoming: Sequence[Upcoming]
    failing: Sequence[Failing]
    paused: Sequence[str]
    all_jobs: bool = True
    transport: TransportFigures | None = None

    def to_wire(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "at": instant(self.now),
            "timezone": self.timezone,
            "status": self.health.status,
            "sentence": self.sentence,
            "checks": {name: dict(check) for name, check in self.health.checks.items()},
            "metrics": dict(self.metrics),
            "queues": [
                {
                    "name": q.name,
                    "oldest_queued_at": instant(q.oldest_queued_at),
                    "occupied": q.occupied,
                    "slots": q.slots,
                    "limit": q.limit,
                }
                for q in self.queues
            ],
            "workers": [
                {"id": w.id, "host": w.host, "pid": w.pid, "status": w.status, "running": w.running,
                 "queues": dict(w.queues), "seen_at": instant(w.seen_at), "version": w.version}
                for w in self.workers
            ],
            "dispatchers": [
                {"id": d.id, "host": d.host, "pid": d.pid, "status": d.status, "seen_at": instant(d.seen_at),
                 "version": d.version, "tzdb_version": d.tzdb_version, "stats": dict(d.stats)}
                for d in self.dispatchers
            ],
            "upcoming": [{"job": u.name, "next_run_at": instant(u.at), "timezone": u.timezone} for u in self.upcoming],
            "failing": [
                {"job": f.name, "consecutive_failures": f.consecutive_failures, "last_run_at": instant(f.last_run_at),
                 "timezone": f.timezone}
                for f in self.failing
            ],
            "paused": list(self.paused),
            "all_jobs": self.all_jobs,
            **({} if self.transport is None else {"transport": transport_to_wire(self.transport)}),
        }  # fmt: skip


def collect_status(tx: Tx, platform_id: str, *, upcoming: int = 5, limits: HealthLimits | None = None) -> Status:
    """Return how a platform goes, with its ``upcoming`` next runs, judged by ``limits``."""
    timezone = tx.platforms.timezone(platform_id) or "UTC"
    health, metrics = check_health(tx, platform_id, limits), collect_metrics(tx, platform_id)
    workers = [w for w in tx.nodes.workers(seen_since=tx.now - ALIVE) if w.status != "stopped"]
    dispatchers = [d for d in tx.nodes.dispatchers(seen_since=tx.now - ALIVE) if d.status != "stopped"]
    jobs, complete = all_jobs(tx, platform_id)
    active = [job for job in jobs if job.status is JobStatus.ACTIVE]
    nearest = sorted((job for job in active if job.next_run_at is not None), key=_next_run_at)[:upcoming]
    return Status(
        now=tx.now,
        timezone=timezone,
        sentence=_sentence(health, metrics, held(tx)),
        health=health,
        metrics=metrics,
        queues=_queues(tx, platform_id, workers),
        workers=workers,
        dispatchers=dispatchers,
        upcoming=[Upcoming(j.name, _next_run_at(j), j.definition.timezone or timezone) for j in nearest],
        failing=_failing(tx, active, timezone),
        paused=[job.name for job in jobs if job.status is JobStatus.PAUSED],
        all_jobs=complete,
    )


def all_jobs(tx: Tx, platform_id: str, *, status: JobStatus | None = None) -> tuple[list[Job], bool]:
    """Return up to `JOBS` jobs by name, and whether these are all."""
    found: list[Job] = []
    after: str | None = None
    while len(found) < JOBS:
        page = tx.jobs.find(platform_id, status=status, after=after, limit=_PAGE)
        found += page
        if len(page) < _PAGE:
            return found, True
        after = page[-1].name
    return found, False


def _next_run_at(job: Job) -> datetime:
    assert job.next_run_at is not None
    return job.next_run_at


def _failing(tx: Tx, jobs: Sequence[Job], timezone: str) -> list[Failing]:
    stats = tx.jobs.stats([job.id for job in jobs])
    zones = {job.id: (job.name, job.definition.timezone or timezone) for job in jobs}
    failing: list[JobStats] = [s for s in stats.values() if s.consecutive_failures and s.job_id in zones]
    failing.sort(key=lambda s: (-s.consecutive_failures, zones[s.job_id][0]))
    return [Failing(zones[s.job_id][0], s.consecutive_failures, s.last_run_at, zones[s.job_id][1]) for s in failing]


def _queues(tx: Tx, platform_id: str, workers: Sequence[WorkerNode]) -> list[QueueState]:
    oldest: dict[str, datetime] = {}
    for queue, _, at in tx.executions.queued_handlers(1000, platform_id=platform_id):
        oldest[queue] = min(at, oldest.get(queue, at))
    slots: dict[str, int] = {}
    for worker in workers:
        for queue, count in worker.queues.items():
            slots[queue] = slots.get(queue, 0) + count
    limits = {limit.name: limit for limit in _queue_limits(tx, platform_id)}
    names = sorted({*oldest, *slots, *limits})
    occupied = tx.executions.occupying(platform_id, "queue", names, most=BOUND)
    return [
        QueueState(
            name,
            oldest.get(name),
            occupied.get(name, 0),
            slots.get(name, 0),
            limits[name].max_running if name in limits else None,
        )
        for name in names
    ]


def _queue_limits(tx: Tx, platform_id: str) -> list[Limit]:
    return [limit for limit in tx.platforms.limits(platform_id) if limit.scope == "queue"]


def _sentence(health: Health, metrics: Mapping[str, Any], hold: Hold | None) -> str:
    """Say how it goes in one sentence: what is wrong first, and plainly when nothing is."""
    problems = [] if hold is None else [f"the fleet is held by {hold.actor}: {hold.reason}"]
    if not metrics["dispatchers"]:
        problems.append("no dispatcher is alive, so nothing is decided")
    if not metrics["workers"]:
        problems.append("no worker is alive, so nothing runs")
    for name, told in (
        ("decision_lag_s", "the oldest undecided instant is {} late"),
        ("queue_lag_s", "the oldest execution has been queued for {}"),
        ("outbox_lag_s", "the oldest event has waited for {}"),
    ):
        check = health.checks[name]
        if check["status"] != "pass":
            problems.append(told.format(span(timedelta(seconds=round(check["observed"])))))
    if not problems:
        running = metrics["executions"].get("running", 0)
        return f"All is well: {running} running, nothing is late."
    text = "; ".join(problems)
    return f"{text[0].upper()}{text[1:]}."
