"""Due instants -> decisions, executions and outbox rows, in one transaction with the cursor."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from mainspring.model.columns import Columns
from mainspring.model.decision import Decision, Verdict
from mainspring.model.events import Event, EventType
from mainspring.model.execution import Actor, Execution, Status
from mainspring.model.job import ActiveExecution, Job, JobCursor, JobStatus, JobType
from mainspring.moves.admit import add_due, add_executions
from mainspring.moves.ahead import Ahead
from mainspring.moves.end import end
from mainspring.moves.pending import plan_event_job
from mainspring.moves.schedules import Schedules
from mainspring.ports.store import TooEarlyError, Tx
from mainspring.schedule import tzdb_version
from mainspring.schedule.decide import Plan, decide
from mainspring.schedule.foresee import Together


@dataclass(slots=True)
class Planned:
    """What a planning step did. ``failed`` names the jobs it could not decide, with the reason; they are paused.

    ``decided`` counts instants by decision, ``moved`` holds the jobs decided and how far each now is.
    """

    jobs: int = 0
    dispatched: int = 0
    skipped: int = 0
    completed: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    decided: Counter[Verdict] = field(default_factory=Counter)
    more: bool = False
    next_due_at: datetime | None = None
    now: datetime | None = None
    moved: list[tuple[Job, JobCursor | None]] = field(default_factory=list)


def plan_due(
    tx: Tx,
    schedules: Schedules,
    dispatcher_id: str,
    *,
    limit: int = 500,
    mark: Callable[[Execution], Execution] | None = None,
    ahead: Ahead | None = None,
    alone: bool = False,
    early: bool = False,
) -> Planned:
    """Decide every due instant of up to ``limit`` due jobs and record it: ledger, executions, outbox and cursors.

    ``mark`` is given each new execution before it is stored and returns it, with the ids of its trace. ``ahead`` is
    what the dispatcher foresees: what of it still holds need not be worked out now. ``alone``: the transaction is for
    this step and nothing else, so that its end may go along with the last question. ``early``: it is done ahead of its
    ``now``; raises `TooEarlyError` unless all of it is as foreseen and no limit has a say in it.

    A crash anywhere leaves the jobs due again, never half dispatched. A job whose deciding fails is paused with the
    reason, so that it neither stalls the others nor is tried for ever.
    """
    jobs = tx.jobs.due(limit, known={} if ahead is None else ahead.jobs)
    if early and (not jobs or _limited(tx, jobs)):
        raise TooEarlyError("nothing is due, or a limit has a say")
    done = Planned(jobs=len(jobs), now=tx.now, more=len(jobs) == limit)
    active = active_by_job(tx, [job.id for job in jobs])
    together = None if ahead is None or mark is not None or active else ahead.together(tx, jobs)
    if together is not None:
        record_together(tx, jobs, together)
        done.decided[Verdict.DISPATCHED] = done.dispatched = len(jobs)
        done.moved += zip(jobs, together.cursors, strict=True)
        _count_moved(done)
    else:
        plans = _each(tx, schedules, dispatcher_id, jobs, active, done, ahead=ahead, early=early)
        if mark is not None:
            for _, plan in plans:
                plan.executions[:] = [mark(execution) for execution in plan.executions]
        record(tx, plans)
        _count(done, plans)
    if alone:
        tx.end_with_next()
    done.next_due_at = tx.jobs.next_due_at()
    return done


def _each(
    tx: Tx,
    schedules: Schedules,
    dispatcher_id: str,
    jobs: Iterable[Job],
    active: Mapping[str, list[ActiveExecution]],
    done: Planned,
    *,
    ahead: Ahead | None,
    early: bool,
) -> list[tuple[Job, Plan]]:
    """Decide jobs one by one; those that cannot be decided are set aside."""
    plans: list[tuple[Job, Plan]] = []
    for job, plan in ((job, None) for job in jobs) if ahead is None else ahead.plans(tx, jobs, active):
        if early and plan is None:
            raise TooEarlyError(f"job {job.name} is not as foreseen")
        try:
            plans.append((job, plan or plan_job(tx, schedules, job, active[job.id], dispatcher_id)))
        except Exception as error:  # whatever is stored, the other jobs go on; the reason is kept on the job
            done.failed[job.name] = f"{type(error).__name__}: {error}"
            _set_aside(tx, job, done.failed[job.name])
    return plans


def _count(done: Planned, plans: Sequence[tuple[Job, Plan]]) -> None:
    decisions = [decision for _, plan in plans for decision in plan.decisions]
    for decision in decisions:
        done.decided[decision.decision] += decision.count or 1
    rows = Counter([decision.decision for decision in decisions])
    done.dispatched = sum(count for verdict, count in rows.items() if verdict.runs)
    done.skipped = len(decisions) - done.dispatched
    done.moved += [(job, plan.cursor) for job, plan in plans]
    _count_moved(done)


def _count_moved(done: Planned) -> None:
    assert done.now is not None
    cursors = [cursor for _, cursor in done.moved if cursor is not None]
    done.completed = sum([cursor.status is JobStatus.COMPLETED for cursor in cursors])
    done.more = done.more or any(c.next_run_at is not None and c.next_run_at <= done.now for c in cursors)


def _limited(tx: Tx, jobs: Iterable[Job]) -> bool:
    """Tell whether a limit has a say in any execution of these jobs: whoever asks holds it until the commit."""
    if any(job.definition.concurrency_key is not None for job in jobs):
        return True
    return any(tx.platforms.limits(platform_id) for platform_id in {job.platform_id for job in jobs})


def active_by_job(tx: Tx, job_ids: list[str]) -> dict[str, list[ActiveExecution]]:
    """Return what has not ended of these jobs, by job; jobs with nothing active map to an empty list."""
    found: dict[str, list[ActiveExecution]] = defaultdict(list)
    for execution in tx.executions.active_of(job_ids):
        found[execution.job_id].append(execution)
    return found


def plan_job(
    tx: Tx, schedules: Schedules, job: Job, active: Iterable[ActiveExecution], dispatcher_id: str | None
) -> Plan:
    """Decide one job at the store's now: its due instants, or the event it has waited out."""
    if job.definition.type is JobType.EVENT:
        return plan_event_job(tx, schedules, job, active, dispatcher_id)
    return decide(
        job,
        schedules.of(tx, job),
        now=tx.now,
        active=active,
        new_id=tx.new_id,
        tzdb_version=tzdb_version(),
        dispatcher_id=dispatcher_id,
    )


