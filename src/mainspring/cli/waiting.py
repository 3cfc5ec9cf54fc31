"""Waiting for an end: look, sleep, look again, whoever is asked."""

from __future__ import annotations

import asyncio

from mainspring.cli.desk import Desk
from mainspring.cli.exits import Exit
from mainspring.cli.output import Format, print_one, say
from mainspring.cli.times import span
from mainspring.client import asks
from mainspring.client.shapes import Execution, Operation
from mainspring.model.execution import Status

#: Seconds between two looks.
POLL = 0.2


async def wait_for(desk: Desk, execution_id: str, output: Format, timeout: float | None) -> int:
    """Wait until an execution has ended, print it, and return the exit code that tells how."""
    try:
        async with asyncio.timeout(timeout):
            while True:
                execution = await desk.ask(asks.get_execution(execution_id))
                if ended(execution):
                    break
                await asyncio.sleep(POLL)
    except TimeoutError:
        say(f"error: execution {execution_id} has not ended within {span(timeout)}")
        say(f"  See: mainspring explain {execution_id}")
        return Exit.FAILED
    wire = {name: value for name, value in execution.wire.items() if name not in ("attempts", "decision")}
    print_one(output, wire, how_it_ended(execution))
    return Exit.DONE if execution.status is Status.SUCCESS else Exit.ENDED_BADLY


async def wait_for_operation(desk: Desk, operation_id: str) -> Operation:
    """Wait until a bulk operation is over, or somebody paused it, and return it."""
    while True:
        operation = await desk.ask(asks.get_operation(operation_id))
        if operation.status != "running":
            return operation
        await asyncio.sleep(POLL)


def ended(execution: Execution) -> bool:
    """Whether nothing more will come of an execution."""
    return isinstance(execution.status, Status) and execution.status.terminal


def how_it_ended(execution: Execution) -> str:
    """Return one sentence about an execution that has ended."""
    took = f" after {span(execution.duration_ms / 1000)}" if execution.duration_ms is not None else ""
    error = ""
    if execution.status is not Status.SUCCESS and execution.error:
        error = f": {execution.error.get('type')}: {execution.error.get('message')}"
    result = f", result {execution.result!r}" if execution.result is not None else ""
    return f"execution {execution.id} ended as {execution.status}{took}{result}{error}"
