"""Why did an event (not) start a job? The filter, the debounce and the throttle, each with its verdict."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from mainspring.control.explain_decision import MEANING, advice_on, blockers, job_check
from mainspring.control.explain_execution import advise, describe_execution, facts, zone_of
from mainspring.control.explanation import Check, Explanation, shown, span
from mainspring.model.decision import Decision, Verdict
from mainspring.model.events import Event
from mainspring.model.job import Job, JobStatus
from mainspring.model.wire import instant
from mainspring.moves.pending import pending_event
from mainspring.moves.schedules import Schedules
from mainspring.ports.store import Tx
from mainspring.schedule.decide_event import event_key, quiet_at
from mainspring.schedule.event import EventSchedule
from mainspring.schedule.event_filter import plain_conditions

#: How long after the instant asked about a decision may lie.
WINDOW = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class _Asked:
    tx: Tx
    job: Job
    schedule: EventSchedule
    zone: str
    checks: tuple[Check, ...]


def explain_event_job(
    tx: Tx, schedules: Schedules, job: Job, at: datetime | None, event: str | None = None
) -> Explanation:
    """Explain what an event job made of an event: the one named, the first one decided from ``at`` on, or its last."""
    schedule = schedules.event(tx, job)
    zone = zone_of(tx, job)
    asked = _Asked(tx, job, schedule, zone, (job_check(job, zone), _waits_for(schedule)))
    if event is not None:
        return _named(asked, event)
    pending = pending_event(tx, job)
    if at is None and pending is not None and job.status is JobStatus.ACTIVE:
        return _waiting(asked, pending)
    found = tx.decisions.find(job.id, since=at, until=None if at is None else at + WINDOW, limit=50 if at else 1)
    if not found:
        when = f"within a minute of {shown(at, zone)}" if at else "yet"
        return Explanation(job.name, "not_due", f"It has decided no event {when}.", asked.checks, (), at)
    more = tuple(_one_line(asked, decision) for decision in reversed(found[:-1]))
    return _decided(asked, found[-1], more)


def _waits_for(schedule: EventSchedule) -> Check:
    told = f"runs on events of type {', '.join(schedule.events)}"
    evidence: dict[str, object] = {"events": list(schedule.events)}
    if schedule.filter:
        told, evidence["filter"] = f"{told} that pass its filter", plain_conditions(schedule.filter)
    if schedule.debounce:
        told = f"{told}, once it has been quiet for {span(schedule.debounce)}"
    if schedule.throttle is not None:
        told = f"{told}, at most {schedule.throttle.limit} in {span(schedule.throttle.per)}"
    return Check("due_by_schedule", "info", told, evidence)


def _named(asked: _Asked, name: str) -> Explanation:
    tx, job = asked.tx, asked.job
    source, found, event_id = name.rpartition("#")
    source = source if found else "mainspring"
    event = tx.inbox.get(job.platform_id, source, event_id)
    if event is None:
        why = f"no event of source {source!r} and id {event_id!r} has been accepted"
        return Explanation(job.name, "did_not_run", f"It did not run, because {why}.", asked.checks)
    decision = tx.decisions.get(job.id, event.at, event_key(event))
    if decision is not None:
        return _decided(asked, decision)
    pending = pending_event(tx, job)
    if pending is not None and event_key(pending) == event_key(event):
        return _waiting(asked, pending)
    return _unheard(asked, event)


def _unheard(asked: _Asked, event: Event) -> Explanation:
    job, when = asked.job, f"Event {event_key(event)}, accepted at {shown(event.at, asked.zone)}"
    objection = asked.schedule.objection(event)
    if objection is not None:
        check = Check("matches", "no", objection.why, {"path": objection.path})
        summary = f"{when}, does not match: {objection.why}."
        return Explanation(job.name, "not_due", summary, (*asked.checks, check), (), event.at)
    if event.at < job.created_at:
        why = "the job did not exist yet"
    elif event.at < job.updated_at:
        why = "the job was changed since then, and as it stood it did not match or was not active"
    else:
        why = f"the job was {job.status.value}"
    check = Check("matches", "yes", "it matches as the job stands now", {})
    return Explanation(
        job.name, "did_not_run", f"{when}, did not start it: {why}.", (*asked.checks, check), (), event.at
    )


def _waiting(asked: _Asked, event: Event) -> Explanation:
    at = quiet_at(asked.job.id, asked.schedule, event)
    if asked.job.status is not JobStatus.ACTIVE:
        summary = f"Event {event_key(event)} waits for the job, which is {asked.job.status.value}."
        return Explanation(asked.job.name, "waiting", summary, asked.checks, (), event.at)
    rest = span(max(at - asked.tx.now, timedelta(0)))
    detail = f"another event within {rest} takes its place; else it is decided at {shown(at, asked.zone)}"
    check = Check("debounce", "blocked", detail, {"event": event_key(event), "quiet_at": instant(at)})
    summary = (
        f"Event {event_key(event)} is the last of a burst so far, and is decided when it has been quiet, in {rest}."
    )
    return Explanation(asked.job.name, "waiting", summary, (*asked.checks, check), (), event.at)


def _decided(asked: _Asked, decision: Decision, more: tuple[Check, ...] = ()) -> Explanation:
    tx, job, when = asked.tx, asked.job, f"Event {decision.key}"
    checks = [*asked.checks, _ledger_check(asked, decision), *_verdicts(decision)]
    if decision.execution_id is not None:
        if tx.executions.get(decision.execution_id) is None:
            summary = f"{when} was {decision.decision.value}; its execution is past its retention."
            return Explanation(job.name, "ran", summary, (*checks, *more), (), decision.scheduled_at)
        execution, of_execution = describe_execution(tx, job.platform_id, decision.execution_id)
        verdict, summary = facts(tx, execution)
        advice = tuple(advise(execution, of_execution))
        every = (*checks, *of_execution, *more)
        return Explanation(job.name, verdict, f"{when}: {summary}", every, advice, decision.scheduled_at)
    checks += blockers(tx, decision)
    summary = f"{when} did not start it, because {_why(decision)}."
    advice = tuple(advice_on(job, decision))
    return Explanation(job.name, "did_not_run", summary, (*checks, *more), advice, decision.scheduled_at)


def _ledger_check(asked: _Asked, decision: Decision) -> Check:
    detail = f"decided {decision.decision.value} at {shown(decision.decided_at, asked.zone)}"
    evidence = {
        "decision": decision.decision.value,
        "event": decision.key,
        "accepted_at": instant(decision.scheduled_at),
        "decided_at": instant(decision.decided_at),
        "reason": dict(decision.reason),
        "execution_id": decision.execution_id,
    }
    return Check("ledger", "yes" if decision.decision.runs else "no", detail, evidence)


def _verdicts(decision: Decision) -> list[Check]:
    """Say of filter, debounce and throttle how each of them judged."""
    reason = decision.reason
    checks = [Check("matches", "yes", f"type {reason.get('event_type')!r} and filter matched", {})]
    if decision.decision is Verdict.COALESCED:
        detail = f"event {reason.get('into')} came within {reason.get('debounce_ms')} ms"
        checks.append(Check("debounce", "no", detail, {"into": reason.get("into")}))
    if "throttle" in reason:
        evidence = {"throttle": reason["throttle"], "free_at": reason.get("free_at")}
        checks.append(Check("throttle", "no", str(reason.get("why")), evidence))
    return checks


def _why(decision: Decision) -> str:
    reason, meaning = decision.reason, MEANING.get(decision.decision, decision.decision.value)
    match decision.decision:
        case Verdict.COALESCED:
            return f"event {reason.get('into')} followed within the debounce of {reason.get('debounce_ms')} ms"
        case Verdict.SKIPPED_PAUSED:
            return f"{meaning}: {reason.get('reason') or 'no reason was given'}"
        case Verdict.SKIPPED_LIMIT:
            return str(reason.get("why") or meaning)
        case Verdict.SKIPPED_OVERLAP:
            return f"{meaning} (execution {reason.get('blocking')}) and overlap is {reason.get('policy')!r}"
        case Verdict.DROPPED_BUFFER_FULL:
            return f"{meaning}: {reason.get('buffered')} (buffer_limit)"
    return meaning


def _one_line(asked: _Asked, decision: Decision) -> Check:
    when = shown(decision.scheduled_at, asked.zone)
    detail = f"event {decision.key}, accepted at {when}: {decision.decision.value}"
    evidence = {"event": decision.key, "decision": decision.decision.value, "execution_id": decision.execution_id}
    return Check("also", "info", detail, evidence)
