"""Check everything that keeps jobs from running as they should; each finding says what was seen and what mends it.

What only the process at hand can know (is the database there, who holds its lock) is added by whoever asks.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from mainspring.control.counted import BOUND
from mainspring.control.explanation import span
from mainspring.control.health import ALIVE, FAIL, WARN, collect_metrics
from mainspring.control.status import all_jobs
from mainspring.model.job import Job, JobStatus
from mainspring.model.node import DispatcherNode, WorkerNode
from mainspring.model.wire import instant
from mainspring.moves.hold import held
from mainspring.moves.reap import CLOCK_STEP
from mainspring.moves.schedules import Schedules
from mainspring.ports.store import Tx
from mainspring.schedule import CompiledSchedule, tzdb_version

#: How far ahead clock changes are looked for, and the most jobs and instants looked at for it.
AHEAD, AHEAD_JOBS, AHEAD_RUNS = timedelta(days=60), 200, 100
#: How long a step of the database's clock is worth a warning.
STEP_RECENT = timedelta(days=1)
#: Names listed in one finding; the rest is counted.
LISTED = 10


class Grade(StrEnum):
    """How bad a finding is. ``note``: worth knowing, and nothing to do."""

    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: what was looked at, how it stands, what was seen, and the commands that mend it."""

    check: str
    grade: Grade
    detail: str
    evidence: Mapping[str, Any] = field(default_factory=dict)
    fix: tuple[str, ...] = ()

    def to_wire(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "check": self.check,
            "status": self.grade.value,
            "detail": self.detail,
            "evidence": dict(self.evidence),
            "fix": list(self.fix),
        }


def worst(findings: Sequence[Finding]) -> Grade:
    """Return the worst grade found; ok where there is nothing.

    >>> worst([Finding("a", Grade.NOTE, ""), Finding("b", Grade.WARNING, "")])
    <Grade.WARNING: 'warning'>
    """
    order = list(Grade)
    return max((finding.grade for finding in findings), key=order.index, default=Grade.OK)


def examine(tx: Tx, schedules: Schedules, platform_id: str) -> list[Finding]:
    """Return what the database tells, in the order in which work flows: deciding, running, delivering, the jobs."""
    metrics = collect_metrics(tx, platform_id)
    dispatchers = [d for d in tx.nodes.dispatchers(seen_since=tx.now - ALIVE) if d.status != "stopped"]
    workers = [w for w in tx.nodes.workers(seen_since=tx.now - ALIVE) if w.status != "stopped"]
    jobs, complete = all_jobs(tx, platform_id)
    active = [job for job in jobs if job.status is JobStatus.ACTIVE]
    findings = [
        _hold(tx),
        _dispatchers(tx, dispatchers),
        _workers(tx, workers),
        _lag("decisions", metrics["decision_lag_s"], "the oldest undecided instant is {} late", dispatchers),
        _queues(tx, platform_id, workers),
        _lag("claims", metrics["queue_lag_s"], "the oldest queued execution has waited for {}", workers),
        _lag("events", metrics["outbox_lag_s"], "the oldest unpublished event has waited for {}", dispatchers),
        _handlers(tx, platform_id, active, workers),
        _dead_letters(tx, platform_id),
        _webhooks(tx, platform_id),
        _paused([job for job in jobs if job.status is JobStatus.PAUSED]),
        _database_clock(tx),
        _zone_data(tx, dispatchers),
        _versions([*workers, *dispatchers]),
        _clock_changes(tx, schedules, active),
    ]
    if not complete:
        detail = f"only the first {len(jobs)} jobs by name were looked at"
        findings.append(Finding("jobs", Grade.NOTE, detail))
    return findings


def _hold(tx: Tx) -> Finding:
    found = held(tx)
    if found is None:
        return Finding("hold", Grade.OK, "the fleet may work")
    since = instant(found.since)
    detail = f"the fleet is held since {span(tx.now - found.since)}, by {found.actor}: {found.reason}"
    return Finding("hold", Grade.ERROR, detail, {"since": since, "reason": found.reason}, ("mainspring release",))


def _dispatchers(tx: Tx, alive: Sequence[DispatcherNode]) -> Finding:
    if alive:
        ids = {"ids": [dispatcher.id for dispatcher in alive]}
        return Finding("dispatcher", Grade.OK, f"{_many(len(alive), 'dispatcher')} alive", ids)
    fix = ("mainspring dev module:app", "mainspring dispatcher")
    return Finding("dispatcher", Grade.ERROR, "no dispatcher is alive: no due instant is decided", _last(tx, "d"), fix)


