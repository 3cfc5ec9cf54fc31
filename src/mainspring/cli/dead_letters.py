"""`dead-letters` (also `dead`): list, redrive, discard."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from mainspring.cli import job_fields
from mainspring.cli.exits import Exit, code_of, error_to_wire
from mainspring.cli.job_zones import JobZones, read_zones
from mainspring.cli.jobs import page_size
from mainspring.cli.output import print_json, print_lines, print_page, say, short, table
from mainspring.cli.target import Client, Target
from mainspring.cli.times import stamp
from mainspring.errors import MainspringError
from mainspring.model.execution import DeadLetter
from mainspring.model.wire import execution_to_wire, record_to_wire

Ids = Annotated[list[str], Parameter(negative="")]


def list_dead_letters(
    *,
    status: Literal["open", "redriven", "discarded", "all"] = "open",
    job: str | None = None,
    handler: str | None = None,
    fingerprint: str | None = None,
    after: str | None = None,
    limit: int = 50,
    target: Target | None = None,
) -> None:
    """List dead letters, newest first.

    Args:
        status: Only these.
        job: Only those of this job, by name or id.
        handler: Only those of this handler.
        fingerprint: Only those that failed alike.
        after: Start behind this id: the one a page ended with.
        limit: How many.
    """
    target = target or Target()
    size = page_size(limit)

    async def work(client: Client) -> tuple[list[DeadLetter], JobZones]:
        found = await client.scheduler.list_dead_letters(
            status=None if status == "all" else status,
            job=job,
            handler=handler,
            fingerprint=fingerprint,
            before_id=after,
            limit=size + 1,
        )
        platform_id, ids = client.scheduler.platform_id, [letter.job_id for letter in found]
        return found, await client.scheduler.read(lambda tx: read_zones(tx, platform_id, ids))

    found, zones = target.run(work)
    page = found[:size]
    print_page(
        target.output,
        [record_to_wire(letter) for letter in page],
        table(["EXECUTION", "JOB", "STATUS", "FAILURE", "SINCE", "ALIKE", "ERROR"], [_row(e, zones) for e in page]),
        following=page[-1].execution_id if len(found) > size else None,
        empty="No dead letters.",
    )


def redrive(execution_ids: Ids, /, *, payload: str | None = None, target: Target | None = None) -> int:
    """Run dead letters again, each as a new execution, and close them.

    Args:
        execution_ids: Ids of their executions.
        payload: A JSON object, or @FILE, instead of their own.
    """
    body = job_fields.read_object(payload, "--payload") if payload is not None else None

    async def one(client: Client, execution_id: str) -> tuple[dict[str, Any], str]:
        execution = await client.scheduler.redrive(execution_id, payload=body)
        return execution_to_wire(execution), f"{execution_id} runs again as {execution.id}"

    return _each(target or Target(), execution_ids, one)


def discard(execution_ids: Ids, /, *, reason: str, target: Target | None = None) -> int:
    """Close dead letters without running them.

    Args:
        execution_ids: Ids of their executions.
        reason: Why; kept with them.
    """

    async def one(client: Client, execution_id: str) -> tuple[dict[str, Any], str]:
        await client.scheduler.discard(execution_id, reason=reason)
        return {"execution_id": execution_id, "status": "discarded", "reason": reason}, f"{execution_id} is discarded"

    return _each(target or Target(), execution_ids, one)


def _each(
    target: Target,
    execution_ids: list[str],
    one: Callable[[Client, str], Awaitable[tuple[dict[str, Any], str]]],
) -> int:
    """Do it for each id; one that fails does not keep the others from it. The only one's error is the command's own."""

    async def work(client: Client) -> tuple[list[dict[str, Any]], list[MainspringError]]:
        done, failed = [], []
        for execution_id in execution_ids:
            try:
                wire, text = await one(client, execution_id)
            except MainspringError as error:
                if len(execution_ids) == 1:
                    raise
                failed.append(error)
                say(f"error: {error}")
                continue
            done.append(wire)
            if target.output == "table":
                print(text)
        return done, failed

    done, failed = target.run(work)
    if target.output == "json":
        data: Any = done[0] if len(execution_ids) == 1 else {"data": done, "errors": [error_to_wire(e) for e in failed]}
        print_json(data)
    elif target.output == "jsonl":
        print_lines(done)
    if not failed:
        return Exit.DONE
    return Exit.PARTIAL if done else code_of(failed[0])


def _row(letter: DeadLetter, zones: JobZones) -> list[Any]:
    error = letter.error or {}
    return [
        letter.execution_id,
        letter.job_name or letter.handler,
        letter.status,
        letter.failure.value,
        stamp(letter.created_at, zones.of(letter.job_id)),
        letter.fingerprint,
        short(f"{error.get('type')}: {error.get('message')}", 100) if error else None,
    ]
