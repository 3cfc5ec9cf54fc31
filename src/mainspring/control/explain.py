"""Why did it (not) run at 09:00? Answered from the ledger; what is undecided, from what would decide it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from mainspring.control.explain_decision import MEANING, advice_on, blockers, job_check
from mainspring.control.explain_event import explain_event_job
from mainspring.control.explain_execution import advise, describe_execution, facts, zone_of
from mainspring.control.explanation import Check, Explanation, shown, span
from mainspring.errors import ValidationError
from mainspring.model.decision import Decision, Verdict
from mainspring.model.job import Job, JobStatus, JobType
from mainspring.model.wire import instant
from mainspring.moves.hold import held
from mainspring.moves.jobs import existing
from mainspring.moves.retain import ledger_since
from mainspring.moves.schedules import Schedules
from mainspring.ports.store import Tx
from mainspring.schedule import CompiledSchedule, compile_schedule

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class _Subject:
    """The instant asked about, with what is needed to show it in the job's zone."""

    tx: Tx
    job: Job
    schedule: CompiledSchedule
    at: datetime

    def local(self, at: datetime) -> str:
        return shown(at, self.schedule.timezone)


def explain_job(
    tx: Tx,
    schedules: Schedules,
    platform_id: str,
    name: str,
    at: datetime | str | None = None,
    *,
    event: str | None = None,
) -> Explanation:
    """Explain what a job did, or will do, at an instant, or with an event.

    Args:
        at: An instant, or a wall time in the job's zone; by default its last due instant that has passed, else its
            next one. For an event job: the first event it decided from then on, within a minute.
        event: For an event job: the id of an event, or ``source#id`` for one of another source than ``mainspring``.

    Raises:
        NotFoundError: If there is no such job.
        ValidationError: If ``at`` cannot be read.
    """
    job = existing(tx, platform_id, name)
    if job.definition.type is JobType.EVENT:
        return explain_event_job(tx, schedules, job, _asked(tx, job, at), event)
    if event is not None:
        raise ValidationError(f"job {job.name!r} is of type {job.definition.type} and waits for none", field="event")
    if not job.definition.type.timed:
        return _untimed(tx, job)
    schedule = schedules.of(tx, job)
    moment = _moment(job, schedule, at, tx.now)
    subject = _Subject(tx, job, schedule, moment)
    checks = [job_check(job, schedule.timezone), _due_check(subject)]
    decision = tx.decisions.get(job.id, moment)
    if decision is not None:
        return _decided(subject, decision, checks)
    return _undecided(subject, checks)


def explain(
    tx: Tx,
    schedules: Schedules,
    platform_id: str,
    name: str,
    at: datetime | str | None = None,
    *,
    event: str | None = None,
) -> Explanation:
    """Explain a job by name or id, or an execution by id."""
    execution = tx.executions.get(name) if at is None and event is None else None
    if execution is not None and execution.platform_id == platform_id:
        return explain_execution(tx, platform_id, name)
    return explain_job(tx, schedules, platform_id, name, at, event=event)


def explain_execution(tx: Tx, platform_id: str, execution_id: str) -> Explanation:
    """Explain where an execution stands and why. Raises `NotFoundError`."""
    execution, checks = describe_execution(tx, platform_id, execution_id)
    verdict, summary = facts(tx, execution)
    return Explanation(execution_id, verdict, summary, tuple(checks), tuple(advise(execution, checks)))


def _asked(tx: Tx, job: Job, at: datetime | str | None) -> datetime | None:
    zone = job.definition.timezone or tx.platforms.timezone(job.platform_id) or "UTC"
    return None if at is None else _read(at, zone)


def _read(at: datetime | str, timezone: str) -> datetime:
    if isinstance(at, datetime):
        if at.tzinfo is None:
            raise ValidationError("needs a zone", field="at", fix="Give an instant, or text as a wall time")
        return at.astimezone(UTC)
    # A one-time schedule reads an instant or a wall time of the zone just as a job would.
    found = compile_schedule({"run_at": at}, timezone=timezone).next(_EPOCH)
    if found is None:
        raise ValidationError(f"{at!r} is no time that can be asked about", field="at")
    return found.at


def _moment(job: Job, schedule: CompiledSchedule, at: datetime | str | None, now: datetime) -> datetime:
    if at is not None:
        return _read(at, schedule.timezone)
    last = schedule.previous(now + timedelta(milliseconds=1))
    if last is not None and last.at > job.created_at:
        return last.at
    following = schedule.next(max(now, job.cursor_at))
    return following.at if following is not None else now


