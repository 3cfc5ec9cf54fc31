"""Job, the store's now, and what is active -> decisions: the one deciding function.

Dispatcher, edits, simulation and tests all call it. Pure: it reads no clock, draws nothing, and touches no store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from mainspring.model.decision import Decision, Verdict
from mainspring.model.events import PendingEvent
from mainspring.model.execution import Cause, Execution, Status
from mainspring.model.job import ActiveExecution, Job, JobCursor, JobStatus, JobType
from mainspring.schedule.compiled import CompiledSchedule
from mainspring.schedule.misfire import SkippedRange, missed
from mainspring.schedule.occurrence import Occurrence
from mainspring.schedule.overlap import Ruling, Slots

#: Most instants decided one by one in one step; what is left stays due and is decided in the next.
BATCH = 500

_NOT_LATE = timedelta(0)


@dataclass(slots=True)
class Plan:
    """What one step of deciding makes of one job: to be recorded in one transaction, or not at all."""

    decisions: list[Decision] = field(default_factory=list)
    executions: list[Execution] = field(default_factory=list)
    cancel: list[str] = field(default_factory=list)
    terminate: list[str] = field(default_factory=list)
    cursor: JobCursor | None = None
    #: The event a debounced job waits out from now on, and whether the one it waited for is dealt with.
    pending: PendingEvent | None = None
    settled_pending: bool = False


def decide(
    job: Job,
    schedule: CompiledSchedule,
    *,
    now: datetime,
    active: Iterable[ActiveExecution],
    new_id: Callable[[], str],
    tzdb_version: str,
    dispatcher_id: str | None = None,
) -> Plan:
    """Decide every due instant of a timed job after its cursor, at most `BATCH` of them one by one.

    Args:
        job: The job as stored; it must be active.
        schedule: Its compiled schedule.
        now: The store's clock. An instant is due when its ``fire_at`` (nominal plus jitter) is not after it.
        active: Executions of the job that have not ended.
        new_id: Gives ids for new executions.
        tzdb_version: Version of the zone data ``schedule`` was compiled with.
        dispatcher_id: Who decides; kept in the ledger.

    Returns:
        A plan whose ``cursor`` says how far the job is decided. Where more is due, its ``next_run_at`` is not after
        ``now``. The job is completed where its schedule has no further instant.
    """
    step = _Step(job, schedule, now, Slots(job.definition, active), new_id, dispatcher_id)
    step.replaced = job.tzdb_version not in (None, tzdb_version) and schedule.follows_wall_clock
    following = schedule.next(job.cursor_at)
    fire_at = step.fire_at(following)
    if fire_at is not None and fire_at < now - job.definition.misfire_grace:
        assert following is not None
        late = missed(job.definition, schedule, key=job.id, first=following, now=now)
        for skipped in late.ranges:
            step.record_range(skipped)
        for occurrence in late.run:
            step.record(occurrence, schedule.fire_at(occurrence.at, key=job.id), catch_up=True)
        following = schedule.next(step.cursor_at)
        fire_at = step.fire_at(following)
    while following is not None and fire_at is not None and fire_at <= now and not step.full:
        step.record(following, fire_at, catch_up=False)
        following = schedule.next(following.at)
        fire_at = step.fire_at(following)
    step.plan.cursor = _cursor(job, schedule, step, None if step.used_up else fire_at, tzdb_version)
    return step.plan


def _cursor(
    job: Job, schedule: CompiledSchedule, step: _Step, next_run_at: datetime | None, tzdb_version: str
) -> JobCursor:
    done = next_run_at is None
    reason = None
    if done:
        reason = f"ran {schedule.max_executions} times" if step.used_up else "its schedule has no further instant"
    return JobCursor(
        job.id,
        step.cursor_at,
        next_run_at,
        step.cursor_wall,
        tzdb_version,
        made=step.made,
        status=JobStatus.COMPLETED if done else JobStatus.ACTIVE,
        status_reason=reason,
    )


class _Step:
    """One step of deciding in the making."""

    def __init__(
        self,
        job: Job,
        schedule: CompiledSchedule,
        now: datetime,
        slots: Slots,
        new_id: Callable[[], str],
        dispatcher_id: str | None,
    ) -> None:
        self.job, self.schedule, self.now, self.slots = job, schedule, now, slots
        self.new_id, self.dispatcher_id = new_id, dispatcher_id
        self.plan = Plan()
        self.cursor_at, self.cursor_wall = job.cursor_at, job.cursor_wall
        self.made = 0
        self.replaced = False

    @property
    def full(self) -> bool:
        return self.used_up or len(self.plan.decisions) >= BATCH

    @property
    def used_up(self) -> bool:
        limit = self.schedule.max_executions
        return limit is not None and self.job.scheduled_count + self.made >= limit

    def fire_at(self, occurrence: Occurrence | None) -> datetime | None:
        return None if occurrence is None else self.schedule.fire_at(occurrence.at, key=self.job.id)

    def record_range(self, skipped: SkippedRange) -> None:
        first, last = skipped.first, skipped.last
        fire_at = self.schedule.fire_at(first, key=self.job.id)
        decision = self._decision(skipped.verdict, first, fire_at, skipped.reason)
        until_at = last if last > first else None
        self.plan.decisions.append(decision.changed(into_at=skipped.into, until_at=until_at, count=skipped.count))
        self.cursor_at = max(self.cursor_at, last)

    def record(self, occurrence: Occurrence, fire_at: datetime, *, catch_up: bool) -> None:
        ran_already = (
            self.replaced
            and occurrence.wall is not None
            and self.job.cursor_wall is not None
            and occurrence.wall <= self.job.cursor_wall
            # Only a shift of the zone's rules can bring a wall time back, and none exceeds a day.
            and occurrence.at - self.job.cursor_at <= timedelta(days=1)
        )
        self.cursor_at = occurrence.at
        self.cursor_wall = occurrence.wall
        if self.used_up:
            self._skip(Verdict.SKIPPED_LIMIT, occurrence, fire_at, max_executions=self.schedule.max_executions)
        elif ran_already:
            told = f"{occurrence.wall} was decided under zone data {self.job.tzdb_version}"
            self._skip(Verdict.SKIPPED_CALENDAR, occurrence, fire_at, zone_data=told)
        elif occurrence.excluded_by is not None:
            self._skip(Verdict.SKIPPED_CALENDAR, occurrence, fire_at, excluded_by=occurrence.excluded_by)
        else:
            self._run(occurrence, fire_at, catch_up)

    def _skip(self, verdict: Verdict, occurrence: Occurrence, fire_at: datetime, **why: Any) -> None:
        self.plan.decisions.append(self._decision(verdict, occurrence.at, fire_at, {**_noted(occurrence), **why}))

    def _run(self, occurrence: Occurrence, fire_at: datetime, catch_up: bool) -> None:
        reason = _noted(occurrence)
        if catch_up:
            reason["catch_up"] = True
        execution = new_execution(
            self.job,
            self.new_id(),
            Cause.SCHEDULE,
            now=self.now,
            scheduled_at=occurrence.at,
            available_at=fire_at,
            deadline_from=self.now if catch_up else fire_at,
        )
        decision = self._decision(Verdict.DISPATCHED, occurrence.at, fire_at, reason)
        dispatch(self.plan, self.job, self.slots, decision, execution)
        self.made += self.plan.decisions[-1].decision.runs

    def _decision(self, verdict: Verdict, at: datetime, fire_at: datetime, reason: Mapping[str, Any]) -> Decision:
        return Decision(
            self.job.id,
            self.job.platform_id,
            at,
            verdict,
            self.now,
            self.job.revision,
            late=max(self.now - fire_at, _NOT_LATE),
            reason=reason,
            dispatcher_id=self.dispatcher_id,
        )


def _noted(occurrence: Occurrence) -> dict[str, Any]:
    return {"notes": list(occurrence.notes)} if occurrence.notes else {}


def dispatch(plan: Plan, job: Job, slots: Slots, decision: Decision, execution: Execution) -> None:
    """Judge one occurrence by the overlap policy and add to ``plan`` what follows."""
    ruling = slots.judge(execution.id)
    reason = {**decision.reason, **ruling.reason}
    made = execution.id if ruling.verdict.runs else None
    plan.decisions.append(decision.changed(decision=ruling.verdict, reason=reason, execution_id=made))
    if made is None:
        return
    if ruling.cancel or ruling.terminate:
        _make_room(plan, decision, ruling)
    plan.executions.append(_held_back(execution, job, ruling) if ruling.blocked_by is not None else execution)


def _make_room(plan: Plan, decision: Decision, ruling: Ruling) -> None:
    """End what stands in the way of a decision that is to cancel or terminate it."""
    mine = {e.id for e in plan.executions}
    gone = {*ruling.terminate, *(i for i in ruling.cancel if i in mine)}
    # What this very plan made and already replaced never comes to exist: its instants fold into the newer one.
    plan.executions = [e for e in plan.executions if e.id not in gone]
    folded = {d.scheduled_at for d in plan.decisions if d.execution_id in gone & mine}
    plan.decisions = [
        d.changed(decision=Verdict.COALESCED, into_at=decision.scheduled_at, execution_id=None)
        if d.scheduled_at in folded or d.into_at in folded
        else d
        for d in plan.decisions
    ]
    plan.cancel.extend(i for i in ruling.cancel if i not in mine)
    plan.terminate.extend(i for i in ruling.terminate if i not in mine)


def _held_back(execution: Execution, job: Job, ruling: Ruling) -> Execution:
    deadline = job.definition.start_deadline
    if ruling.buffered and deadline is not None:
        # It was not its own doing that it waits: the deadline counts from its making.
        execution = execution.changed(start_deadline_at=execution.created_at + deadline)
    return execution.changed(buffered=ruling.buffered, blocked_by=ruling.blocked_by)


def new_execution(
    job: Job,
    execution_id: str,
    cause: Cause,
    *,
    now: datetime,
    scheduled_at: datetime | None = None,
    available_at: datetime | None = None,
    deadline_from: datetime | None = None,
    payload: Mapping[str, Any] | None = None,
) -> Execution:
    """Return a pending execution of a job under its policies. ``deadline_from`` starts the start deadline."""
    d = job.definition
    return blank(now).changed(
        id=execution_id,
        platform_id=job.platform_id,
        handler=d.handler,
        handler_type=d.handler_type,
        cause=cause,
        available_at=available_at or now,
        job_id=job.id,
        job_name=job.name,
        job_revision=job.revision,
        payload=d.payload if payload is None else payload,
        scheduled_at=scheduled_at,
        start_deadline_at=(deadline_from or now) + d.start_deadline if d.start_deadline is not None else None,
        priority=d.priority,
        queue=d.queue,
        concurrency_key=d.concurrency_key,
        concurrency_limit=d.concurrency_limit,
        timeout=d.timeout,
        retry=d.retry,
        isolation=d.isolation,
        idempotency_key=execution_id,
    )


@lru_cache(8)
def blank(now: datetime) -> Execution:
    """Return a pending execution of nothing, made now, to be filled in with `Execution.changed`."""
    return Execution("", "", "", Status.PENDING, Cause.ENQUEUE, created_at=now, available_at=now)


def is_timed(job: Job) -> bool:
    """Tell whether `decide` applies to a job: active, with a schedule of instants."""
    return job.status is JobStatus.ACTIVE and job.definition.type in (
        JobType.CRON,
        JobType.RECURRING,
        JobType.ONE_TIME,
    )
