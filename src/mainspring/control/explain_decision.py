"""What is told of a decision, whether of an instant or of an event: what it means, what was in the way, what to do."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from mainspring.control.explanation import Check, shown, span
from mainspring.model.decision import Decision, Verdict
from mainspring.model.execution import Execution
from mainspring.model.job import Job, JobStatus
from mainspring.model.wire import instant
from mainspring.ports.store import Tx

#: What each decision means, to be filled in with the reason the ledger kept.
MEANING: Mapping[Verdict, str] = {
    Verdict.COALESCED: "it was folded into a later instant",
    Verdict.SKIPPED_OVERLAP: "an earlier execution still held the job's slot",
    Verdict.SKIPPED_MISFIRE: "it was decided too late",
    Verdict.SKIPPED_PAUSED: "the job was paused",
    Verdict.SKIPPED_CALENDAR: "a calendar or the zone's clock excludes it",
    Verdict.SKIPPED_LIMIT: "a limit of the schedule was reached",
    Verdict.DROPPED_BUFFER_FULL: "too many executions were waiting already",
}


def job_check(job: Job, timezone: str) -> Check:
    """Say whether a job is active, and if not, why, with times as the clocks of a zone show them."""
    evidence = {"job_id": job.id, "status": job.status.value, "revision": job.revision}
    if job.status is JobStatus.ACTIVE:
        return Check("job_active", "yes", f"job {job.name!r} is active, at revision {job.revision}", evidence)
    why = f": {job.status_reason}" if job.status_reason else ""
    until = f", until {shown(job.paused_until, timezone)}" if job.paused_until else ""
    return Check("job_active", "no", f"job {job.name!r} is {job.status.value}{why}{until}", evidence)


def blockers(tx: Tx, decision: Decision) -> list[Check]:
    """Say which execution was in the way of a decision, if one was."""
    blocking = decision.reason.get("blocking")
    if not blocking:
        return []
    execution = tx.executions.get(str(blocking))
    if execution is None:
        return [Check("overlap", "blocked", f"execution {blocking} held the slot; it is past its retention", {})]
    return [
        Check(
            "overlap",
            "blocked",
            f"execution {blocking} {_held(execution, decision.decided_at)}",
            {
                "execution": execution.id,
                "started_at": instant(execution.started_at),
                "finished_at": instant(execution.finished_at),
                "status": execution.status.value,
            },
        )
    ]


def _held(execution: Execution, at: datetime) -> str:
    started = execution.started_at
    if started is None:
        return f"held the slot, not started yet; it is {execution.status.value} now"
    since = span(max(at - started, timedelta(0)))
    if execution.finished_at is None:
        return f"held the slot: it had been running for {since} and is {execution.status.value} now"
    length = span(execution.finished_at - started)
    return f"held the slot: it had been running for {since} of the {length} it took ({execution.status.value})"


def advice_on(job: Job, decision: Decision) -> list[str]:
    """Say what to do about a decision not to run."""
    match decision.decision:
        case Verdict.SKIPPED_OVERLAP:
            return [
                "to run it as soon as the earlier one ends, set overlap to buffer_one",
                "to run both at once, set overlap to allow_all",
                "if runs take longer than the interval, lengthen the interval",
            ]
        case Verdict.SKIPPED_MISFIRE:
            return [
                "to run the newest missed instant, set misfire to fire_once",
                "to accept later starts, raise misfire_grace_ms",
            ]
        case Verdict.SKIPPED_PAUSED if job.status is JobStatus.PAUSED:
            return [f"mainspring jobs resume {job.name}"]
        case Verdict.SKIPPED_LIMIT if "throttle" in decision.reason:
            return ["to let more through, raise the schedule's throttle", "to run once after a burst, set debounce_ms"]
        case Verdict.DROPPED_BUFFER_FULL:
            return ["raise buffer_limit, or let more run at once with max_concurrency"]
    return []