def record_together(tx: Tx, jobs: Iterable[Job], together: Together) -> None:
    """Write what is as foreseen of all of these jobs."""
    tx.decisions.add(together.decisions)
    add_due(tx, together.executions)
    tx.jobs.advance(together.cursors)
    _tell(tx, _completed_events(tx, zip(jobs, together.cursors, strict=True)))


def record(tx: Tx, plans: Iterable[tuple[Job, Plan]]) -> list[Execution]:
    """Write what was decided. Returns the executions as stored."""
    plans = list(plans)
    decisions = [decision for _, plan in plans for decision in plan.decisions]
    cursors = [plan.cursor for _, plan in plans if plan.cursor is not None]
    tx.decisions.add(decisions)
    stop_others(tx, [plan for _, plan in plans])
    stored = add_executions(tx, [execution for _, plan in plans for execution in plan.executions])
    tx.jobs.advance(cursors)
    tx.inbox.settle_pending([job.id for job, plan in plans if plan.settled_pending])
    tx.inbox.put_pending([plan.pending for _, plan in plans if plan.pending is not None])
    by_id = {job.id: job for job, _ in plans}
    events = [skipped_event(tx, by_id[d.job_id], d) for d in decisions if not d.decision.runs]
    completed = _completed_events(tx, [(by_id[cursor.job_id], cursor) for cursor in cursors])
    _tell(tx, [*events, *completed] if events else completed)
    return stored


def _tell(tx: Tx, events: Sequence[Event]) -> None:
    if events:
        tx.outbox.add(events)
        tx.wake("outbox")


def stop_others(tx: Tx, plans: Iterable[Plan]) -> None:
    """Ask the executions that plans cancel to stop, and end those they terminate; in order of id, as all who wait."""
    stopped = {execution_id: False for plan in plans for execution_id in plan.cancel}
    stopped |= {execution_id: True for plan in plans for execution_id in plan.terminate}
    for execution_id, at_once in sorted(stopped.items()):
        execution = tx.executions.get(execution_id, lock=True)
        if execution is not None and not execution.status.terminal:
            _stop(tx, execution, at_once=at_once)


def _stop(tx: Tx, execution: Execution, *, at_once: bool) -> None:
    why = "a newer instant of the job is due"
    if execution.status in (Status.RUNNING, Status.WAITING) and not at_once:
        tx.executions.request_cancel(execution.id, why)
        tx.wake("cancel")
    else:
        end(tx, execution, Status.CANCELLED, Actor.DISPATCHER, reason=why)


def _set_aside(tx: Tx, job: Job, why: str) -> None:
    paused = job.changed(
        status=JobStatus.PAUSED,
        status_reason=f"deciding failed: {why}"[:500],
        paused_at=tx.now,
        next_run_at=None,
        updated_at=tx.now,
    )
    tx.jobs.save(paused, expected_revision=job.revision, actor="dispatcher")


def skipped_event(tx: Tx, job: Job, decision: Decision) -> Event:
    """Return the event that says which instants of a job were skipped, and why; the job's counter follows from it."""
    data = {
        "job": job.name,
        "job_id": job.id,
        "decision": decision.decision.value,
        "scheduled_at": decision.scheduled_at.isoformat(),
        "count": decision.count or 1,
        "reason": dict(decision.reason),
    }
    return Event(tx.new_id(), EventType.OCCURRENCE_SKIPPED, job.platform_id, tx.now, subject=job.id, data=data)


def _completed_events(tx: Tx, moved: Iterable[tuple[Job, JobCursor]]) -> Sequence[Event]:
    completed = [(job, cursor) for job, cursor in moved if cursor.status is JobStatus.COMPLETED]
    if not completed:
        return ()
    return Columns.alike(
        Event("", EventType.JOB_COMPLETED, "", tx.now),
        len(completed),
        id=tx.new_ids(len(completed)),
        platform_id=[job.platform_id for job, _ in completed],
        subject=[job.id for job, _ in completed],
        data=[{"job": job.name, "job_id": job.id, "reason": cursor.status_reason} for job, cursor in completed],
    )
