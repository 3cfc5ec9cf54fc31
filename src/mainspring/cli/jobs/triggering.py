"""`jobs trigger` and `jobs backfill`: run a job now, or for its past instants."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from cyclopts import Parameter

from mainspring.cli import job_fields
from mainspring.cli.desk import Desk
from mainspring.cli.durations import elapsed_ms
from mainspring.cli.exits import Exit
from mainspring.cli.job_fields import given_only
from mainspring.cli.moments import read_at
from mainspring.cli.output import columns, print_one, say, table
from mainspring.cli.target import Target
from mainspring.cli.times import stamp
from mainspring.cli.waiting import wait_for, wait_for_operation
from mainspring.client import asks
from mainspring.client.shapes import BackfillOperation, Operation
from mainspring.model.policy import Overlap


def trigger_job(
    name: str,
    /,
    *,
    payload: str | None = None,
    overlap: Overlap | None = None,
    idempotency_key: str | None = None,
    wait: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    timeout: str | None = None,
    target: Target | None = None,
) -> int:
    """Run a job now, under its policies.

    Args:
        name: The job's name or id.
        payload: A JSON object, or @FILE, instead of the job's own.
        overlap: Another overlap policy for this once.
        idempotency_key: The same key makes the same execution, once.
        wait: Wait for its end; exit 8 unless it succeeded.
        timeout: Longest wait, such as 10m; exit 1 when it is over.
    """
    target = target or Target()
    body = job_fields.read_object(payload, "--payload") if payload is not None else None
    asked: Any = {"payload": body, "overlap": overlap.value if overlap else None, "idempotency_key": idempotency_key}
    seconds = elapsed_ms(timeout, "timeout") / 1000 if timeout is not None else None

    async def work(desk: Desk) -> int:
        execution = await desk.ask(asks.trigger_job(name, **given_only(asked)))
        if wait:
            if target.for_people:
                say(f"triggered {execution.job_name}: execution {execution.id}; waiting for its end")
            return await wait_for(desk, execution.id, target.output, seconds)
        blocked = f", held back by {execution.blocked_by}" if execution.blocked_by else ""
        text = f"triggered {execution.job_name}: execution {execution.id} is {execution.status}{blocked}"
        print_one(target.output, execution.wire, text)
        return Exit.DONE

    return target.run(work)


def backfill_job(
    name: str,
    /,
    *,
    since: str,
    until: str,
    reprocess: Literal["missing", "missing_and_failed", "all"] = "missing",
    per_second: int | None = None,
    dry_run: Annotated[bool, Parameter(negative="")] = False,
    target: Target | None = None,
) -> int:
    """Run a job's past instants in a range, both ends included, as one operation; wait until it is over.

    Args:
        name: The job's name or id.
        since: From this instant, or wall time in the job's zone.
        until: To this one.
        reprocess: Which of them: those without an execution, also those that failed, or all.
        per_second: How many a second may start.
        dry_run: Only show what would become of the first of them.
    """
    target = target or Target()

    async def work(desk: Desk) -> tuple[BackfillOperation, Operation]:
        first, last = await read_at(desk, name, since, "since"), await read_at(desk, name, until, "until")
        body: Any = {"since": first, "until": last, "reprocess": reprocess, **given_only({"per_second": per_second})}
        begun = await desk.ask(asks.backfill_job(name, dry_run=dry_run or None, **body))
        return begun, begun if dry_run else await wait_for_operation(desk, begun.id)

    begun, done = target.run(work)
    rows = [[stamp(one.at), "runs" if one.runs else "does not run", one.reason] for one in begun.instants]
    verb = "would be looked at" if dry_run else f"looked at, {done.failed} failed"
    told = f"{done.total.value if dry_run else done.done} instants {verb}: operation {begun.id} is {done.status}"
    wire = done.wire if not dry_run else begun.wire
    text = f"{table(['AT', 'WHAT', 'WHY'], rows, columns())}\n\n{told}" if rows else told
    print_one(target.output, wire, text)
    return Exit.PARTIAL if done.failed else Exit.DONE
