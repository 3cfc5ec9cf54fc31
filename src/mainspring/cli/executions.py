"""`executions` (also `runs`): list, get, logs, cancel, retry."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import Parameter

from mainspring.cli import job_fields
from mainspring.cli.desk import Desk
from mainspring.cli.durations import elapsed_ms
from mainspring.cli.exits import Exit
from mainspring.cli.filters import compared, equals, one_of
from mainspring.cli.job_zones import JobZones, read_zones
from mainspring.cli.logs import show_logs
from mainspring.cli.moments import read_at
from mainspring.cli.narrate import progress_told
from mainspring.cli.output import columns, pairs, print_one, say, short, table
from mainspring.cli.pages import Listed, print_listing
from mainspring.cli.target import Target
from mainspring.cli.times import both, span, stamp
from mainspring.cli.waiting import wait_for
from mainspring.client import asks
from mainspring.client.shape import Page
from mainspring.client.shapes import Attempt, Execution, ExecutionWithAttempts
from mainspring.model.execution import Status


def list_executions(
    *,
    job: str | None = None,
    status: Annotated[list[Status] | None, Parameter(negative="")] = None,
    handler: str | None = None,
    queue: str | None = None,
    since: str | None = None,
    listed: Listed | None = None,
    target: Target | None = None,
) -> None:
    """List executions, newest first; of the last 7 days unless an option or the filter says otherwise.

    Args:
        job: Only those of this job, by name or id.
        status: Only these; may be repeated.
        handler: Only those of this handler.
        queue: Only those of this queue.
        since: Made at or after this instant, or wall time in the job's zone.
        listed: What every list takes.
    """
    target, listed = target or Target(), listed or Listed()

    async def work(desk: Desk) -> tuple[Page[Execution], JobZones]:
        at = await read_at(desk, job, since, "since")
        of_job = None if job is None else equals("job_id", (await desk.ask(asks.get_job(job))).id)
        conditions = (
            of_job,
            one_of("status", status or []),
            equals("handler", handler),
            equals("queue", queue),
            compared("created_at", ">=", at),
        )
        page = await desk.ask(asks.list_executions(**listed.query(*conditions, include="payload")))
        ids = [execution.wire.get("job_id") for execution in page]
        return page, await read_zones(desk, ids) if target.for_people else JobZones()

    page, zones = target.run(work)
    headers = ("ID", "JOB", "STATUS", "DUE", "STARTED", "TOOK", "TRIES", "NOTE")
    print_listing(target, listed, page, headers, lambda one: _row(one, zones), empty="No executions.")


def get_execution(execution_id: str, /, *, target: Target | None = None) -> None:
    """Show one execution with its attempts and the decision that made it.

    Args:
        execution_id: Its id.
    """
    target = target or Target()

    async def work(desk: Desk) -> tuple[ExecutionWithAttempts, JobZones]:
        found = await desk.ask(asks.get_execution(execution_id))
        return found, await read_zones(desk, [found.job_id]) if target.for_people else JobZones()

    found, zones = target.run(work)
    print_one(target.output, found.wire, _told(found, zones.of(found.job_id)))


def execution_logs(
    execution_id: str,
    /,
    *,
    follow: Annotated[bool, Parameter(name=["--follow", "-f"], negative="", show_default=False)] = False,
    after: int = 0,
    target: Target | None = None,
) -> int:
    """Show an execution's log.

    Args:
        execution_id: Its id.
        follow: Go on until it has ended.
        after: Start behind this line.
    """
    return show_logs(target or Target(), execution_id, follow=follow, after=after)


def cancel_execution(
    execution_id: str,
    /,
    *,
    reason: str = "cancelled from the command line",
    force: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    target: Target | None = None,
) -> None:
    """Cancel an execution: at once where it has not started; a running one is told to stop.

    Args:
        execution_id: Its id.
        reason: Why; kept with it.
        force: End a running one now: whatever its handler still does is dropped.
    """
    target = target or Target()
    execution = target.run(lambda desk: desk.ask(asks.cancel_execution(execution_id, reason=reason, force=force)))
    told = "is cancelled" if execution.status is Status.CANCELLED else f"is {execution.status} and told to stop"
    print_one(target.output, execution.wire, f"execution {execution.id} {told}")


def retry_execution(
    execution_id: str,
    /,
    *,
    payload: str | None = None,
    wait: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    timeout: str | None = None,
    target: Target | None = None,
) -> int:
    """Run an ended execution again, as a new one that names it.

    Args:
        execution_id: The ended one's id.
        payload: A JSON object, or @FILE, instead of its own.
        wait: Wait for the new one's end; exit 8 unless it succeeded.
        timeout: Longest wait, such as 10m; exit 1 when it is over.
    """
    target = target or Target()
    body = job_fields.read_object(payload, "--payload") if payload is not None else None
    seconds = elapsed_ms(timeout, "timeout") / 1000 if timeout is not None else None

    async def work(desk: Desk) -> int:
        execution = await desk.ask(asks.retry_execution(execution_id, **job_fields.given_only({"payload": body})))
        text = f"execution {execution_id} runs again as {execution.id}"
        if wait:
            if target.for_people:
                say(text)
            return await wait_for(desk, execution.id, target.output, seconds)
        print_one(target.output, execution.wire, text)
        return Exit.DONE

    return target.run(work)


def _row(execution: Execution, zones: JobZones) -> list[Any]:
    zone = zones.of(execution.job_id)
    return [
        execution.id,
        execution.job_name or execution.handler,
        execution.status,
        stamp(execution.scheduled_at or execution.created_at, zone),
        stamp(execution.started_at, zone),
        _took(execution),
        f"{execution.attempt}/{execution.retry['max_retries'] + 1}",
        short(note(execution), 100),
    ]


def note(execution: Any) -> str:
    """Return what matters most about where an execution stands; empty where its status says it all."""
    status = Status(execution.status)
    if execution.error and status not in (Status.SUCCESS, Status.RUNNING):
        return f"{execution.error.get('type')}: {execution.error.get('message')}"
    if status is Status.PENDING and execution.blocked_by:
        return f"held back by {execution.blocked_by}"
    if execution.cancel_requested_at and not status.terminal:
        return "told to stop"
    if status is Status.RUNNING and execution.progress:
        return progress_told(execution.progress)
    return ""


def _took(execution: Execution) -> str | None:
    return None if execution.duration_ms is None else span(execution.duration_ms / 1000)


def _told(e: ExecutionWithAttempts, zone: str) -> str:
    error = e.error or {}
    decision = e.decision
    told = pairs(
        {
            "id": e.id,
            "status": str(e.status) + (f" ({e.failure})" if e.failure else ""),
            "held back by": e.blocked_by,
            "job": f"{e.job_name} (revision {e.job_revision})" if e.job_name else None,
            "handler": e.handler,
            "cause": str(e.cause) + (f" of {e.retry_of}" if e.retry_of else ""),
            "payload": e.payload,
            "queue": f"{e.queue}, priority {e.priority}",
            "due": both(e.scheduled_at, zone) if e.scheduled_at else None,
            "created": both(e.created_at, zone),
            "queued": both(e.queued_at, zone) if e.queued_at else None,
            "started": both(e.started_at, zone) if e.started_at else None,
            "finished": both(e.finished_at, zone) if e.finished_at else None,
            "next attempt": both(e.available_at, zone) if e.status is Status.RETRYING else None,
            "took": _took(e),
            "attempt": f"{e.attempt} of {e.retry['max_retries'] + 1}" + (f", {e.losses} lost" if e.losses else ""),
            "worker": e.worker_id,
            "lease until": both(e.lease_until, zone) if e.lease_until else None,
            "progress": progress_told(e.progress) if e.progress else None,
            "result": e.result,
            "error": f"{error.get('type')}: {error.get('message')}" if error else None,
            "trace": e.trace_id,
            "decision": f"{decision['decision']}, {span(decision['late_ms'] / 1000)} late" if decision else None,
        }
    )
    rows = [
        [a.attempt, a.outcome, stamp(a.started_at, zone), stamp(a.ended_at, zone), a.worker_id, _error_of(a.error)]
        for a in map(Attempt, e.attempts)
    ]
    if rows:
        told += "\n\n" + table(["ATTEMPT", "OUTCOME", "STARTED", "ENDED", "WORKER", "ERROR"], rows, columns())
    trace = str(error.get("traceback") or "").rstrip()
    return f"{told}\n\n{printable(trace)}" if trace else told


def _error_of(error: Any) -> str | None:
    return short(f"{error.get('type')}: {error.get('message')}", 100) if error else None


def printable(text: str) -> str:
    r"""Return text of several lines without the signs that steer a terminal.

    >>> printable("a\x1b[31m\nb")
    'a[31m\nb'
    """
    return "".join(sign for sign in text if sign.isprintable() or sign in "\n\t")