def _workers(tx: Tx, alive: Sequence[WorkerNode]) -> Finding:
    if not alive:
        fix = ("mainspring dev module:app", "mainspring worker module:app")
        return Finding("worker", Grade.ERROR, "no worker is alive: no execution runs", _last(tx, "w"), fix)
    poisoned = {w.id: w.poisoned for w in alive if w.poisoned}
    detail = f"{_many(len(alive), 'worker')} alive, {_many(sum(w.running for w in alive), 'execution')} running"
    if poisoned:
        told = f"{detail}; handlers that would not stop hold {_many(sum(poisoned.values()), 'slot')}"
        return Finding("worker", Grade.WARNING, told, {"poisoned": poisoned}, ("restart the worker",))
    return Finding("worker", Grade.OK, detail, {"ids": [w.id for w in alive]})


def _last(tx: Tx, which: str) -> dict[str, Any]:
    seen = [n.seen_at for n in (tx.nodes.dispatchers() if which == "d" else tx.nodes.workers())]
    return {"last_seen_at": max(seen).isoformat() if seen else None}


def _lag(check: str, seconds: float, told: str, alive: Sequence[Any]) -> Finding:
    lag = timedelta(seconds=seconds)
    evidence = {"lag_s": round(seconds, 3)}
    if lag <= WARN:
        return Finding(check, Grade.OK, "nothing is late", evidence)
    grade = Grade.ERROR if lag > FAIL else Grade.WARNING
    fix = ("mainspring status",) if alive else ("mainspring dev module:app",)
    return Finding(check, grade, told.format(span(lag)), evidence, fix)


def _queues(tx: Tx, platform_id: str, workers: Sequence[WorkerNode]) -> Finding:
    served = {queue for worker in workers for queue in worker.queues}
    waiting: dict[str, datetime] = {}
    for queue, _, at in tx.executions.queued_handlers(1000, platform_id=platform_id):
        if queue not in served:
            waiting[queue] = min(at, waiting.get(queue, at))
    if not waiting:
        return Finding("queues", Grade.OK, "every queue with work has a worker")
    told = ", ".join(f"{queue} (since {span(tx.now - at)})" for queue, at in sorted(waiting.items()))
    evidence = {queue: at.isoformat() for queue, at in sorted(waiting.items())}
    slots = ",".join(f"{queue}:20" for queue in sorted(waiting))
    fix = (f"mainspring worker module:app --queues {slots}",)
    return Finding("queues", Grade.ERROR, f"work waits in queues no live worker serves: {told}", evidence, fix)


def _handlers(tx: Tx, platform_id: str, active: Sequence[Job], workers: Sequence[WorkerNode]) -> Finding:
    """Find active jobs and queued work whose handler nobody alive has: often what a removed decorator leaves behind."""
    if not workers:
        return Finding("handlers", Grade.NOTE, "not checked, as no worker is alive to have them")
    known = {name for worker in workers for name in worker.handlers}
    missing: dict[str, list[str]] = defaultdict(list)
    for job in active:
        if job.definition.handler not in known:
            missing[job.definition.handler].append(job.name)
    for _, handler, _ in tx.executions.queued_handlers(1000, platform_id=platform_id):
        if handler not in known:
            missing.setdefault(handler, [])
    if not missing:
        return Finding("handlers", Grade.OK, "every active job's handler is on a live worker")
    announced = {row.name for row in tx.nodes.handlers()}
    parts: list[str] = []
    fix: list[str] = []
    for handler, names in sorted(missing.items()):
        gone = "its code was removed or renamed" if handler in announced else "nobody has announced it yet"
        parts.append(f"{handler} ({gone}), of {_some(names) if names else 'queued executions'}")
        fix += [f"mainspring jobs archive {name}" for name in names[:LISTED]]
    fix.insert(0, "start a worker whose code has the handler, or archive what is left of a removed one:")
    return Finding("handlers", Grade.ERROR, f"no live worker has: {'; '.join(parts)}", dict(missing), tuple(fix))


def _dead_letters(tx: Tx, platform_id: str) -> Finding:
    count = tx.dead_letters.count(platform_id, BOUND + 1)
    if not count:
        return Finding("dead_letters", Grade.OK, "none open")
    newest = tx.dead_letters.find(platform_id, limit=LISTED)
    names = sorted({letter.job_name or letter.handler for letter in newest})
    fix = ("mainspring dead list", f"mainspring explain {newest[0].execution_id}") if newest else ()
    told = f"of {_some(names)}" if count <= LISTED else f"the newest are of {_some(names)}"
    many = f"more than {BOUND:,} open dead letters" if count > BOUND else _many(count, "open dead letter")
    return Finding("dead_letters", Grade.WARNING, f"{many}, {told}", {"open": count}, fix)


def _webhooks(tx: Tx, platform_id: str) -> Finding:
    webhooks = tx.webhooks.find(platform_id)
    off = [webhook for webhook in webhooks if not webhook.enabled]
    ailing = [webhook for webhook in webhooks if webhook.enabled and webhook.failing_since is not None]
    if not off and not ailing:
        return Finding("webhooks", Grade.OK, f"{_many(len(webhooks), 'webhook')}, all well" if webhooks else "none")
    told = [f"{webhook.url} is disabled: {webhook.disabled_reason}" for webhook in off]
    told += [f"{w.url} fails since {span(tx.now - w.failing_since)}" for w in ailing if w.failing_since is not None]
    fix = [f"mainspring webhooks deliveries {webhook.id}" for webhook in [*off, *ailing][:LISTED]]
    fix += [f"mainspring webhooks enable {webhook.id}" for webhook in off[:LISTED]]
    evidence = {webhook.id: tx.webhooks.owed(webhook.id, 1000) for webhook in [*off, *ailing][:LISTED]}
    return Finding("webhooks", Grade.WARNING, "; ".join(told[:LISTED]), {"owed": evidence}, tuple(fix))