def _due_check(subject: _Subject) -> Check:
    schedule, at = subject.schedule, subject.at
    occurrence = schedule.at(at)
    if occurrence is not None:
        notes = f" ({'; '.join(occurrence.notes)})" if occurrence.notes else ""
        detail = f"{subject.local(at)} is an instant of: {schedule.sentence}{notes}"
        return Check("due_by_schedule", "yes", detail, {"scheduled_at": instant(at), "notes": list(occurrence.notes)})
    before, after = schedule.previous(at), schedule.next(at)
    evidence = {
        "nearest_before": instant(before.at) if before else None,
        "nearest_after": instant(after.at) if after else None,
    }
    near = " and ".join(subject.local(o.at) for o in (before, after) if o is not None) or "none at all"
    gap = [n for o in (before, after) if o is not None for n in o.notes]
    notes = f"; {'; '.join(gap)}" if gap else ""
    return Check(
        "due_by_schedule",
        "no",
        f"{subject.local(at)} is no instant of: {schedule.sentence}. The nearest are {near}{notes}",
        evidence,
    )


def _decided(subject: _Subject, decision: Decision, checks: list[Check]) -> Explanation:
    job, tx = subject.job, subject.tx
    when = subject.local(subject.at)
    if decision.revision != job.revision:
        detail = f"decided under revision {decision.revision}; the job is at revision {job.revision} now"
        checks.append(Check("revision", "info", detail, {"revision": decision.revision}))
    checks.append(_ledger_check(subject, decision))
    if decision.execution_id is not None:
        execution = tx.executions.get(decision.execution_id)
        if execution is None:
            summary = f"Decided at {when}: {decision.decision.value}; its execution is past its retention."
            return Explanation(job.name, "ran", summary, tuple(checks), (), subject.at)
        _, more = describe_execution(tx, job.platform_id, execution.id)
        verdict, summary = facts(tx, execution)
        advice = tuple(advise(execution, more))
        return Explanation(job.name, verdict, f"{when}: {summary}", (*checks, *more), advice, subject.at)
    checks.extend(blockers(tx, decision))
    summary = f"{when}: did not run, because {_why(subject, decision)}."
    return Explanation(job.name, "did_not_run", summary, tuple(checks), tuple(advice_on(job, decision)), subject.at)


def _ledger_check(subject: _Subject, decision: Decision) -> Check:
    late = f", {span(decision.late)} late" if decision.late >= timedelta(milliseconds=1) else ", on time"
    detail = f"decided {decision.decision.value} at {subject.local(decision.decided_at)}{late}"
    if decision.until_at is not None:
        many = f"{decision.count} instants" if decision.count is not None else "a long run of instants"
        detail += (
            f", as one of {many} from {subject.local(decision.scheduled_at)} to {subject.local(decision.until_at)}"
        )
    if decision.dispatcher_id is not None:
        detail += f", by {decision.dispatcher_id}"
    evidence = {
        "decision": decision.decision.value,
        "scheduled_at": instant(decision.scheduled_at),
        "decided_at": instant(decision.decided_at),
        "reason": dict(decision.reason),
        "execution_id": decision.execution_id,
    }
    return Check("ledger", "yes" if decision.decision.runs else "no", detail, evidence)


def _why(subject: _Subject, decision: Decision) -> str:
    reason: Mapping[str, Any] = decision.reason
    meaning = MEANING.get(decision.decision, decision.decision.value)
    match decision.decision:
        case Verdict.SKIPPED_OVERLAP:
            held = _run_of(subject, reason.get("blocking"))
            return f"{meaning} ({held}) and overlap is {reason.get('policy')!r}"
        case Verdict.DROPPED_BUFFER_FULL:
            return f"{meaning}: {reason.get('buffered')} (buffer_limit)"
        case Verdict.COALESCED if decision.into_at is not None:
            into = subject.local(decision.into_at)
            return f"it was folded into the one of {into} (misfire is {reason.get('misfire')!r})"
        case Verdict.SKIPPED_PAUSED:
            return f"{meaning}: {reason.get('reason') or 'no reason was given'}"
        case Verdict.SKIPPED_CALENDAR if reason.get("excluded_by") == "dst_gap":
            told = "; ".join(map(str, reason.get("notes", ()))).removeprefix("dst_gap: ")
            return f"a clock change goes past it ({told or 'dst_gap'})"
        case Verdict.SKIPPED_CALENDAR:
            return f"it is excluded by {reason.get('excluded_by') or reason.get('zone_data') or 'its calendar'}"
        case Verdict.SKIPPED_MISFIRE:
            return f"{meaning}: {span(decision.late)} late, and {reason.get('why', reason.get('misfire'))}"
    return meaning


