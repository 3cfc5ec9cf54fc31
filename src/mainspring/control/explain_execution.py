"""Where an execution stands and what it waits for, each check with its evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from mainspring.control.explanation import Check, shown, span
from mainspring.control.health import ALIVE
from mainspring.errors import NotFoundError
from mainspring.model.chain import Chained
from mainspring.model.execution import Execution, Status
from mainspring.model.job import Job
from mainspring.model.wire import instant
from mainspring.moves.hold import held
from mainspring.ports.store import Tx


def describe_execution(tx: Tx, platform_id: str, execution_id: str) -> tuple[Execution, list[Check]]:
    """Return an execution and the checks that led it where it is. Raises `NotFoundError`."""
    execution = tx.executions.get(execution_id)
    if execution is None or execution.platform_id != platform_id:
        raise NotFoundError("execution", execution_id)
    zone = _zone(tx, execution)
    checks = [_made(execution, zone)]
    if not execution.status.terminal:
        checks.append(_time(tx, execution, zone))
        checks.append(_limits(tx, execution))
        if (hold := held(tx)) is not None:
            detail = f"the fleet is held since {shown(hold.since, zone)}: {hold.reason}"
            checks.append(Check("fleet_released", "blocked", detail, {"actor": hold.actor}))
        if execution.status in (Status.PENDING, Status.QUEUED, Status.RETRYING):
            checks.append(_worker(tx, execution))
        if execution.status is Status.RUNNING:
            checks.append(_lease(tx, execution))
    checks.extend(_attempts(tx, execution, zone))
    checks.extend(_chained(tx, execution))
    return execution, checks


def zone_of(tx: Tx, job: Job) -> str:
    """Return the zone a job's times are shown in: its own, else its platform's, else UTC."""
    return job.definition.timezone or tx.platforms.timezone(job.platform_id) or "UTC"


def _zone(tx: Tx, execution: Execution) -> str:
    job = tx.jobs.by_id([execution.job_id]).get(execution.job_id) if execution.job_id is not None else None
    return zone_of(tx, job) if job is not None else tx.platforms.timezone(execution.platform_id) or "UTC"


def facts(tx: Tx, execution: Execution) -> tuple[str, str]:
    """Return (verdict, one sentence) for an execution."""
    short = f"execution {execution.id}"
    started, finished = execution.started_at, execution.finished_at
    took = f" in {span(finished - started)}" if started and finished and finished >= started else ""
    error = execution.error or {}
    said = f": {error.get('type')}: {str(error.get('message', ''))[:200]}" if error else ""
    tries = f" after {execution.attempt} attempts" if execution.attempt > 1 else ""
    match execution.status:
        case Status.SUCCESS:
            return "ran", f"{short} ran and succeeded{took}{tries}."
        case Status.FAILED:
            kind = execution.failure.value if execution.failure else "error"
            return "ran", f"{short} failed ({kind}){tries}{said}"
        case Status.CANCELLED:
            why = f": {execution.cancel_reason}" if execution.cancel_reason else said
            return "did_not_run" if started is None else "ran", f"{short} was cancelled{why}"
        case Status.EXPIRED:
            before = shown(execution.start_deadline_at, _zone(tx, execution))
            return "did_not_run", f"{short} expired: it could not start before {before}."
        case Status.RUNNING:
            since = span(max(tx.now - started, timedelta(0))) if started else "now"
            return "running", f"{short} is running since {since}, attempt {execution.attempt} on {execution.worker_id}."
        case Status.WAITING:
            return "waiting", f"{short} waits for {execution.external_ref}."
        case Status.RETRYING:
            wait = span(max(execution.available_at - tx.now, timedelta(0)))
            return "waiting", f"{short} failed attempt {execution.attempt} and is tried again in {wait}{said}"
        case Status.QUEUED:
            return "waiting", f"{short} is queued on {execution.queue!r} and waits for a free worker."
    if execution.blocked_by is not None:
        return "waiting", f"{short} is held back by {blocker_name(execution.blocked_by)}."
    rest = execution.available_at - tx.now
    when = f"in {span(rest)}" if rest > timedelta(0) else "now"
    return "waiting", f"{short} is pending; its time comes {when}."


def blocker_name(blocked_by: str) -> str:
    """Say what a ``blocked_by`` word stands for.

    >>> blocker_name("queue:reports")
    "the limit of queue 'reports'"
    """
    kind, _, name = blocked_by.partition(":")
    return {
        "overlap": "an earlier execution of its job (overlap)",
        "job": "its job's max_concurrency",
        "queue": f"the limit of queue {name!r}",
        "rate": f"the rate of queue {name!r}",
        "key": f"the limit of concurrency key {name!r}",
        "platform": "the platform's limit",
    }.get(kind, blocked_by)


def advise(execution: Execution, checks: Sequence[Check]) -> list[str]:
    """Say what to do, by what was found."""
    advice = [
        f"start a worker that has the handler {execution.handler!r}: mainspring worker module:app"
        for check in checks
        if check.check == "worker_alive" and check.result == "no"
    ]
    if any(check.check == "fleet_released" for check in checks):
        advice.append("let the fleet go on: mainspring release")
    if execution.status is Status.FAILED:
        advice.append(f"run it again: mainspring dead-letters redrive {execution.id}")
    if execution.blocked_by in ("job", "overlap"):
        advice.append("it clears by itself when the holder ends; or cancel the holder: mainspring executions cancel ID")
    return advice


def _made(execution: Execution, zone: str) -> Check:
    of = f" of job {execution.job_name!r}" if execution.job_name else ""
    detail = f"made at {shown(execution.created_at, zone)} by {execution.cause.value}{of}"
    if execution.retry_of is not None:
        detail += f", to repeat {execution.retry_of}"
    if isinstance(before := (execution.event or {}).get("execution"), Mapping):
        detail += f", after execution {before.get('id')} of {before.get('job_name') or before.get('handler')}"
    return Check("created", "yes", detail, {"cause": execution.cause.value, "job_id": execution.job_id})


def _time(tx: Tx, execution: Execution, zone: str) -> Check:
    due = execution.available_at <= tx.now
    detail = f"its time {'came' if due else 'comes'} at {shown(execution.available_at, zone)}"
    return Check("time_reached", "yes" if due else "no", detail, {"available_at": instant(execution.available_at)})


def _limits(tx: Tx, execution: Execution) -> Check:
    held = execution.blocked_by
    if held is None:
        return Check("limits_free", "yes", "no limit holds it back")
    kind, _, name = held.partition(":")
    if kind in ("overlap", "job"):
        holders = [e.id for e in tx.executions.active_of([execution.job_id or ""]) if not e.held_by_job]
    else:
        scope = "queue" if kind == "rate" else kind
        holders = tx.executions.holders(execution.platform_id, scope, name, 10)
    who = f"; held by {', '.join(holders[:3])}" if holders else ""
    detail = f"held back by {blocker_name(held)}{who}"
    return Check("limits_free", "blocked", detail, {"blocked_by": held, "holders": holders})


def _worker(tx: Tx, execution: Execution) -> Check:
    alive = [w for w in tx.nodes.workers(seen_since=tx.now - ALIVE) if w.status == "running"]
    fit = [w.id for w in alive if execution.handler in w.handlers and execution.queue in w.queues]
    if fit:
        return Check("worker_alive", "yes", f"{len(fit)} live workers have the handler and the queue", {"workers": fit})
    have = [w.id for w in alive if execution.handler in w.handlers]
    why = (
        f"none of the {len(have)} with the handler serves queue {execution.queue!r}" if have else "none has the handler"
    )
    detail = f"{len(alive)} workers are alive, and {why} {execution.handler!r}" if not have else f"{why}"
    return Check("worker_alive", "no", detail, {"alive": [w.id for w in alive]})


def _lease(tx: Tx, execution: Execution) -> Check:
    rest = (execution.lease_until - tx.now) if execution.lease_until else timedelta(0)
    held = rest > timedelta(0)
    detail = f"{execution.worker_id} holds the lease, renewed for {span(rest)} more" if held else "its lease is over"
    evidence = {
        "worker_id": execution.worker_id,
        "fence": execution.fence,
        "lease_until": instant(execution.lease_until),
    }
    return Check("leased", "yes" if held else "no", detail, evidence)


def _attempts(tx: Tx, execution: Execution, zone: str) -> list[Check]:
    checks = []
    for attempt in tx.executions.attempts(execution.id):
        error = attempt.error or {}
        said = f": {error.get('type')}: {str(error.get('message', ''))[:200]}" if error else ""
        detail = f"attempt {attempt.attempt} ended {shown(attempt.ended_at, zone)} as {attempt.outcome}{said}"
        evidence = {"fence": attempt.fence, "worker_id": attempt.worker_id, "started_at": instant(attempt.started_at)}
        checks.append(Check("attempt", "yes" if attempt.outcome == "success" else "info", detail, evidence))
    if execution.cancel_requested_at is not None:
        detail = f"cancel was asked for at {shown(execution.cancel_requested_at, zone)}: {execution.cancel_reason}"
        checks.append(Check("cancel", "info", detail, {}))
    return checks


def _chained(tx: Tx, execution: Execution) -> list[Check]:
    """Say what its end has started, and what it was to start and did not."""
    checks = []
    for link in tx.chains.of(execution.id) if execution.status.terminal else ():
        started = link.chained_id is not None
        detail = f"started job {link.job!r} as execution {link.chained_id}" if started else _not_started(link)
        evidence = {"job": link.job, "execution": link.chained_id, "at": instant(link.at)}
        checks.append(Check("chain", "yes" if started else "no", detail, evidence))
    return checks


def _not_started(link: Chained) -> str:
    return f"did not start job {link.job!r}: {link.problem}"