def _paused(jobs: Sequence[Job]) -> Finding:
    if not jobs:
        return Finding("paused_jobs", Grade.OK, "none")
    evidence = {job.name: job.status_reason for job in jobs[:LISTED]}
    # A job the dispatcher set aside does not run because something is wrong, and not because somebody wished so.
    signs = ("deciding failed", "failed in a row")
    broken = any(sign in (job.status_reason or "") for job in jobs for sign in signs)
    grade = Grade.WARNING if broken else Grade.NOTE
    told = "; ".join(f"{job.name}: {job.status_reason or 'no reason given'}" for job in jobs[:LISTED])
    fix = tuple(f"mainspring jobs resume {job.name}" for job in jobs[:LISTED])
    return Finding("paused_jobs", grade, f"{_many(len(jobs), 'job')} paused: {told}", evidence, fix)


def _database_clock(tx: Tx) -> Finding:
    note = tx.platforms.note(CLOCK_STEP)
    if note is None:
        return Finding("database_clock", Grade.OK, "it has not been seen to step")
    seen = json.loads(note)
    ago, step = tx.now - datetime.fromisoformat(seen["at"]), timedelta(milliseconds=seen["step_ms"])
    told = f"it stepped {'forward' if step > timedelta(0) else 'back'} by {span(abs(step))} at {seen['at']}"
    recent = abs(ago) <= STEP_RECENT
    fix = ("see that the database server's clock is disciplined, such as by chrony",) if recent else ()
    return Finding("database_clock", Grade.WARNING if recent else Grade.NOTE, told, seen, fix)


def _zone_data(tx: Tx, dispatchers: Sequence[DispatcherNode]) -> Finding:
    versions = {"here": tzdb_version(), **{d.id: d.tzdb_version for d in dispatchers}}
    noted = tx.platforms.note("tzdb_version")
    if noted is not None:
        versions["database"] = noted
    if len(set(versions.values())) <= 1:
        return Finding("zone_data", Grade.OK, f"version {tzdb_version()} everywhere", versions)
    told = ", ".join(sorted(set(versions.values())))
    fix = ("install the same tzdata package on every node, then restart them",)
    return Finding("zone_data", Grade.WARNING, f"versions differ: {told}", versions, fix)


def _versions(nodes: Sequence[WorkerNode | DispatcherNode]) -> Finding:
    versions = {node.id: node.version for node in nodes}
    found = sorted(set(versions.values()))
    if len(found) <= 1:
        return Finding("versions", Grade.OK, f"all nodes run {found[0]}" if found else "no node is alive", versions)
    return Finding("versions", Grade.NOTE, f"nodes run {', '.join(found)}", versions)


def _clock_changes(tx: Tx, schedules: Schedules, active: Sequence[Job]) -> Finding:
    affected: dict[str, list[str]] = {}
    timed = [job for job in active if job.definition.type.timed][:AHEAD_JOBS]
    for job in timed:
        notes = _notes_ahead(schedules.of(tx, job), tx.now)
        if notes:
            affected[job.name] = notes
    days = AHEAD.days
    if not affected:
        return Finding("clock_changes", Grade.OK, f"no run within {days} days is moved or doubled by a clock change")
    told = "; ".join(f"{name}: {notes[0]}" for name, notes in list(affected.items())[:LISTED])
    return Finding("clock_changes", Grade.NOTE, f"within {days} days: {told}", affected)


def _notes_ahead(schedule: CompiledSchedule, now: datetime) -> list[str]:
    """Return what clock changes within `AHEAD` do to a schedule, looking only at the hours around each change."""
    notes: list[str] = []
    until = (now + AHEAD).timestamp()
    segment = schedule.zone.segment_at(int(now.timestamp()))
    while segment.end < until:
        change = datetime.fromtimestamp(segment.end, UTC)
        for index, occurrence in enumerate(schedule.iterate(change - timedelta(hours=2))):
            if occurrence.at > change + timedelta(hours=2) or index >= AHEAD_RUNS:
                break
            notes += [note for note in occurrence.notes if note not in notes]
        segment = schedule.zone.segment_at(segment.end)
    return notes


def _many(count: int, noun: str) -> str:
    """Return a count with its noun.

    >>> _many(1, "worker"), _many(2, "worker")
    ('1 worker', '2 workers')
    """
    return f"{count} {noun}" + ("" if count == 1 else "s")


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more