def _run_of(subject: _Subject, execution_id: Any) -> str:
    execution = subject.tx.executions.get(str(execution_id)) if execution_id else None
    if execution is None:
        return f"execution {execution_id}"
    if execution.scheduled_at is not None:
        return f"execution {execution.id}, due {subject.local(execution.scheduled_at)}"
    return f"execution {execution.id}, {execution.cause.value}"


def _undecided(subject: _Subject, checks: list[Check]) -> Explanation:
    job, tx, at = subject.job, subject.tx, subject.at
    when = subject.local(at)
    name = job.name
    if checks[1].result == "no":
        return Explanation(name, "not_due", f"{when}: not due by its schedule.", tuple(checks), (), at)
    kept_since = ledger_since(tx)
    if kept_since is not None and job.created_at <= at < kept_since:
        detail = f"the ledger is kept from {subject.local(kept_since)} on (keep_decisions_days)"
        checks.append(Check("ledger", "unknown", detail, {"ledger_since": instant(kept_since)}))
        return Explanation(name, "unknown", f"{when}: what was decided is no longer kept.", tuple(checks), (), at)
    if at <= job.cursor_at or at < job.created_at:
        why = "the job did not exist yet" if at < job.created_at else "an edit or a resume moved the job past it"
        detail = f"{why}: nothing before {subject.local(job.cursor_at)} is decided any more"
        checks.append(Check("ledger", "no", detail, {"cursor_at": instant(job.cursor_at)}))
        return Explanation(name, "did_not_run", f"{when}: did not run, because {why}.", tuple(checks), (), at)
    if job.status is not JobStatus.ACTIVE:
        return _inactive(subject, checks)
    fire_at = subject.schedule.fire_at(at, key=job.id)
    if fire_at > tx.now:
        rest = span(fire_at - tx.now)
        checks.append(Check("time", "info", f"it is due in {rest}", {"fire_at": instant(fire_at)}))
        return Explanation(name, "will_run", f"{when}: will be decided in {rest}.", tuple(checks), (), at)
    if (hold := held(tx)) is not None:
        since = subject.local(hold.since)
        checks.append(Check("fleet_released", "blocked", f"held since {since}: {hold.reason}", {"actor": hold.actor}))
        told = f"{when}: due {span(tx.now - fire_at)} ago and not decided yet, because the fleet is held: {hold.reason}"
        return Explanation(name, "waiting", told, tuple(checks), ("let it go on: mainspring release",), at)
    alive = [d.id for d in tx.nodes.dispatchers(seen_since=tx.now - timedelta(seconds=15)) if d.status == "running"]
    late = span(tx.now - fire_at)
    detail = f"dispatchers alive: {', '.join(alive) or 'none'}"
    checks.append(Check("dispatcher_alive", "yes" if alive else "no", detail, {"dispatchers": alive}))
    summary = f"{when}: due {late} ago and not decided yet" + ("." if alive else ", because no dispatcher is alive.")
    advice = () if alive else ("start one: mainspring dev, or mainspring dispatcher",)
    return Explanation(name, "waiting", summary, tuple(checks), advice, at)


def _inactive(subject: _Subject, checks: list[Check]) -> Explanation:
    job, when = subject.job, subject.local(subject.at)
    why = f"the job is {job.status.value}: {job.status_reason or 'no reason given'}."
    advice = (f"mainspring jobs resume {job.name}",) if job.status is JobStatus.PAUSED else ()
    if subject.at <= subject.tx.now:
        told = f"{when}: not decided, because {why}"
        return Explanation(job.name, "did_not_run", told, tuple(checks), advice, subject.at)
    verdict = "waiting" if job.status is JobStatus.PAUSED else "not_due"
    return Explanation(
        job.name, verdict, f"{when}: will not run as things stand: {why}", tuple(checks), advice, subject.at
    )


def _untimed(tx: Tx, job: Job) -> Explanation:
    manual = Check("due_by_schedule", "info", "a job of type manual runs on triggers", {})
    checks = (job_check(job, zone_of(tx, job)), manual)
    return Explanation(job.name, "not_due", "It has no schedule: it runs when it is triggered.", checks)
