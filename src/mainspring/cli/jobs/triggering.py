"""`jobs trigger`: run a job now."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from mainspring.cli import job_fields
from mainspring.cli.durations import elapsed_ms
from mainspring.cli.exits import Exit
from mainspring.cli.output import print_one, say
from mainspring.cli.target import Client, Target
from mainspring.cli.waiting import wait_for
from mainspring.model.policy import Overlap
from mainspring.model.wire import execution_to_wire


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
    seconds = elapsed_ms(timeout, "timeout") / 1000 if timeout is not None else None

    async def work(client: Client) -> int:
        execution = await client.scheduler.trigger_job(
            name, payload=body, overlap=overlap, idempotency_key=idempotency_key
        )
        if wait:
            if target.output == "table":
                say(f"triggered {execution.job_name}: execution {execution.id}; waiting for its end")
            return await wait_for(client, execution.id, target.output, seconds)
        blocked = f", held back by {execution.blocked_by}" if execution.blocked_by else ""
        text = f"triggered {execution.job_name}: execution {execution.id} is {execution.status.value}{blocked}"
        print_one(target.output, execution_to_wire(execution), text)
        return Exit.DONE

    return target.run(work)
