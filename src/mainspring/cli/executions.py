"""`executions` (also `runs`): list, get, logs, cancel, retry."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

from cyclopts import Parameter

from mainspring.cli import job_fields
from mainspring.cli.durations import elapsed_ms
from mainspring.cli.exits import Exit
from mainspring.cli.job_zones import JobZones, read_zones
from mainspring.cli.logs import show_logs
from mainspring.cli.moments import read_at
from mainspring.cli.output import page_size, pairs, print_one, print_page, say, short, table
from mainspring.cli.target import Client, Target
from mainspring.cli.times import both, span, stamp
from mainspring.cli.waiting import wait_for
from mainspring.control.executions import ExecutionView
from mainspring.model.execution import Execution, Status
from mainspring.model.wire import decision_to_wire, execution_to_wire, record_to_wire
from mainspring.ports.store import ExecutionQuery


def list_executions(
    *,
    job: str | None = None,
    status: Annotated[list[Status] | None, Parameter(negative="")] = None,
    handler: str | None = None,
    queue: str | None = None,
    since: str | None = None,
    after: str | None = None,
    limit: int = 50,
    target: Target | None = None,
) -> None:
    """List executions, newest first.

    Args:
        job: Only those of this job, by name or id.
        status: Only these; may be repeated.
        handler: Only those of this handler.
        queue: Only those of this queue.
        since: Made at or after this instant, or wall time in the job's zone.
        after: Start behind this execution's id: the one a page ended with.
        limit: How many.
    """
    target = target or Target()
    size = page_size(limit)
    query = ExecutionQuery(statuses=tuple(status or ()), handler=handler, queue=queue, before_id=after, limit=size + 1)

    async def work(client: Client) -> tuple[list[Execution], JobZones]:
        at = await read_at(client, job, since, "since")
        found = await client.scheduler.list_executions(replace(query, since=at), job=job)
        platform_id = client.scheduler.platform_id
        ids = [execution.job_id for execution in found]
        return found, await client.scheduler.read(lambda tx: read_zones(tx, platform_id, ids))

    found, zones = target.run(work)
    page = found[:size]
    print_page(
        target.output,
        [execution_to_wire(execution) for execution in page],
        table(["ID", "JOB", "STATUS", "DUE", "STARTED", "TOOK", "TRIES", "NOTE"], [_row(e, zones) for e in page]),
        following=page[-1].id if len(found) > size else None,
        empty="No executions.",
    )


def get_execution(execution_id: str, /, *, target: Target | None = None) -> None:
    """Show one execution with its attempts and the decision that made it.

    Args:
        execution_id: Its id.
    """
    target = target or Target()

    async def work(client: Client) -> tuple[ExecutionView, JobZones]:
        view = await client.scheduler.get_execution(execution_id)
        platform_id = client.scheduler.platform_id
        return view, await client.scheduler.read(lambda tx: read_zones(tx, platform_id, [view.execution.job_id]))

    view, zones = target.run(work)
    wire = execution_to_wire(view.execution) | {
        "attempts": [record_to_wire(attempt) for attempt in view.attempts],
        "decision": decision_to_wire(view.decision) if view.decision else None,
    }
    print_one(target.output, wire, _told(view, zones.of(view.execution.job_id)))


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
    execution = target.run(lambda client: client.scheduler.cancel_execution(execution_id, reason=reason, force=force))
    told = "is cancelled" if execution.status is Status.CANCELLED else f"is {execution.status.value} and told to stop"
    print_one(target.output, execution_to_wire(execution), f"execution {execution.id} {told}")


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

    async def work(client: Client) -> int:
        execution = await client.scheduler.retry_execution(execution_id, payload=body)
        text = f"execution {execution_id} runs again as {execution.id}"
        if wait:
            if target.output == "table":
                say(text)
            return await wait_for(client, execution.id, target.output, seconds)
        print_one(target.output, execution_to_wire(execution), text)
        return Exit.DONE

    return target.run(work)


def _row(execution: Execution, zones: JobZones) -> list[Any]:
    zone = zones.of(execution.job_id)
    return [
        execution.id,
        execution.job_name or execution.handler,
        execution.status.value,
        stamp(execution.scheduled_at or execution.created_at, zone),
        stamp(execution.started_at, zone),
        _took(execution),
        f"{execution.attempt}/{execution.retry.max_retries + 1}",
        short(note(execution), 100),
    ]


def note(execution: Execution) -> str:
    """Return what matters most about where an execution stands; empty where its status says it all."""
    if execution.error and execution.status not in (Status.SUCCESS, Status.RUNNING):
        return f"{execution.error.get('type')}: {execution.error.get('message')}"
    if execution.status is Status.PENDING and execution.blocked_by:
        return f"held back by {execution.blocked_by}"
    if execution.cancel_requested_at and not execution.status.terminal:
        return "told to stop"
    if execution.status is Status.RUNNING and execution.progress:
        return progress_told(execution.progress)
    return ""


def progress_told(progress: Any) -> str:
    """Return a progress as people read it.

    >>> progress_told({"current": 5, "total": 20, "message": "rows"}), progress_told({"message": "alive"})
    ('25 % (5/20) rows', 'alive')
    """
    current, total, message = progress.get("current"), progress.get("total"), progress.get("message") or ""
    if current is None:
        return str(message)
    if isinstance(total, int | float) and total > 0:
        told = f"{min(max(current / total, 0), 1) * 100:.0f} % ({current:g}/{total:g})"
    else:
        told = f"{current:g}"
    return f"{told} {message}".strip()


def _took(execution: Execution) -> str | None:
    if execution.started_at is None or execution.finished_at is None or execution.finished_at < execution.started_at:
        return None
    return span(execution.finished_at - execution.started_at)


def _told(view: ExecutionView, zone: str) -> str:
    e = view.execution
    error = e.error or {}
    told = pairs(
        {
            "id": e.id,
            "status": e.status.value + (f" ({e.failure.value})" if e.failure else ""),
            "held back by": e.blocked_by,
            "job": f"{e.job_name} (revision {e.job_revision})" if e.job_name else None,
            "handler": e.handler,
            "cause": e.cause.value + (f" of {e.retry_of}" if e.retry_of else ""),
            "payload": e.payload,
            "queue": f"{e.queue}, priority {e.priority}",
            "due": both(e.scheduled_at, zone) if e.scheduled_at else None,
            "created": both(e.created_at, zone),
            "queued": both(e.queued_at, zone) if e.queued_at else None,
            "started": both(e.started_at, zone) if e.started_at else None,
            "finished": both(e.finished_at, zone) if e.finished_at else None,
            "next attempt": both(e.available_at, zone) if e.status is Status.RETRYING else None,
            "took": _took(e),
            "attempt": f"{e.attempt} of {e.retry.max_retries + 1}" + (f", {e.losses} lost" if e.losses else ""),
            "worker": e.worker_id,
            "lease until": both(e.lease_until, zone) if e.lease_until else None,
            "progress": progress_told(e.progress) if e.progress else None,
            "result": e.result,
            "error": f"{error.get('type')}: {error.get('message')}" if error else None,
            "trace": e.trace_id,
            "decision": f"{view.decision.decision.value}, {span(view.decision.late)} late" if view.decision else None,
        }
    )
    rows = [
        [a.attempt, a.outcome, stamp(a.started_at, zone), stamp(a.ended_at, zone), a.worker_id, _error_of(a.error)]
        for a in view.attempts
    ]
    if rows:
        told += "\n\n" + table(["ATTEMPT", "OUTCOME", "STARTED", "ENDED", "WORKER", "ERROR"], rows)
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
