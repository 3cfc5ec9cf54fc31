"""The outbox's way out, and what each event leads to: rollups, chains, automatic pauses.

Publishing may repeat after a crash; rollups, chains and what webhooks are owed happen exactly once, in the transaction
that marks the event.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from mainspring.errors import MainspringError
from mainspring.model.chain import Chained
from mainspring.model.events import Event, EventType
from mainspring.model.execution import CHAIN_DEPTH, Cause, Execution, Status
from mainspring.model.job import Job, JobStats, JobStatus
from mainspring.model.trace import TraceIds
from mainspring.model.wire import execution_to_wire
from mainspring.moves.enqueue import trigger
from mainspring.moves.jobs import pause_job
from mainspring.moves.order import hold_jobs_to_start
from mainspring.moves.rollup import roll_up
from mainspring.moves.schedules import Schedules
from mainspring.moves.webhooks import owe
from mainspring.ports.store import Tx

_ENDED = {
    EventType.EXECUTION_SUCCESS: Status.SUCCESS,
    EventType.EXECUTION_FAILED: Status.FAILED,
    EventType.EXECUTION_CANCELLED: Status.CANCELLED,
    EventType.EXECUTION_EXPIRED: Status.EXPIRED,
}


#: How long one dispatcher's turn at relaying lasts unless it goes on; another waits that long if it dies.
TURN = timedelta(seconds=5)
_RELAY = "relay"


@dataclass(frozen=True, slots=True)
class Batch:
    """What is to be published now, and until when it is the caller's turn to do so (None: it is another's).

    ``more``: there are events after these.
    """

    events: list[Event]
    turn_until: datetime | None
    more: bool = False


def take_unpublished(tx: Tx, limit: int = 500) -> list[Event]:
    """Return the oldest unpublished events."""
    return tx.outbox.unpublished(limit)


def take_batch(tx: Tx, holder: str, turn_until: datetime | None, limit: int = 500) -> Batch:
    """Return the oldest unpublished events, if it is or can be the turn of ``holder``.

    ``turn_until`` is what the last call returned: the turn is written down again only when half of it has passed.
    """
    events = tx.outbox.unpublished(limit + 1)  # one more: a full batch is no reason to look again for nothing
    batch = Batch(events[:limit], turn_until, more=len(events) > limit)
    if not events or (turn_until is not None and turn_until - tx.now > TURN / 2):
        return batch
    if not tx.platforms.lease(_RELAY, holder, tx.now + TURN):
        return Batch([], None)
    return replace(batch, turn_until=tx.now + TURN)


def end_turn(tx: Tx, holder: str) -> None:
    """Give up the turn of ``holder``, if it still is its own."""
    tx.platforms.lease(_RELAY, holder, tx.now)


def mark_published(tx: Tx, schedules: Schedules, events: Sequence[Event]) -> list[str]:
    """Mark events published and do what follows from each, once; return what went wrong with chains, for the log."""
    marked = tx.outbox.mark_published([event.id for event in events])
    return _follow(tx, schedules, [event for event in events if event.id in marked])


def apply_unpublished(tx: Tx, schedules: Schedules, limit: int = 500) -> tuple[int, list[str]]:
    """Do what follows from events that cannot be published now: chains and counters need no bus.

    Returns how many events were looked at, and what went wrong with chains.
    """
    waiting = tx.outbox.unapplied(limit)
    marked = tx.outbox.mark_applied([event.id for event in waiting])
    return len(waiting), _follow(tx, schedules, [event for event in waiting if event.id in marked])


def _follow(tx: Tx, schedules: Schedules, events: Sequence[Event]) -> list[str]:
    owe(tx, events)
    roll_up(tx, events)
    fresh = [event for event in events if event.data.get("job_id")]
    failing = {s.job_id: s for s in _count(tx, fresh) if s.consecutive_failures}
    ended = [e for e in fresh if e.type in (EventType.EXECUTION_SUCCESS, EventType.EXECUTION_FAILED)]
    jobs = tx.jobs.leading_on(sorted({str(e.data["job_id"]) for e in ended} | set(failing)))
    to_pause = [job for job in jobs.values() if job.id in failing and _fails_too_often(job, failing[job.id])]
    calls = _calls(tx, ended, jobs)
    targets = {target.id for _, _, target in calls if target is not None}
    # All that is to come in this transaction, before any of it waits for a limit.
    if targets or to_pause:
        hold_jobs_to_start(tx, targets | {job.id for job in to_pause})
    for job in to_pause:
        _pause(tx, schedules, job, failing[job.id])
    return _chain(tx, calls)


def _count(tx: Tx, events: Sequence[Event]) -> list[JobStats]:
    counted = [e for e in events if e.type in _ENDED or e.type == EventType.OCCURRENCE_SKIPPED]
    job_ids = sorted({str(e.data["job_id"]) for e in counted})
    stats = tx.jobs.stats(job_ids, lock=True)
    for event in counted:
        job_id = str(event.data["job_id"])
        stats[job_id] = _counted(stats.get(job_id, JobStats(job_id)), event)
    tx.jobs.put_stats(list(stats.values()))
    return list(stats.values())


def _counted(stats: JobStats, event: Event) -> JobStats:
    if event.type == EventType.OCCURRENCE_SKIPPED:
        return stats.changed(skipped=stats.skipped + int(event.data.get("count") or 1))
    status = _ENDED[EventType(event.type)]
    started = event.data.get("started_at")
    changes: dict[str, Any] = {"total": stats.total + 1, "last_status": status}
    if started:
        changes["last_run_at"] = datetime.fromisoformat(started)
    if status in (Status.SUCCESS, Status.FAILED):
        changes["duration"] = stats.duration + timedelta(milliseconds=int(event.data.get("duration_ms") or 0))
    if status is Status.SUCCESS:
        changes |= {"success": stats.success + 1, "consecutive_failures": 0}
    elif status is Status.FAILED:
        changes |= {"failed": stats.failed + 1, "consecutive_failures": stats.consecutive_failures + 1}
    return stats.changed(**changes)


def _fails_too_often(job: Job, stats: JobStats) -> bool:
    limit = job.definition.pause_after_failures
    return limit is not None and stats.consecutive_failures >= limit and job.status is JobStatus.ACTIVE


def _pause(tx: Tx, schedules: Schedules, job: Job, stats: JobStats) -> None:
    if tx.jobs.by_id([job.id])[job.id].status is not JobStatus.ACTIVE:
        return  # somebody else has paused or ended it before we held it
    limit = job.definition.pause_after_failures
    reason = f"{stats.consecutive_failures} executions failed in a row (pause_after_failures is {limit})"
    pause_job(tx, schedules, job.platform_id, job.id, reason=reason, actor="dispatcher")
    # From here the count starts again: resuming gives the job its full number of tries.
    tx.jobs.put_stats([stats.changed(consecutive_failures=0)])


#: An event, the name of a job that it starts, and that job, if there is one.
_Call = tuple[Event, str, Job | None]


def _calls(tx: Tx, ended: Sequence[Event], jobs: Mapping[str, Job]) -> list[_Call]:
    """Return what ended executions start."""
    found: dict[tuple[str, str], Job | None] = {}
    calls = []
    for event in ended:
        for name in _following(event, jobs.get(str(event.data["job_id"]))):
            key = event.platform_id, name
            if key not in found:
                found[key] = tx.jobs.get(*key)
            calls.append((event, name, found[key]))
    return calls


def _following(event: Event, job: Job | None) -> Iterable[str]:
    if job is None:
        return ()
    d = job.definition
    return dict.fromkeys(d.on_success if event.type == EventType.EXECUTION_SUCCESS else d.on_failure)


def _chain(tx: Tx, calls: Sequence[_Call]) -> list[str]:
    """Start what follows from each ended execution, and write down what was started and what was not, and why."""
    links = [_link(tx, *call) for call in calls]
    tx.chains.add(links)
    broken = [link for link in links if link.problem is not None]
    if broken:
        tx.outbox.add([_not_started(tx, link) for link in broken])
        tx.wake("outbox")
    return [f"chain of execution {link.execution_id} -> {link.job}: {link.problem}" for link in broken]


def _link(tx: Tx, event: Event, name: str, target: Job | None) -> Chained:
    link = Chained(str(event.data["execution_id"]), name, event.platform_id, tx.now)
    started = _start_next(tx, event, name, target)
    return replace(link, problem=started) if isinstance(started, str) else replace(link, chained_id=started.id)


def _start_next(tx: Tx, event: Event, name: str, target: Job | None) -> Execution | str:
    """Start a chained job; return its execution, or why there is none."""
    finished = tx.executions.get(str(event.data["execution_id"]))
    if finished is None:
        return "the finished execution is past its retention"
    depth = finished.chain_depth + 1
    if depth > CHAIN_DEPTH:
        return f"more than {CHAIN_DEPTH} executions in one chain: stopped as a loop"
    now = None if target is None else tx.jobs.get(event.platform_id, target.id)
    if now is not None and now.status is JobStatus.PAUSED:
        return f"job {name!r} is paused: {now.status_reason}"
    # By its id: that is the one which is held, whatever has become of the name since.
    which = name if target is None else target.id
    body: dict[str, Any] = {"id": event.id, "type": event.type, "execution": execution_to_wire(finished)}
    trace = TraceIds(finished.trace_id, finished.span_id) if finished.trace_id and finished.span_id else None
    try:
        return trigger(tx, event.platform_id, which, cause=Cause.CHAIN, event=body, chain_depth=depth, trace=trace)
    except MainspringError as error:
        return str(error)


def _not_started(tx: Tx, link: Chained) -> Event:
    """The event that says that a chain has ended early. It names no instant, so it counts in no job's rollup."""
    reason = {"why": link.problem, "chained_from": link.execution_id}
    data = {"job": link.job, "decision": "skipped_chain", "count": 1, "reason": reason}
    return Event(tx.new_id(), EventType.OCCURRENCE_SKIPPED, link.platform_id, tx.now, subject=link.job, data=data)
