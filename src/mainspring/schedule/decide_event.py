"""Event jobs: what becomes of one accepted event, and of the one that is left when a burst has gone quiet.

Pure, as `decide` is. The caller holds the job, so that no other event of it is decided in between; each call gives one
decision per event, or makes the event the one that is waited out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from mainspring.model.decision import Decision, Verdict
from mainspring.model.events import Event, PendingEvent
from mainspring.model.execution import CHAIN_DEPTH, Cause
from mainspring.model.job import ActiveExecution, Job, JobCursor, JobStatus
from mainspring.schedule.compiled import stable_offset
from mainspring.schedule.decide import Plan, dispatch, new_execution
from mainspring.schedule.event import EventSchedule
from mainspring.schedule.instants import to_ms
from mainspring.schedule.overlap import Slots

_MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Recent:
    """Events of a job that ran within its throttle's period: how many, and when the oldest of them was accepted."""

    count: int = 0
    oldest: datetime | None = None


def decide_event(
    job: Job,
    schedule: EventSchedule,
    event: Event,
    *,
    now: datetime,
    active: Iterable[ActiveExecution],
    new_id: Callable[[], str],
    recent: Recent | None = None,
    pending: Event | None = None,
    dispatcher_id: str | None = None,
) -> Plan:
    """Decide one accepted event for one event job that it matches, active or paused.

    Args:
        job: The job as stored, locked.
        schedule: Its compiled schedule.
        event: ``event.at`` is when the inbox accepted it.
        now: The store's clock.
        active: Executions of the job that have not ended.
        new_id: Gives ids for new executions.
        recent: What the throttle counts; None where there is none.
        pending: The event the job waits out, if it does.
        dispatcher_id: Who decides; kept in the ledger.
    """
    step = _EventStep(job, schedule, now, Slots(job.definition, active), new_id, recent, dispatcher_id)
    if job.status is JobStatus.PAUSED:
        since = job.paused_at.isoformat() if job.paused_at else None
        step.skip(event, Verdict.SKIPPED_PAUSED, {"reason": job.status_reason, "paused_at": since})
        return step.plan
    if event.chain_depth > CHAIN_DEPTH:
        why = f"an event loop: {event.chain_depth} executions, one after the other, led to this event"
        step.skip(event, Verdict.SKIPPED_LIMIT, {"why": why, "chain_depth": event.chain_depth, "limit": CHAIN_DEPTH})
        return step.plan
    if schedule.debounce:
        step.hold(event, pending)
    else:
        if pending is not None:  # an edit took the debounce away while one waited
            step.run(pending)
        step.run(event)
        step.finish(settled=pending is not None)
    return step.plan


def decide_quiet(
    job: Job,
    schedule: EventSchedule,
    pending: Event,
    *,
    now: datetime,
    active: Iterable[ActiveExecution],
    new_id: Callable[[], str],
    recent: Recent | None = None,
    dispatcher_id: str | None = None,
) -> Plan:
    """Decide the last event of a burst, now that it has been quiet. See `decide_event`."""
    step = _EventStep(job, schedule, now, Slots(job.definition, active), new_id, recent, dispatcher_id)
    step.run(pending)
    step.finish(settled=True)
    return step.plan


def drop_pending(job: Job, schedule: EventSchedule, pending: Event, *, now: datetime, why: Mapping[str, Any]) -> Plan:
    """Decide as skipped what a job that is paused, archived or no event job any more was waiting out."""
    step = _EventStep(job, schedule, now, Slots(job.definition, ()), _no_id, None, None)
    step.skip(pending, Verdict.SKIPPED_PAUSED, why)
    step.plan.settled_pending = True
    return step.plan


