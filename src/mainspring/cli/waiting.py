"""Waiting for an execution's end, as another process of the database: look, sleep, look again."""

from __future__ import annotations

import asyncio

from mainspring.cli.exits import Exit
from mainspring.cli.output import print_one, say
from mainspring.cli.target import Client, Format
from mainspring.cli.times import span
from mainspring.model.execution import Execution, Status
from mainspring.model.wire import execution_to_wire

#: Seconds between two looks.
POLL = 0.2


async def wait_for(client: Client, execution_id: str, output: Format, timeout: float | None) -> int:
    """Wait until an execution has ended, print it, and return the exit code that tells how."""
    try:
        async with asyncio.timeout(timeout):
            while True:
                execution = (await client.scheduler.get_execution(execution_id)).execution
                if execution.status.terminal:
                    break
                await asyncio.sleep(POLL)
    except TimeoutError:
        say(f"error: execution {execution_id} has not ended within {span(timeout)}")
        say(f"  See: mainspring explain {execution_id}")
        return Exit.FAILED
    print_one(output, execution_to_wire(execution), ended(execution))
    return Exit.DONE if execution.status is Status.SUCCESS else Exit.ENDED_BADLY


def ended(execution: Execution) -> str:
    """Return one sentence about an execution that has ended."""
    took = ""
    if execution.started_at and execution.finished_at:
        took = f" after {span(execution.finished_at - execution.started_at)}"
    error = ""
    if execution.status is not Status.SUCCESS and execution.error:
        error = f": {execution.error.get('type')}: {execution.error.get('message')}"
    result = f", result {execution.result!r}" if execution.result is not None else ""
    return f"execution {execution.id} ended as {execution.status.value}{took}{result}{error}"