def quiet_at(job_id: str, schedule: EventSchedule, event: Event | PendingEvent) -> datetime:
    """Return when an event may start its job: after the debounce and a jitter that is stable per job and event."""
    jitter = stable_offset(f"{job_id} {event_key(event)}", to_ms(event.at), schedule.jitter // _MILLISECOND)
    return event.at + schedule.debounce + jitter * _MILLISECOND


def event_key(event: Event | PendingEvent) -> str:
    """Return the ledger key of an event: its source and id.

    >>> event_key(Event("7", "order.paid", "default", datetime.min, source="shop"))
    'shop#7'
    """
    return f"{event.source}#{event.event_id if isinstance(event, PendingEvent) else event.id}"


class _EventStep:
    """The plan of one call in the making."""

    def __init__(
        self,
        job: Job,
        schedule: EventSchedule,
        now: datetime,
        slots: Slots,
        new_id: Callable[[], str],
        recent: Recent | None,
        dispatcher_id: str | None,
    ) -> None:
        self.job, self.schedule, self.now, self.slots = job, schedule, now, slots
        self.new_id, self.recent, self.dispatcher_id = new_id, recent or Recent(), dispatcher_id
        self.plan = Plan()
        self.made, self.latest = 0, job.cursor_at

    def skip(self, event: Event, verdict: Verdict, reason: Mapping[str, Any]) -> None:
        self.plan.decisions.append(self._decision(event, verdict, reason))

    def hold(self, event: Event, pending: Event | None) -> None:
        """Wait out the newer of the two; the other one is folded into it."""
        newest = event
        if pending is not None:
            newest, older = (event, pending) if event.at >= pending.at else (pending, event)
            reason = {"debounce_ms": self.schedule.debounce_ms, "into": event_key(newest)}
            decision = self._decision(older, Verdict.COALESCED, reason)
            self.plan.decisions.append(replace(decision, into_at=newest.at))
        self.plan.pending = PendingEvent(self.job.id, self.job.platform_id, newest.source, newest.id, newest.at)
        self._move_cursor(next_run_at=quiet_at(self.job.id, self.schedule, newest))

    def run(self, event: Event) -> None:
        """Let an event start the job, unless a limit of the schedule or the overlap policy is against it."""
        self.latest = max(self.latest, event.at)
        if self._used_up:
            most = self.schedule.max_executions
            self.skip(event, Verdict.SKIPPED_LIMIT, {"why": f"it ran {most} times", "max_executions": most})
            return
        if (throttled := self._throttled()) is not None:
            self.skip(event, Verdict.SKIPPED_LIMIT, throttled)
            return
        fire_at = quiet_at(self.job.id, self.schedule, event)
        execution = new_execution(
            self.job,
            self.new_id(),
            Cause.EVENT,
            now=self.now,
            scheduled_at=event.at,
            available_at=max(fire_at, self.now),
            deadline_from=max(fire_at, self.now) if self.schedule.jitter else fire_at,
        )
        execution = execution.changed(event=_body(event), chain_depth=event.chain_depth)
        dispatch(self.plan, self.job, self.slots, self._decision(event, Verdict.DISPATCHED, {}), execution)
        if self.plan.decisions[-1].decision.runs:
            self.made += 1
            self.recent = Recent(self.recent.count + 1, self.recent.oldest or event.at)

    def finish(self, *, settled: bool) -> None:
        self.plan.settled_pending = settled
        self._move_cursor(next_run_at=None)

    @property
    def _used_up(self) -> bool:
        most = self.schedule.max_executions
        return most is not None and self.job.scheduled_count + self.made >= most

    def _throttled(self) -> dict[str, Any] | None:
        throttle = self.schedule.throttle
        if throttle is None or self.recent.count < throttle.limit:
            return None
        per_ms = throttle.per // _MILLISECOND
        free_at = None if self.recent.oldest is None else (self.recent.oldest + throttle.per).isoformat()
        why = f"the throttle lets {throttle.limit} through in {per_ms} ms"
        return {"why": why, "throttle": {"limit": throttle.limit, "per_ms": per_ms}, "free_at": free_at}

    def _move_cursor(self, *, next_run_at: datetime | None) -> None:
        job, done = self.job, self._used_up
        self.plan.cursor = JobCursor(
            job.id,
            self.latest,
            None if done else next_run_at,
            job.cursor_wall,
            job.tzdb_version,
            made=self.made,
            status=JobStatus.COMPLETED if done else JobStatus.ACTIVE,
            status_reason=f"ran {self.schedule.max_executions} times" if done else None,
        )

    def _decision(self, event: Event, verdict: Verdict, reason: Mapping[str, Any]) -> Decision:
        late = self.now - quiet_at(self.job.id, self.schedule, event)
        return Decision(
            self.job.id,
            self.job.platform_id,
            event.at,
            verdict,
            self.now,
            self.job.revision,
            key=event_key(event),
            reason={"event_type": event.type, **reason},
            late=max(late, timedelta(0)),
            dispatcher_id=self.dispatcher_id,
        )


def _body(event: Event) -> dict[str, Any]:
    body = {"id": event.id, "type": event.type, "source": event.source, "subject": event.subject, "data": event.data}
    return {**body, "extensions": dict(event.extensions)} if event.extensions else body


def _no_id() -> str:
    raise AssertionError("what is skipped makes no execution")
